// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The importer of ubootefi.var, with the input as it is and with a header that fits it, which no
// mutation would find. Whatever is imported must come back the same after an export.
#include <algorithm>
#include <span>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/base/crc32.hpp"
#include "efistore/exchange/exchange.hpp"

#include "target.hpp"

namespace efistore::fuzz {
namespace {

constexpr std::size_t header_size_bytes = 24;

void check(std::span<const std::byte> bytes) {
  const auto imported = exchange::import_ubootefi(bytes);
  if (!imported) {
    require(imported.error().code == Errc::invalid_argument, "refusals are invalid_argument");
    return;
  }
  const exchange::Exported exported = exchange::export_ubootefi(imported->variables);
  require(exported.losses.empty() && exported.left_out.empty(),
          "what was imported is exported whole");
  if (imported->losses.empty() && imported->left_out.empty()) {
    require(std::ranges::equal(exported.bytes, bytes), "a file without losses comes back the same");
  }
  const auto again = exchange::import_ubootefi(exported.bytes);
  require(again.has_value(), "what was exported is imported");
  require(again->losses.empty() && again->left_out.empty(),
          "an export of ours has nothing that a store cannot carry");
  require(again->variables == imported->variables, "variables come back the same");
}

/// The input cut to a multiple of 8, with a header to match.
std::vector<std::byte> repaired(std::span<const std::byte> bytes) {
  std::vector<std::byte> file(bytes.begin(), bytes.end());
  file.resize(bytes.size() / 8 * 8);
  ByteWriter header(file);
  header.u64(0);
  header.u64(0x0161566966456255);
  header.u32(static_cast<std::uint32_t>(file.size()));
  header.u32(crc32(std::span(file).subspan(header_size_bytes)));
  return file;
}

}  // namespace
}  // namespace efistore::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  efistore::fuzz::check(bytes);
  if (size >= efistore::fuzz::header_size_bytes) {
    efistore::fuzz::check(efistore::fuzz::repaired(bytes));
  }
  return 0;
}
