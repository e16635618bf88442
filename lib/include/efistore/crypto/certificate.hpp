// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// X.509 certificates from hostile bytes. Nothing here trusts one: that is SignedData's question.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/base/result.hpp"
#include "efistore/crypto/digest.hpp"

namespace efistore::crypto {

/// No certificate is larger.
inline constexpr std::size_t max_certificate_size_bytes = std::size_t{64} * 1024;
/// How many certificates one PEM text may hold.
inline constexpr std::size_t max_pem_certificates = 64;

enum class KeyType { rsa, ec, other };

/// An X.509 certificate: immutable, cheap to copy (shared).
class Certificate {
 public:
  /// Exactly one certificate in DER, with nothing behind it.
  /// Errors: invalid_argument, saying what.
  static Result<Certificate> from_der(std::span<const std::byte> der);

  /// Every block "CERTIFICATE" of a text; other blocks, keys for example, are passed over.
  /// Errors: invalid_argument (none, one that is malformed, more than max_pem_certificates).
  static Result<std::vector<Certificate>> from_pem(std::string_view text);

  std::span<const std::byte> der() const noexcept;

  /// The DER of the TBSCertificate with its tag and length, as EDK2's X509GetTBSCert gives it.
  std::vector<std::byte> to_be_signed() const;

  /// The subject's first common name in UTF-8, as EDK2's X509GetCommonName gives it, but in full
  /// length; empty if there is none. May hold any character, NUL included.
  std::string common_name() const;

  /// Text as RFC 2253 has it, UTF-8, control characters escaped.
  std::string subject() const;
  std::string issuer() const;

  /// Pairs of upper-case hexadecimal digits with colons between; a minus in front if negative.
  std::string serial() const;

  /// Seconds since 1970, UTC; 0 if the field is no date.
  std::int64_t not_before() const;
  std::int64_t not_after() const;

  /// `rsa` does not include keys that are bound to RSA-PSS, `ec` includes every named curve.
  KeyType key_type() const;
  /// 0 if OpenSSL does not know the key.
  unsigned key_bits() const;

  /// SHA-256 of der().
  Digest fingerprint() const;

  /// The same DER.
  friend bool operator==(const Certificate& a, const Certificate& b) noexcept;

 private:
  struct Data;
  friend struct CertificateAccess;
  explicit Certificate(std::shared_ptr<const Data> data) noexcept : data_(std::move(data)) {}

  std::shared_ptr<const Data> data_;
};

}  // namespace efistore::crypto
