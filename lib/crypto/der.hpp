// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// DER as far as it can be told without knowing what is encoded. Everything goes through here before
// OpenSSL sees it: OpenSSL also reads BER, and has no limit on how much there is of anything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "efistore/base/result.hpp"

namespace efistore::crypto {

/// No value stands inside more others. A certificate in a SignedData comes to 12.
inline constexpr unsigned max_der_depth = 24;

namespace der_tag {
inline constexpr std::uint8_t object_identifier = 0x06;
inline constexpr std::uint8_t sequence = 0x30;
inline constexpr std::uint8_t context_0 = 0xa0;
}  // namespace der_tag

struct DerValue {
  std::uint8_t tag = 0;
  std::span<const std::byte> content;
  std::span<const std::byte> whole;  ///< with tag and length

  bool is_constructed() const noexcept { return (tag & 0x20) != 0; }
};

/// Takes the value at the front off `bytes`; none if they do not begin with a tag of one byte, of a
/// form that its type has in DER, a definite length in its shortest form, and as many bytes.
std::optional<DerValue> take_der(std::span<const std::byte>& bytes) noexcept;

/// Checks that `bytes` are one value with nothing behind it, and that this goes for everything
/// inside.
/// Errors: invalid_argument with the offset.
Result<DerValue> check_der(std::span<const std::byte> bytes);

}  // namespace efistore::crypto
