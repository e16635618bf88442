// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// "certdb", in which EDK2 keeps who may change a private authenticated variable (lib/SPEC.md has
// the bytes).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"

namespace efistore::variable {

using namespace literals;

/// EFI_CERT_DB_NAME and gEfiCertDbGuid.
inline constexpr std::u16string_view certificate_database_name = u"certdb";
/// EFI_CERT_DB_VOLATILE_NAME, for the volatile ones.
inline constexpr std::u16string_view volatile_certificate_database_name = u"certdbv";
inline constexpr Guid certificate_database_guid = "d9bee56e-75dc-49d9-b4d7-b534210f637a"_guid;

/// Who signed the variable of that name and GUID first.
struct CertificateNode {
  std::u16string name;
  Guid guid;
  /// A hash of the signer's name and of the root of its certificates, or, as older EDK2 wrote it,
  /// the certificates. Points into what was parsed.
  std::span<const std::byte> certificate;
  std::uint32_t offset = 0;  ///< of the node in the data
  std::uint32_t size = 0;
};

/// The nodes of the variable's data, in their order. Right for any bytes.
/// Errors: damaged, with the offset and what was expected (the total that the data begins with, a
/// node that reaches beyond it, sizes that do not add up, a name that is empty or holds a NUL).
Result<std::vector<CertificateNode>> parse_certificate_database(std::span<const std::byte> data);

/// Bytes that make_certificate_database() needs.
std::size_t certificate_database_size(std::span<const CertificateNode> nodes) noexcept;
/// The variable's data with these nodes; their offset and size are not looked at.
std::vector<std::byte> make_certificate_database(std::span<const CertificateNode> nodes);

}  // namespace efistore::variable
