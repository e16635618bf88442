// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "size.hpp"

#include <fmt/format.h>

#include <charconv>
#include <limits>

namespace efistore::tools {

namespace {
constexpr std::uint64_t kibi = 1024;
constexpr std::uint64_t mebi = kibi * kibi;
}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t unit = 1;
  if (text.ends_with('K') || text.ends_with('k')) unit = kibi;
  if (text.ends_with('M') || text.ends_with('m')) unit = mebi;
  if (unit != 1) text.remove_suffix(1);
  const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  if (hexadecimal) text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, hexadecimal ? 16 : 10);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (value > std::numeric_limits<std::uint64_t>::max() / unit) return std::nullopt;
  return value * unit;
}

std::string format_size(std::uint64_t bytes) {
  if (bytes != 0 && bytes % mebi == 0) return fmt::format("{} MiB", bytes / mebi);
  if (bytes != 0 && bytes % kibi == 0) return fmt::format("{} KiB", bytes / kibi);
  return fmt::format("{} bytes", bytes);
}

}  // namespace efistore::tools
