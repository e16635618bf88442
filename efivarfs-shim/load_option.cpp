// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "load_option.hpp"

#include <algorithm>
#include <cstdint>

#include "efistore/base/load_option.hpp"

namespace efistore::shim {
namespace {

/// The type of end nodes in EFI 1.0, which the kernel takes as well.
constexpr std::uint8_t end_type_efi_1_0 = 0xff;
constexpr std::size_t option_number_digits = 4;

bool is_hex_digit(char16_t c) noexcept {
  return (c >= u'0' && c <= u'9') || (c >= u'a' && c <= u'f') || (c >= u'A' && c <= u'F');
}

/// True if the path has an end node before its bytes run out. What follows it does not matter, nor
/// what it says of its own length.
bool has_end_node(std::span<const std::byte> path) noexcept {
  ByteReader reader(path);
  while (const auto node = next_device_path_node(reader)) {
    if (node->is_end() ||
        (node->type == end_type_efi_1_0 && node->subtype == DevicePathNode::end_entire_subtype)) {
      return true;
    }
  }
  return false;
}

bool is_load_option(std::span<const std::byte> data) noexcept {
  const auto option = split_load_option(data);
  return option && has_end_node(option->file_path);
}

}  // namespace

bool is_acceptable_payload(std::u16string_view name, const Guid& guid,
                           std::span<const std::byte> data) noexcept {
  if (guid != guids::global_variable) return true;
  for (const std::u16string_view prefix : {u"Boot", u"Driver"}) {
    if (!name.starts_with(prefix)) continue;
    const auto rest = name.substr(prefix.size());
    const auto number = rest.substr(0, option_number_digits);
    const bool numbered = number.size() == option_number_digits &&
                          std::all_of(number.begin(), number.end(), is_hex_digit);
    if (!numbered) return true;
    return rest.size() == option_number_digits && is_load_option(data);
  }
  return true;
}

}  // namespace efistore::shim
