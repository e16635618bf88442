// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Load options and their device paths. The parts are those of the bytes; what SetVariable takes for
// Boot0001 is what a walk of its own finds in order.
#include <memory>
#include <span>

#include "efistore/base/attributes.hpp"
#include "efistore/base/load_option.hpp"
#include "efistore/flash/memory_device.hpp"
#include "efistore/variable/services.hpp"

#include "target.hpp"

namespace efistore::fuzz {
namespace {

/// A store in memory in which Boot0001 is set again and again.
variable::Services& services() {
  static variable::Services made = [] {
    const store::Layout layout = store::Layout::ovmf_4m();
    auto device = std::make_unique<flash::MemoryDevice>(flash::Geometry{
        .size_bytes = layout.volume_size_bytes, .erase_block_size_bytes = layout.block_size_bytes});
    require(store::VariableStore::format(*device, layout).has_value(), "a store is formatted");
    auto opened = store::VariableStore::open(std::move(device));
    require(opened.has_value(), "a new store opens");
    auto created = variable::Services::create(std::move(*opened));
    require(created.has_value(), "a new store is served");
    return std::move(*created);
  }();
  return made;
}

std::size_t u16_at(std::span<const std::byte> bytes, std::size_t at) {
  return static_cast<std::size_t>(bytes[at]) | static_cast<std::size_t>(bytes[at + 1]) << 8U;
}

/// Complete nodes, the last of them, and only it, the end of the path; a file's path ends in NUL.
bool is_path(std::span<const std::byte> path) {
  for (std::size_t at = 0; path.size() - at >= 4;) {
    const std::size_t size = u16_at(path, at + 2);
    if (size < 4 || size > path.size() - at) return false;
    const auto type = static_cast<unsigned>(path[at]);
    const auto subtype = static_cast<unsigned>(path[at + 1]);
    if (type == 0x7f && subtype == 0xff) return size == 4;
    if (type == 4 && subtype == 4 && (size < 6 || u16_at(path, at + size - 2) != 0)) return false;
    at += size;
  }
  return false;
}

bool is_option(std::span<const std::byte> bytes) {
  if (bytes.size() < 8) return false;
  std::size_t at = 6;
  while (at + 2 <= bytes.size() && u16_at(bytes, at) != 0) at += 2;
  if (at + 2 > bytes.size()) return false;
  const std::size_t path_size = u16_at(bytes, 4);
  if (path_size > bytes.size() - at - 2) return false;
  return is_path(bytes.subspan(at + 2, path_size));
}

void check_parts(std::span<const std::byte> bytes) {
  const auto option = split_load_option(bytes);
  if (!option) return;
  require(8 + option->description.size() + option->file_path.size() + option->extra_data.size() ==
              bytes.size(),
          "the parts are all there is");
  ByteReader reader(option->file_path);
  std::size_t size = 0;
  while (const auto node = next_device_path_node(reader)) size += 4 + node->body.size();
  require(size <= option->file_path.size(), "nodes lie in the path");
}

void check(std::span<const std::byte> bytes) {
  check_parts(bytes);
  constexpr std::size_t more_than_fits = 0x8000;
  if (bytes.empty() || bytes.size() > more_than_fits) return;
  const bool taken = services()
                         .set({u"Boot0001", guids::global_variable, attributes::default_new, bytes})
                         .has_value();
  require(taken == is_option(bytes), "SetVariable takes load options and nothing else");
}

}  // namespace
}  // namespace efistore::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  efistore::fuzz::check(std::as_bytes(std::span(data, size)));
  return 0;
}
