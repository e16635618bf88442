// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Keys, certificates and PKCS#7 of every kind, also of those that the library neither makes nor
// accepts, by OpenSSL itself. What goes wrong here ends the process: there is nothing to test then.
#pragma once

#include <openssl/evp.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace efistore::test {

using Key = std::shared_ptr<EVP_PKEY>;

/// "RSA:2048" or another size, "RSA-PSS:2048", "EC:P-256" or another curve, "ED25519", "DSA". The
/// same key for the same kind and number, because making an RSA key takes long.
Key test_key(const std::string& kind, int number = 0);

/// A key that is made anew: RSA with a public exponent of its own.
Key rsa_key_with_exponent(unsigned bits, std::uint64_t exponent);

/// A public key that nobody has the private key of: random numbers of these sizes, odd.
Key rsa_public_key(int modulus_bits, int exponent_bits);

enum class KeyForm { pkcs8, traditional };

/// In PEM; encrypted if there is a passphrase.
std::string key_pem(const Key& key, KeyForm form = KeyForm::pkcs8,
                    const std::string& passphrase = "");

struct Issued;

struct CertificateFields {
  std::string subject = "signer";
  const char* digest = "SHA256";
  bool pss = false;                         ///< signed with RSA-PSS
  std::optional<std::int64_t> serial = {};  ///< another one each time
  int version = 3;
  long begins_in_days = -1;
  long ends_in_days = 30;
  /// Values of extensions as in openssl's configuration, by their names.
  std::vector<std::pair<std::string, std::string>> extensions = {};
  /// Last changes before it is signed.
  std::function<void(X509*)> change = {};
};

/// A certificate in DER with its key.
struct Issued {
  Key key;
  std::vector<std::byte> der;
  std::shared_ptr<X509> x509;
};

/// By `issuer`, or self-signed without one.
Issued issue(const Key& key, const CertificateFields& fields, const Issued* issuer = nullptr);

/// A certificate that may issue others.
Issued issue_ca(const Key& key, const std::string& subject, const Issued* issuer = nullptr);

struct SigningFields {
  const char* digest = "SHA256";
  bool attributes = false;
  bool embedded = false;  ///< content inside
  bool content_info = true;
  std::vector<Issued> included = {};  ///< beside the signer
  std::vector<Issued> more_signers = {};
  /// Last changes behind the signature.
  std::function<void(PKCS7*)> change = {};
};

/// By OpenSSL's PKCS7_sign.
std::vector<std::byte> pkcs7_sign(std::span<const std::byte> content, const Issued& signer,
                                  const SigningFields& fields = {});

/// By OpenSSL's CMS_sign, which knows more algorithms; without attributes; with RSA-PSS on request.
std::vector<std::byte> cms_sign(std::span<const std::byte> content, const Issued& signer,
                                const char* digest = "SHA256", bool pss = false);

}  // namespace efistore::test
