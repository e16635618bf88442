// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/base/attributes.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>

namespace efistore {

namespace {

/// The names in the order of their bits.
constexpr std::array<std::string_view, 8> names{"nv", "bs", "rt", "hr", "aw", "at", "ap", "eaw"};

std::optional<std::uint32_t> number_from_string(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  if (hexadecimal) text.remove_prefix(2);
  std::uint32_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, hexadecimal ? 16 : 10);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string attributes_to_string(std::uint32_t attributes) {
  std::string text;
  auto add = [&text](std::string_view part) {
    if (!text.empty()) text += ',';
    text += part;
  };
  for (std::size_t bit = 0; bit < names.size(); ++bit) {
    if ((attributes & (1U << bit)) != 0) add(names[bit]);
  }
  const std::uint32_t unnamed = attributes >> names.size() << names.size();
  if (unnamed != 0 || attributes == 0) add(fmt::format("{:#x}", unnamed));
  return text == "0x0" ? "0" : text;
}

std::optional<std::uint32_t> attributes_from_string(std::string_view text) {
  std::uint32_t attributes = 0;
  while (true) {
    const std::string_view part = text.substr(0, text.find(','));
    std::optional<std::uint32_t> value;
    for (std::size_t bit = 0; bit < names.size(); ++bit) {
      if (part == names[bit]) value = 1U << bit;
    }
    if (!value) value = number_from_string(part);
    if (!value) return std::nullopt;
    attributes |= *value;
    if (part.size() == text.size()) return attributes;
    text.remove_prefix(part.size() + 1);
  }
}

}  // namespace efistore
