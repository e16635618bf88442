// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Which algorithms count. Everything else is refused, so that what OpenSSL learns to verify some
// day is not accepted unseen; lib/SPEC.md has the reasons.
#pragma once

#include "efistore/base/result.hpp"

#include "openssl.hpp"

namespace efistore::crypto {

/// SHA-256, SHA-384 or SHA-512, by the number that OpenSSL has for it.
bool is_accepted_digest(int nid) noexcept;

/// Checks that signatures of this key may count: RSA of 2048 to 4096 bits with a public exponent of
/// at most 64 bits, or EC on P-256, P-384 or P-521. Does not compute with the key, whose size is as
/// hostile as the rest of it. A null pointer is a key that OpenSSL does not know.
/// Errors: unsupported, saying what the key is.
Status check_key(const EVP_PKEY* key);

/// Checks that a certificate is signed with an accepted digest and with RSA (PKCS#1 v1.5) or ECDSA.
/// Errors: unsupported.
Status check_certificate_signature(const X509* certificate);

/// Checks the algorithm that a SignerInfo names for its signature against the signer's key and the
/// digest that it names before.
/// Errors: unsupported.
Status check_signature_algorithm(int nid, const EVP_PKEY* key, int digest_nid);

}  // namespace efistore::crypto
