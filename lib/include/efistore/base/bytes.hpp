// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Cursors over little-endian bytes. Both fail stickily: after the first access beyond the end every
// read gives zero and every write is dropped, so a parser checks ok() once, before it believes
// anything.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace efistore {

/// From a machine's byte order to little-endian, and back.
template <std::endian machine = std::endian::native, std::unsigned_integral T>
constexpr T little_endian(T value) noexcept {
  if constexpr (machine == std::endian::little) {
    return value;
  } else {
    T swapped = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      swapped = static_cast<T>(swapped | static_cast<T>((value >> (8 * i)) & 0xff)
                                             << (8 * (sizeof(T) - 1 - i)));
    }
    return swapped;
  }
}

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

  template <std::unsigned_integral T>
  T read() noexcept {
    const auto raw = take(sizeof(T));
    if (raw.empty()) return 0;
    T value = 0;
    std::memcpy(&value, raw.data(), sizeof(T));
    return little_endian(value);
  }
  std::uint8_t u8() noexcept { return read<std::uint8_t>(); }
  std::uint16_t u16() noexcept { return read<std::uint16_t>(); }
  std::uint32_t u32() noexcept { return read<std::uint32_t>(); }
  std::uint64_t u64() noexcept { return read<std::uint64_t>(); }

  /// The next `count` bytes, or an empty span (and failure) if there are fewer.
  std::span<const std::byte> take(std::size_t count) noexcept {
    if (failed_ || count > bytes_.size() - position_) {
      failed_ = true;
      return {};
    }
    const auto part = bytes_.subspan(position_, count);
    position_ += count;
    return part;
  }
  void skip(std::size_t count) noexcept { take(count); }
  /// The next characters of UTF-16LE text, as many as `into` has; zeros if there are fewer.
  void text(std::span<char16_t> into) noexcept;

  /// True while nothing was read beyond the end.
  bool ok() const noexcept { return !failed_; }
  std::size_t position() const noexcept { return position_; }
  std::size_t remaining() const noexcept { return failed_ ? 0 : bytes_.size() - position_; }

 private:
  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
  bool failed_ = false;
};

class ByteWriter {
 public:
  explicit ByteWriter(std::span<std::byte> bytes) noexcept : bytes_(bytes) {}

  template <std::unsigned_integral T>
  void write(T value) noexcept {
    const auto out = take(sizeof(T));
    const T stored = little_endian(value);
    if (!out.empty()) std::memcpy(out.data(), &stored, sizeof(T));
  }
  void u8(std::uint8_t value) noexcept { write(value); }
  void u16(std::uint16_t value) noexcept { write(value); }
  void u32(std::uint32_t value) noexcept { write(value); }
  void u64(std::uint64_t value) noexcept { write(value); }
  void bytes(std::span<const std::byte> data) noexcept;
  void fill(std::size_t count, std::byte value) noexcept;
  /// UTF-16LE, all of it or none.
  void text(std::u16string_view characters) noexcept;

  bool ok() const noexcept { return !failed_; }
  std::size_t position() const noexcept { return position_; }

 private:
  std::span<std::byte> take(std::size_t count) noexcept {
    if (failed_ || count > bytes_.size() - position_) {
      failed_ = true;
      return {};
    }
    const auto part = bytes_.subspan(position_, count);
    position_ += count;
    return part;
  }

  std::span<std::byte> bytes_;
  std::size_t position_ = 0;
  bool failed_ = false;
};

/// True if every byte of `bytes` is `value` (true for none).
bool is_filled(std::span<const std::byte> bytes, std::byte value) noexcept;

/// True if both are as long and hold the same. std::ranges::equal takes std::byte one at a time.
bool equal_bytes(std::span<const std::byte> a, std::span<const std::byte> b) noexcept;

/// The bytes of a string's characters.
inline std::span<const std::byte> as_bytes(std::string_view text) noexcept {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// Lower-case hexadecimal digits, two a byte.
std::string to_hex(std::span<const std::byte> bytes);

/// The bytes of a string of hexadecimal digits in either case; none for an odd length or any other
/// character.
std::optional<std::vector<std::byte>> from_hex(std::string_view text);

}  // namespace efistore
