// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/base/ucs2.hpp"

#include <array>
#include <cstdint>

namespace efistore {

namespace {

constexpr bool is_high_surrogate(char32_t c) noexcept {
  return c >= 0xd800 && c <= 0xdbff;
}
constexpr bool is_low_surrogate(char32_t c) noexcept {
  return c >= 0xdc00 && c <= 0xdfff;
}

void append_utf8(std::string& out, char32_t c) {
  auto put = [&out](char32_t value) { out += static_cast<char>(static_cast<std::uint8_t>(value)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | (c >> 6));
    put(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    put(0xe0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3f));
    put(0x80 | (c & 0x3f));
  } else {
    put(0xf0 | (c >> 18));
    put(0x80 | ((c >> 12) & 0x3f));
    put(0x80 | ((c >> 6) & 0x3f));
    put(0x80 | (c & 0x3f));
  }
}

/// The code point at the front of `text`, which it is taken off; none if malformed.
std::optional<char32_t> take_code_point(std::string_view& text) noexcept {
  const auto first = static_cast<std::uint8_t>(text.front());
  if (first < 0x80) {
    text.remove_prefix(1);
    return first;
  }
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc0 || first > 0xf7 || text.size() < length) return std::nullopt;
  char32_t c = first & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<std::uint8_t>(text[i]);
    if ((next & 0xc0) != 0x80) return std::nullopt;
    c = (c << 6) | (next & 0x3fU);
  }
  constexpr std::array<char32_t, 5> smallest{0, 0, 0x80, 0x800, 0x10000};
  if (c < smallest[length] || c > 0x10ffff) return std::nullopt;
  text.remove_prefix(length);
  return c;
}

}  // namespace

std::string to_utf8(std::u16string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char32_t c = text[i];
    if (is_high_surrogate(c) && i + 1 < text.size() && is_low_surrogate(text[i + 1])) {
      c = 0x10000 + ((c - 0xd800) << 10) + (text[i + 1] - 0xdc00U);
      ++i;
    }
    append_utf8(out, c);
  }
  return out;
}

std::optional<std::u16string> from_utf8(std::string_view text) {
  std::u16string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto c = take_code_point(text);
    if (!c) return std::nullopt;
    if (*c < 0x10000) {
      out += static_cast<char16_t>(*c);
    } else {
      out += static_cast<char16_t>(0xd800 + ((*c - 0x10000) >> 10));
      out += static_cast<char16_t>(0xdc00 + ((*c - 0x10000) & 0x3ff));
    }
  }
  return out;
}

bool has_lone_surrogate(std::u16string_view text) noexcept {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_low_surrogate(text[i])) return true;
    if (is_high_surrogate(text[i])) {
      if (i + 1 == text.size() || !is_low_surrogate(text[i + 1])) return true;
      ++i;
    }
  }
  return false;
}

}  // namespace efistore
