// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Files with keys, as efitools, openssl and firmware vendors make them.
#pragma once

#include <string>
#include <vector>

#include "efistore/base/guid.hpp"
#include "efistore/crypto/certificate.hpp"
#include "efistore/crypto/signing_key.hpp"

#include "common/outcome.hpp"

namespace efistore::tools {

/// What a file has for a key variable.
struct KeyFile {
  /// Whole signature lists (.esl), made of the certificates if the file has these (.der, .pem).
  std::vector<std::byte> lists{};
  /// Or all that SetVariable takes, signature included (.auth, and dbx updates).
  std::vector<std::byte> signed_request{};
};

/// Reads `path`, which the content tells to be a certificate (DER, or PEM with one or more), a list
/// of signatures, or a signed request. `owner` goes into lists made of certificates.
Outcome<KeyFile> read_key_file(const std::string& path, const Guid& owner);

/// The one certificate in a file, PEM or DER.
Outcome<crypto::Certificate> read_certificate(const std::string& path);

/// All certificates in a file, PEM or DER.
Outcome<std::vector<crypto::Certificate>> read_certificates(const std::string& path);

/// An unencrypted private key in PEM.
Outcome<crypto::PrivateKey> read_private_key(const std::string& path);

/// The private key that a pkcs11: URI names, or that of a file as of read_private_key().
Outcome<crypto::PrivateKey> find_private_key(const std::string& path_or_uri);

}  // namespace efistore::tools
