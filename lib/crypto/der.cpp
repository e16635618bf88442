// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "der.hpp"

#include <fmt/format.h>

#include "efistore/base/bytes.hpp"

namespace efistore::crypto {

std::optional<DerValue> take_der(std::span<const std::byte>& bytes) noexcept {
  ByteReader reader(bytes);
  const std::uint8_t tag = reader.u8();
  std::size_t length = reader.u8();
  if ((tag & 0x1f) == 0x1f) return std::nullopt;  // goes on in further bytes
  // Of the universal types, SEQUENCE and SET are made of others; strings in parts are BER.
  const bool is_universal = (tag & 0xc0) == 0;
  const bool is_list = (tag & 0x1f) == 0x10 || (tag & 0x1f) == 0x11;
  if (is_universal && is_list != ((tag & 0x20) != 0)) return std::nullopt;
  if (length >= 0x80) {
    const std::size_t count = length & 0x7f;
    // 0 is an indefinite length; more than 3 bytes would be more than 16 MiB.
    if (count == 0 || count > 3) return std::nullopt;
    length = 0;
    for (std::size_t i = 0; i < count; ++i) length = length << 8 | reader.u8();
    const std::size_t shortest = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : 3;
    if (count != shortest) return std::nullopt;
  }
  const auto content = reader.take(length);
  if (!reader.ok()) return std::nullopt;
  const DerValue value{.tag = tag, .content = content, .whole = bytes.first(reader.position())};
  bytes = bytes.subspan(reader.position());
  return value;
}

namespace {

/// Checks what is inside of `content`, which begins at `offset` of the whole.
Status check_inside(std::span<const std::byte> content, std::size_t offset, unsigned depth) {
  if (depth > max_der_depth) {
    return fail(Errc::invalid_argument,
                fmt::format("at byte {} more than {} values stand inside one another", offset,
                            max_der_depth));
  }
  std::span<const std::byte> rest = content;
  while (!rest.empty()) {
    const std::size_t at = offset + (content.size() - rest.size());
    const auto value = take_der(rest);
    if (!value) {
      return fail(Errc::invalid_argument,
                  fmt::format("at byte {} there is no DER value that ends in time", at));
    }
    if (!value->is_constructed()) continue;
    const std::size_t header_size = value->whole.size() - value->content.size();
    if (Status inside = check_inside(value->content, at + header_size, depth + 1); !inside) {
      return inside;
    }
  }
  return {};
}

}  // namespace

Result<DerValue> check_der(std::span<const std::byte> bytes) {
  std::span<const std::byte> rest = bytes;
  const auto value = take_der(rest);
  if (!value) {
    return fail(Errc::invalid_argument, "at byte 0 there is no DER value that ends in time");
  }
  if (!rest.empty()) {
    return fail(Errc::invalid_argument, fmt::format("{} bytes follow the value, whose size is {}",
                                                    rest.size(), value->whole.size()));
  }
  if (value->is_constructed()) {
    const std::size_t header_size = value->whole.size() - value->content.size();
    if (Status inside = check_inside(value->content, header_size, 1); !inside) {
      return forward(std::move(inside));
    }
  }
  return *value;
}

}  // namespace efistore::crypto
