// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "efistore/base/bytes.hpp"
#include "efistore/base/ucs2.hpp"

namespace efistore::tools {

namespace {
constexpr std::size_t bytes_per_line = 16;
constexpr std::size_t bytes_per_group = 8;

char printable(std::byte byte) {
  const auto c = static_cast<char>(byte);
  return c >= 0x20 && c < 0x7f ? c : '.';
}
}  // namespace

std::string hex_dump(std::span<const std::byte> data) {
  std::string dump;
  for (std::size_t offset = 0; offset < data.size(); offset += bytes_per_line) {
    const auto line = data.subspan(offset, std::min(bytes_per_line, data.size() - offset));
    fmt::format_to(std::back_inserter(dump), "{:08x} ", offset);
    for (std::size_t i = 0; i < bytes_per_line; ++i) {
      if (i % bytes_per_group == 0) dump += ' ';
      dump += i < line.size() ? fmt::format("{:02x} ", static_cast<unsigned>(line[i])) : "   ";
    }
    dump += " |";
    std::transform(line.begin(), line.end(), std::back_inserter(dump), printable);
    dump += "|\n";
  }
  return dump;
}

std::optional<std::string> data_as_text(std::span<const std::byte> data) {
  std::string utf8(data.size(), '\0');
  std::transform(data.begin(), data.end(), utf8.begin(),
                 [](std::byte byte) { return static_cast<char>(byte); });
  if (utf8.ends_with('\0')) utf8.pop_back();
  if (utf8.find('\0') == std::string::npos && from_utf8(utf8)) return utf8;

  if (data.size() % 2 != 0) return std::nullopt;
  std::u16string utf16(data.size() / 2, u'\0');
  ByteReader reader(data);
  for (char16_t& unit : utf16) unit = reader.u16();
  if (utf16.ends_with(u'\0')) utf16.pop_back();
  if (utf16.find(u'\0') != std::u16string::npos || has_lone_surrogate(utf16)) return std::nullopt;
  return to_utf8(utf16);
}

std::optional<std::vector<std::byte>> text_as_utf16(std::string_view text) {
  const auto utf16 = from_utf8(text);
  if (!utf16) return std::nullopt;
  std::vector<std::byte> bytes((utf16->size() + 1) * 2);
  ByteWriter writer(bytes);
  for (const char16_t unit : *utf16) writer.u16(unit);
  return bytes;
}

}  // namespace efistore::tools
