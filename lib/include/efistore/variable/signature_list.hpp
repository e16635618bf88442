// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// EFI_SIGNATURE_LIST, of which PK, KEK, db, dbx, dbt and dbr consist (UEFI 2.10, 32.4.1): pure
// functions over bytes of any origin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"

namespace efistore::variable {

/// Signatures in all lists of one variable together.
inline constexpr std::size_t max_signatures = 65536;
/// Certificates among them: each has to be parsed.
inline constexpr std::size_t max_listed_certificates = 256;

namespace signature_types {
using namespace literals;
inline constexpr Guid sha1 = "826ca512-cf10-4ac9-b187-be01496631bd"_guid;
inline constexpr Guid sha224 = "0b6e5233-a65c-44c9-9407-d9ab83bfc8bd"_guid;
inline constexpr Guid sha256 = "c1c41626-504c-4092-aca9-41f936934328"_guid;
inline constexpr Guid sha384 = "ff3e5307-9fd0-48c9-85f1-8ad56c701e01"_guid;
inline constexpr Guid sha512 = "093e0fae-a6c4-4f50-9f1b-d41e2b89c19a"_guid;
inline constexpr Guid rsa2048 = "3c5766e8-269c-4e34-aa14-ed776e85b3b6"_guid;
inline constexpr Guid rsa2048_sha1 = "67f8444f-8743-48f1-a328-1eaab8736080"_guid;
inline constexpr Guid rsa2048_sha256 = "e2b36190-879b-4a3d-ad8d-f2e7bba32784"_guid;
inline constexpr Guid x509 = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072"_guid;
inline constexpr Guid x509_sha256 = "3bd2a492-96c0-4079-b420-fcf98ef103ed"_guid;
inline constexpr Guid x509_sha384 = "7076876e-80c2-4ee6-aad2-28b349a6865b"_guid;
inline constexpr Guid x509_sha512 = "446dbf63-2502-4cda-bcfa-2465d2b0fe9d"_guid;
}  // namespace signature_types

/// EFI_SIGNATURE_DATA. The spans of these structs point into what was parsed.
struct Signature {
  Guid type;   ///< of its list
  Guid owner;  ///< SignatureOwner
  std::span<const std::byte> data;
  std::size_t offset = 0;  ///< of the owner
};

struct SignatureList {
  Guid type;
  std::span<const std::byte> header;  ///< SignatureHeader
  std::uint32_t signature_size = 0;   ///< owner and data
  std::vector<Signature> signatures;
  std::size_t offset = 0;
};

/// The lists that `data` consists of, of types known and unknown. No bytes, no lists.
/// Errors: invalid_argument with the field, its offset and what was expected.
Result<std::vector<SignatureList>> parse_signature_lists(std::span<const std::byte> data);

/// Whether `data` may become the value of a key variable, as EDK2's CheckSignatureListFormat has
/// it (lib/SPEC.md lists the differences): known types, each with its sizes; certificates that are
/// some. With `platform_key`, exactly one signature, a certificate, or no bytes.
/// Errors: invalid_argument with the field, its offset and what was expected.
Status check_signature_lists(std::span<const std::byte> data, bool platform_key);

/// The lists of `added` without the signatures that are already in `present` or earlier in `added`:
/// the same type, owner and data. Lists that become empty, or were, are left out. Bytes that are no
/// lists count as none.
std::vector<std::byte> new_signatures(std::span<const std::byte> present,
                                      std::span<const std::byte> added);

/// One list without a header. All entries must be of the same size, and there must be one.
std::vector<std::byte> make_signature_list(const Guid& type, const Guid& owner,
                                           std::span<const std::span<const std::byte>> entries);

/// "X509", "SHA256", ... as the specification's names have it behind EFI_CERT_; empty if unknown.
std::string_view signature_type_name(const Guid& type) noexcept;

/// The value of the variable SignatureSupport: GUIDs in EDK2's order.
std::vector<std::byte> signature_support();

}  // namespace efistore::variable
