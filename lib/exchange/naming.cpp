// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "naming.hpp"

#include <cstdint>

#include "efistore/base/ucs2.hpp"

namespace efistore::exchange {

namespace {

constexpr char16_t replacement = 0xfffd;

constexpr bool is_high_surrogate(char16_t unit) noexcept {
  return (unit & 0xfc00) == 0xd800;
}
constexpr bool is_low_surrogate(char16_t unit) noexcept {
  return (unit & 0xfc00) == 0xdc00;
}

}  // namespace

std::string readable_name(std::u16string_view name) {
  std::u16string readable(name);
  for (std::size_t i = 0; i < readable.size(); ++i) {
    if (is_high_surrogate(readable[i]) && i + 1 < readable.size() &&
        is_low_surrogate(readable[i + 1])) {
      ++i;
    } else if (is_high_surrogate(readable[i]) || is_low_surrogate(readable[i])) {
      readable[i] = replacement;
    }
  }
  return to_utf8(readable);
}

std::string printable(std::string_view text, std::size_t max_size_bytes) {
  // A cut must not fall inside a character: back to the last byte that does not continue one.
  std::size_t end = text.size();
  if (end > max_size_bytes) {
    end = max_size_bytes;
    while (end > 0 && (static_cast<std::uint8_t>(text[end]) & 0xc0) == 0x80) --end;
  }
  const std::string_view shown = text.substr(0, end);
  const auto units = from_utf8(shown);
  std::string out;
  for (const char c : units ? readable_name(*units) : std::string(shown)) {
    const auto byte = static_cast<std::uint8_t>(c);
    const bool control = byte < 0x20 || byte == 0x7f;
    out += control || (byte >= 0x80 && !units) ? '?' : c;
  }
  if (end < text.size()) out += "\u2026";
  return out;
}

std::string label(std::u16string_view name, const Guid& guid) {
  return printable(readable_name(name)) + "-" + to_string(guid);
}

std::string_view name_problem(std::u16string_view name) noexcept {
  if (name.empty()) return "is empty";
  if (name.find(u'\0') != std::u16string_view::npos) return "holds a NUL";
  return {};
}

}  // namespace efistore::exchange
