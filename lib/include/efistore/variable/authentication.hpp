// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// EFI_VARIABLE_AUTHENTICATION_2 (UEFI 2.10, 8.2.1 and 8.2.2), the descriptor in front of the data
// of a time-based authenticated variable: pure functions over bytes of any origin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "efistore/base/efi_time.hpp"
#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"

namespace efistore::variable {

/// TimeStamp and the fixed fields of AuthInfo.
inline constexpr std::size_t authentication_header_size = 40;

/// The spans point into what was parsed.
struct Authentication {
  EfiTime time;
  std::span<const std::byte> signed_data;  ///< CertData
  std::span<const std::byte> payload;      ///< what the variable shall hold; may be empty
};

/// Checks every fixed field: the reserved ones of the time zero and the others a date or, as
/// efitools makes it for an append, all zero; dwLength, wRevision 0x0200, wCertificateType 0x0ef1,
/// CertType PKCS7. Nothing is verified. Errors: invalid_argument with the field, its offset and
/// what was expected.
Result<Authentication> parse_authentication(std::span<const std::byte> data);

/// The bytes that are signed: `name` without its NUL, `guid`, `attributes` as the request has them
/// (with append), `time`, `payload`.
std::vector<std::byte> signed_content(std::u16string_view name, const Guid& guid,
                                      std::uint32_t attributes, const EfiTime& time,
                                      std::span<const std::byte> payload);

/// The descriptor and the payload. `signed_data` must be smaller than 4 GiB by 24 bytes.
std::vector<std::byte> make_authentication(const EfiTime& time,
                                           std::span<const std::byte> signed_data,
                                           std::span<const std::byte> payload);

}  // namespace efistore::variable
