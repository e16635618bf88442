// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "load_option.hpp"

#include <algorithm>
#include <cstdint>

#include "efistore/base/bytes.hpp"

namespace efistore::shim {
namespace {

// EFI_DEVICE_PATH_PROTOCOL (UEFI 2.10, 10.3): type, subtype, length with this header.
constexpr std::uint16_t node_header_size = 4;
constexpr std::uint8_t end_of_hardware_path = 0x7f;
constexpr std::uint8_t end_of_hardware_path_old = 0xff;  // EFI 1.0's value
constexpr std::uint8_t end_entire_path = 0xff;

/// Attributes, FilePathListLength, and a description of its NUL alone.
constexpr std::size_t smallest_load_option_size = 8;
constexpr std::size_t option_number_digits = 4;

bool is_hex_digit(char16_t c) noexcept {
  return (c >= u'0' && c <= u'9') || (c >= u'a' && c <= u'f') || (c >= u'A' && c <= u'F');
}

/// True if the path has an end node before its bytes run out. Every turn takes at least a header.
bool has_end_node(std::span<const std::byte> path) noexcept {
  ByteReader reader(path);
  while (reader.remaining() >= node_header_size) {
    const std::uint8_t type = reader.u8();
    const std::uint8_t subtype = reader.u8();
    const std::uint16_t length = reader.u16();
    if (length < node_header_size) return false;
    reader.skip(length - node_header_size);
    if (!reader.ok()) return false;
    const bool is_end = type == end_of_hardware_path || type == end_of_hardware_path_old;
    if (is_end && subtype == end_entire_path) return true;
  }
  return false;
}

bool is_load_option(std::span<const std::byte> data) noexcept {
  if (data.size() < smallest_load_option_size) return false;
  ByteReader reader(data);
  reader.u32();  // Attributes
  const std::uint16_t path_size = reader.u16();
  while (reader.u16() != 0) {  // Description; the read beyond the end gives 0 and fails
  }
  const auto path = reader.take(path_size);
  return reader.ok() && has_end_node(path);
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
