// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/base/bytes.hpp"

#include <algorithm>
#include <cstring>

namespace efistore {

void ByteReader::text(std::span<char16_t> into) noexcept {
  const auto raw = take(into.size_bytes());
  if (raw.empty()) {
    std::ranges::fill(into, u'\0');
    return;
  }
  std::memcpy(into.data(), raw.data(), raw.size());
  if constexpr (std::endian::native == std::endian::big) {
    for (char16_t& c : into) c = little_endian(static_cast<std::uint16_t>(c));
  }
}

void ByteWriter::bytes(std::span<const std::byte> data) noexcept {
  const auto out = take(data.size());
  std::copy_n(data.begin(), out.size(), out.begin());
}

void ByteWriter::fill(std::size_t count, std::byte value) noexcept {
  std::ranges::fill(take(count), value);
}

void ByteWriter::text(std::u16string_view characters) noexcept {
  if constexpr (std::endian::native == std::endian::big) {
    if (failed_ || characters.size() * sizeof(char16_t) > bytes_.size() - position_) {
      failed_ = true;
    }
    for (const char16_t c : characters) u16(c);
  } else {
    bytes(std::as_bytes(std::span(characters)));
  }
}

bool is_filled(std::span<const std::byte> bytes, std::byte value) noexcept {
  if (bytes.empty()) return true;
  // All bytes are alike if each equals its successor; memcmp is many times faster than a loop.
  return bytes[0] == value && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

bool equal_bytes(std::span<const std::byte> a, std::span<const std::byte> b) noexcept {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

std::string to_hex(std::span<const std::byte> bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte b : bytes) {
    text += digits[static_cast<std::size_t>(b >> 4)];
    text += digits[static_cast<std::size_t>(b & std::byte{0x0f})];
  }
  return text;
}

namespace {

int digit_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::optional<std::vector<std::byte>> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::vector<std::byte> bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = digit_value(text[i]);
    const int low = digit_value(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<std::byte>(high * 16 + low));
  }
  return bytes;
}

}  // namespace efistore
