// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The importers of JSON: efistore's own if the input's first byte is even, QEMU's if it is odd.
// Whatever is imported must come back the same after an export.
#include <span>

#include "efistore/exchange/exchange.hpp"

#include "target.hpp"

namespace efistore::fuzz {
namespace {

void check_own(std::span<const std::byte> bytes) {
  const auto imported = exchange::import_json(bytes);
  if (!imported) {
    require(imported.error().code == Errc::invalid_argument, "refusals are invalid_argument");
    return;
  }
  require(imported->losses.empty() && imported->left_out.empty(),
          "efistore's own JSON has no losses");
  const exchange::Exported exported = exchange::export_json(imported->variables);
  require(exported.losses.empty() && exported.left_out.empty(),
          "what was imported is exported whole");
  const auto again = exchange::import_json(exported.bytes);
  require(again.has_value(), "what was exported is imported");
  require(again->variables == imported->variables, "variables come back the same");
}

void check_qemu(std::span<const std::byte> bytes) {
  const auto imported = exchange::import_qemu(bytes);
  if (!imported) {
    require(imported.error().code == Errc::invalid_argument, "refusals are invalid_argument");
    return;
  }
  require(imported->losses.size() <= exchange::max_losses + 1 &&
              imported->left_out.size() <= exchange::max_losses + 1,
          "the lists of losses are bounded");
  for (const bool omit_zero_time : {false, true}) {
    const exchange::Exported exported =
        exchange::export_qemu(imported->variables, {.omit_zero_time = omit_zero_time});
    const auto again = exchange::import_qemu(exported.bytes);
    require(again.has_value(), "what was exported is imported");
    require(again->losses.empty() && again->left_out.empty(),
            "an export of ours has nothing that a store cannot carry");
    require(again->variables == imported->variables, "variables come back the same");
  }
}

}  // namespace
}  // namespace efistore::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data, size)).subspan(1);
  if (data[0] % 2 == 0) {
    efistore::fuzz::check_own(bytes);
  } else {
    efistore::fuzz::check_qemu(bytes);
  }
  return 0;
}
