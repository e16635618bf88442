// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Making keys, certificates and signatures.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/base/result.hpp"
#include "efistore/crypto/certificate.hpp"

namespace efistore::crypto {

/// No certificate that is made here is valid for longer: 100 years.
inline constexpr unsigned max_validity_days = 36525;

enum class KeyKind { rsa2048, rsa3072, rsa4096, ec_p256, ec_p384, ec_p521 };

enum class DigestKind { sha256, sha384, sha512 };

/// A private key: immutable, cheap to copy (shared).
class PrivateKey {
 public:
  /// The first private key of a text, PKCS#8 or traditional. Never asks anybody for a passphrase.
  /// Errors: invalid_argument (none, malformed), unsupported (encrypted; no key that SignedData
  /// accepts signatures of).
  static Result<PrivateKey> from_pem(std::string_view text);
  /// The one key that a "pkcs11:" URI (RFC 7512) names, which stays where it is: OpenSSL's provider
  /// "pkcs11" signs with it, and is loaded for it, into a context that is nobody else's. Never asks
  /// anybody for a PIN.
  /// Errors: invalid_argument (no such URI), unsupported (there is no such provider; no key that
  /// SignedData accepts signatures of), not_found (it has no such key), io (it fails).
  static Result<PrivateKey> from_uri(const std::string& uri);
  /// Errors: io (the system gives no random bytes).
  static Result<PrivateKey> generate(KeyKind kind);

  /// PKCS#8, unencrypted; empty for a key that cannot be taken from where it is.
  std::string to_pem() const;

 private:
  struct Data;
  friend struct PrivateKeyAccess;
  explicit PrivateKey(std::shared_ptr<const Data> data) noexcept : data_(std::move(data)) {}

  std::shared_ptr<const Data> data_;
};

struct CertificateRequest {
  std::string common_name;  ///< UTF-8, 1 to 64 characters
  unsigned days = 3650;     ///< from now on
  bool ca = false;          ///< whether it may issue certificates
};

/// Signed with SHA-256.
/// Errors: invalid_argument (the name, the days), io (the system gives no random bytes).
Result<Certificate> make_self_signed(const PrivateKey& key, const CertificateRequest& request);

std::string to_pem(const Certificate& certificate);

struct SignOptions {
  /// Certificates that are included, beside the signer's.
  std::span<const Certificate> chain = {};
  DigestKind digest = DigestKind::sha256;
  /// Whether the SignedData stands in a ContentInfo, as in capsules, and for openssl(1);
  /// efitools makes authenticated variables without.
  bool content_info = false;
};

/// Detached SignedData in DER, without signed attributes, so that of an RSA key it is always the
/// same; `signer` and the chain are included.
/// Errors: invalid_argument (`key` is not that of `signer`, too many certificates, 2 GiB of
/// content), io (the system
/// gives no random bytes; whoever has the key does not sign).
Result<std::vector<std::byte>> sign(std::span<const std::byte> content, const PrivateKey& key,
                                    const Certificate& signer, const SignOptions& options = {});

}  // namespace efistore::crypto
