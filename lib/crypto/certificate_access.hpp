// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// OpenSSL's objects behind the public classes, for the files of this layer.
#pragma once

#include "efistore/crypto/certificate.hpp"
#include "efistore/crypto/signing_key.hpp"

#include "openssl.hpp"

namespace efistore::crypto {

struct CertificateAccess {
  /// Not const, because OpenSSL counts references and caches extensions in it, under a lock.
  static X509* x509(const Certificate& certificate) noexcept;
};

struct PrivateKeyAccess {
  static EVP_PKEY* key(const PrivateKey& key) noexcept;
  /// That of the key's provider: library_context(), or another for a key that is elsewhere.
  static OSSL_LIB_CTX* context(const PrivateKey& key) noexcept;
};

/// The public key; a null pointer if OpenSSL does not know it.
inline EVP_PKEY* public_key(const Certificate& certificate) noexcept {
  const ErrorScope errors;
  return X509_get0_pubkey(CertificateAccess::x509(certificate));
}

}  // namespace efistore::crypto
