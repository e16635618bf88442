// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace efistore {

/// An EFI_GUID in its 16 bytes as they lie in memory and on flash: the first three fields
/// little-endian (UEFI 2.10, appendix A).
struct Guid {
  std::array<std::byte, 16> bytes{};

  friend auto operator<=>(const Guid&, const Guid&) = default;
  /// As a whole: the standard library compares std::byte one at a time.
  friend constexpr bool operator==(const Guid& a, const Guid& b) noexcept {
    using Halves = std::array<std::uint64_t, 2>;
    return std::bit_cast<Halves>(a.bytes) == std::bit_cast<Halves>(b.bytes);
  }

  /// From the first 16 of `raw`, which must have them.
  static Guid from_bytes(std::span<const std::byte> raw) noexcept;
  /// From "8be4df61-93ca-11d2-aa0d-00e098032b8c", hexadecimal digits in either case.
  static constexpr std::optional<Guid> parse(std::string_view text) noexcept;
};

/// Length of a GUID's text.
inline constexpr std::size_t guid_text_size = 36;

/// Lower case, as efivarfs names files.
std::string to_string(const Guid& guid);

constexpr std::optional<Guid> Guid::parse(std::string_view text) noexcept {
  if (text.size() != guid_text_size) return std::nullopt;
  // Where each byte's two digits stand in the text.
  constexpr std::array<std::size_t, 16> positions{6,  4,  2,  0,  11, 9,  16, 14,
                                                  19, 21, 24, 26, 28, 30, 32, 34};
  auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  for (const std::size_t dash : {8U, 13U, 18U, 23U}) {
    if (text[dash] != '-') return std::nullopt;
  }
  Guid guid;
  for (std::size_t i = 0; i < positions.size(); ++i) {
    const int high = digit(text[positions[i]]);
    const int low = digit(text[positions[i] + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    guid.bytes[i] = static_cast<std::byte>(high * 16 + low);
  }
  return guid;
}

namespace literals {
/// "8be4df61-..."_guid; a malformed literal does not compile.
consteval Guid operator""_guid(const char* text, std::size_t size) {
  const auto guid = Guid::parse({text, size});
  if (!guid) throw std::invalid_argument("malformed GUID");
  return *guid;
}
}  // namespace literals

namespace guids {
using namespace literals;
/// EFI_GLOBAL_VARIABLE (UEFI 2.10, 3.3).
inline constexpr Guid global_variable = "8be4df61-93ca-11d2-aa0d-00e098032b8c"_guid;
/// EFI_IMAGE_SECURITY_DATABASE_GUID (UEFI 2.10, 32.6.1): db, dbx, dbt, dbr.
inline constexpr Guid image_security_database = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"_guid;
/// EFI_HARDWARE_ERROR_VARIABLE (UEFI 2.10, 8.2.4.2).
inline constexpr Guid hardware_error_variable = "414e6bdd-e47b-47cc-b244-bb61020cf516"_guid;
}  // namespace guids

}  // namespace efistore
