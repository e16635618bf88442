// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "common/escape.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace efistore::tools {

namespace {

/// A character of generalised UTF-8; size 0 if the bytes are none.
struct Decoded {
  std::uint32_t code_point = 0;
  std::size_t size = 0;
};

Decoded decode(std::string_view text) {
  const auto byte_at = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte_at(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return {};
  std::uint32_t code_point = lead & (0x7fU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte_at(i) & 0xc0) != 0x80) return {};
    code_point = code_point << 6 | (byte_at(i) & 0x3fU);
  }
  const bool overlong = (size == 3 && code_point < 0x800) || (size == 4 && code_point < 0x10000);
  if (overlong || code_point > 0x10ffff) return {};
  return {code_point, size};
}

struct CodePoints {
  std::uint32_t first;
  std::uint32_t last;
};

/// What Unicode has no picture for: its Default_Ignorable_Code_Point, of which the marks of writing
/// direction are some, and the separators and annotations of lines.
constexpr std::array<CodePoints, 17> invisible{{{0xad, 0xad},
                                                {0x34f, 0x34f},
                                                {0x61c, 0x61c},
                                                {0x115f, 0x1160},
                                                {0x17b4, 0x17b5},
                                                {0x180b, 0x180f},
                                                {0x200b, 0x200f},
                                                {0x2028, 0x202e},
                                                {0x2060, 0x206f},
                                                {0x3164, 0x3164},
                                                {0xfe00, 0xfe0f},
                                                {0xfeff, 0xfeff},
                                                {0xffa0, 0xffa0},
                                                {0xfff0, 0xfffb},
                                                {0x1bca0, 0x1bca3},
                                                {0x1d173, 0x1d17a},
                                                {0xe0000, 0xe0fff}}};

bool is_harmless(std::uint32_t c, EscapeStyle style) {
  if (c == '\n' || c == '\t') return style == EscapeStyle::text;
  const bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
  const bool surrogate = c >= 0xd800 && c <= 0xdfff;
  return !control && !surrogate && std::ranges::none_of(invisible, [c](const CodePoints& range) {
    return range.first <= c && c <= range.last;
  });
}

}  // namespace

std::string escape(std::string_view text, EscapeStyle style) {
  std::string safe;
  safe.reserve(text.size());
  while (!text.empty()) {
    const Decoded character = decode(text);
    if (character.size == 0) {
      safe += fmt::format("\\x{:02x}", static_cast<std::uint8_t>(text[0]));
      text.remove_prefix(1);
      continue;
    }
    if (is_harmless(character.code_point, style)) {
      safe += text.substr(0, character.size);
    } else {
      safe += fmt::format("\\u{{{:x}}}", character.code_point);
    }
    text.remove_prefix(character.size);
  }
  return safe;
}

bool needs_escape(std::string_view text, EscapeStyle style) {
  while (!text.empty()) {
    const Decoded character = decode(text);
    if (character.size == 0 || !is_harmless(character.code_point, style)) return true;
    text.remove_prefix(character.size);
  }
  return false;
}

}  // namespace efistore::tools
