// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace efistore {

/// EFI_TIME (UEFI 2.10, 8.3) in its 16 bytes as they lie on flash. Kept raw, because peers write
/// nonsense into the reserved fields and the bytes must survive a copy.
struct EfiTime {
  std::array<std::byte, 16> bytes{};

  friend auto operator<=>(const EfiTime&, const EfiTime&) = default;

  /// From the first 16 of `raw`, which must have them.
  static EfiTime from_bytes(std::span<const std::byte> raw) noexcept;
  /// UTC, seconds since 1970; times outside the years 1900 to 9999 are clamped.
  static EfiTime from_unix(std::int64_t seconds) noexcept;

  bool is_zero() const noexcept { return *this == EfiTime{}; }
  std::uint16_t year() const noexcept;
  std::uint8_t month() const noexcept { return field(2); }
  std::uint8_t day() const noexcept { return field(3); }
  std::uint8_t hour() const noexcept { return field(4); }
  std::uint8_t minute() const noexcept { return field(5); }
  std::uint8_t second() const noexcept { return field(6); }

  /// Whether year to second come later than those of `other`; the other fields do not count.
  bool is_later_than(const EfiTime& other) const noexcept;
  /// Whether the fields make a date and a time of day in the years 1900 to 9999.
  bool is_date() const noexcept;
  /// Seconds since 1970, the fields taken as UTC; 0 for a time that is no date (all zero, say).
  std::int64_t to_unix() const noexcept;

 private:
  std::uint8_t field(std::size_t at) const noexcept { return static_cast<std::uint8_t>(bytes[at]); }
};

/// "2026-11-21T05:26:30", fields as they stand, whether or not they make a date.
std::string to_string(const EfiTime& time);

}  // namespace efistore
