// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/crypto/signing_key.hpp"

#include <fmt/format.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <array>
#include <limits>

#include "efistore/base/bytes.hpp"
#include "efistore/crypto/signed_data.hpp"

#include "algorithms.hpp"
#include "certificate_access.hpp"
#include "stored_key.hpp"

namespace efistore::crypto {

struct PrivateKey::Data {
  KeyPtr key;
  /// Where the key is, and what is computed with it is.
  OSSL_LIB_CTX* context = library_context();
};

EVP_PKEY* PrivateKeyAccess::key(const PrivateKey& key) noexcept {
  return key.data_->key.get();
}

OSSL_LIB_CTX* PrivateKeyAccess::context(const PrivateKey& key) noexcept {
  return key.data_->context;
}

namespace {

tl::unexpected<Error> failed(std::string_view what) {
  return fail(Errc::io, fmt::format("{}: {}", what, last_reason()));
}

/// In the place of the callback that asks at the terminal.
int refuse_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

const char* name_of(DigestKind digest) noexcept {
  switch (digest) {
    case DigestKind::sha256:
      return "SHA256";
    case DigestKind::sha384:
      return "SHA384";
    case DigestKind::sha512:
      return "SHA512";
  }
  return "";
}

MdPtr fetch(OSSL_LIB_CTX* context, DigestKind digest) {
  return MdPtr(EVP_MD_fetch(context, name_of(digest), nullptr));
}

EVP_PKEY* generate_key(KeyKind kind) {
  const auto rsa = [](std::size_t bits) {
    return EVP_PKEY_Q_keygen(library_context(), nullptr, "RSA", bits);
  };
  const auto ec = [](const char* curve) {
    return EVP_PKEY_Q_keygen(library_context(), nullptr, "EC", curve);
  };
  switch (kind) {
    case KeyKind::rsa2048:
      return rsa(2048);
    case KeyKind::rsa3072:
      return rsa(3072);
    case KeyKind::rsa4096:
      return rsa(4096);
    case KeyKind::ec_p256:
      return ec("P-256");
    case KeyKind::ec_p384:
      return ec("P-384");
    case KeyKind::ec_p521:
      return ec("P-521");
  }
  return nullptr;
}

/// A positive number of 159 random bits: RFC 5280, 4.1.2.2 allows 20 bytes.
bool set_serial(X509* x509) {
  std::array<unsigned char, 20> bytes{};
  if (RAND_bytes_ex(library_context(), bytes.data(), bytes.size(), 0) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7fU) | 0x40U);
  const BignumPtr number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(x509)) != nullptr;
}

bool set_name(X509* x509, const std::string& common_name) {
  X509_NAME* name = X509_get_subject_name(x509);
  return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1 &&
         X509_set_issuer_name(x509, name) == 1;
}

bool set_validity(X509* x509, unsigned days) {
  return X509_gmtime_adj(X509_getm_notBefore(x509), 0) != nullptr &&
         X509_time_adj_ex(X509_getm_notAfter(x509), static_cast<int>(days), 0, nullptr) != nullptr;
}

bool add_extension(X509* x509, int nid, const char* value) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, x509, x509, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension && X509_add_ext(x509, extension.get(), -1) == 1;
}

/// The first 160 bits of the key's SHA-256: RFC 7093, 2. OpenSSL's own way is SHA-1, and in the
/// default context.
bool add_key_identifier(X509* x509) {
  const ASN1_BIT_STRING* key = X509_get0_pubkey_bitstr(x509);
  const Digest digest = sha256(std::as_bytes(
      std::span(ASN1_STRING_get0_data(key), static_cast<std::size_t>(ASN1_STRING_length(key)))));
  const OctetStringPtr identifier(ASN1_OCTET_STRING_new());
  return identifier && ASN1_OCTET_STRING_set(identifier.get(), raw(digest), 20) == 1 &&
         X509_add1_ext_i2d(x509, NID_subject_key_identifier, identifier.get(), 0, 0) == 1;
}

bool add_extensions(X509* x509, bool ca) {
  return add_extension(x509, NID_basic_constraints,
                       ca ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
         add_extension(
             x509, NID_key_usage,
             ca ? "critical,digitalSignature,keyCertSign,cRLSign" : "critical,digitalSignature") &&
         add_key_identifier(x509);
}

}  // namespace

Result<PrivateKey> PrivateKey::from_pem(std::string_view text) {
  const ErrorScope errors;
  const BioPtr in = reader_over(as_bytes(text));
  bool asked = false;
  KeyPtr key(in ? PEM_read_bio_PrivateKey_ex(in.get(), nullptr, refuse_passphrase, &asked,
                                             library_context(), nullptr)
                : nullptr);
  if (!key && asked) {
    return fail(Errc::unsupported,
                "the private key is encrypted, and only unencrypted ones are "
                "read (openssl pkey decrypts it)");
  }
  if (!key) {
    return fail(Errc::invalid_argument, fmt::format("no private key in PEM: {}", last_reason()));
  }
  if (Status checked = check_key(key.get()); !checked) return forward(std::move(checked));
  auto data = std::make_shared<Data>();
  data->key = std::move(key);
  return PrivateKey(std::move(data));
}

Result<PrivateKey> PrivateKey::from_uri(const std::string& uri) {
  const ErrorScope errors;
  auto stored = load_stored_key(uri);
  if (!stored) return forward(std::move(stored));
  if (Status checked = check_key(stored->key.get()); !checked) return forward(std::move(checked));
  auto data = std::make_shared<Data>();
  data->key = std::move(stored->key);
  data->context = stored->context;
  return PrivateKey(std::move(data));
}

Result<PrivateKey> PrivateKey::generate(KeyKind kind) {
  const ErrorScope errors;
  auto data = std::make_shared<Data>();
  data->key.reset(generate_key(kind));
  if (!data->key) return failed("no key was generated");
  return PrivateKey(std::move(data));
}

std::string PrivateKey::to_pem() const {
  const ErrorScope errors;
  const BioPtr out(BIO_new(BIO_s_secmem()));
  if (!out || PEM_write_bio_PKCS8PrivateKey(out.get(), data_->key.get(), nullptr, nullptr, 0,
                                            nullptr, nullptr) != 1) {
    return {};
  }
  return text_of(out.get());
}

Result<Certificate> make_self_signed(const PrivateKey& key, const CertificateRequest& request) {
  if (request.days == 0 || request.days > max_validity_days) {
    return fail(Errc::invalid_argument,
                fmt::format("a certificate is valid for 1 to {} days, not {}", max_validity_days,
                            request.days));
  }
  const ErrorScope errors;
  const X509Ptr x509(X509_new_ex(library_context(), nullptr));
  if (x509 && !set_name(x509.get(), request.common_name)) {
    return fail(Errc::invalid_argument, "the common name is not UTF-8 of 1 to 64 characters");
  }
  const MdPtr digest = fetch(library_context(), DigestKind::sha256);
  EVP_PKEY* native = PrivateKeyAccess::key(key);
  if (!x509 || !digest || X509_set_version(x509.get(), X509_VERSION_3) != 1 ||
      !set_serial(x509.get()) || !set_validity(x509.get(), request.days) ||
      X509_set_pubkey(x509.get(), native) != 1 || !add_extensions(x509.get(), request.ca) ||
      X509_sign(x509.get(), native, digest.get()) == 0) {
    return failed("no certificate was made");
  }
  return Certificate::from_der(to_der(i2d_X509, static_cast<const X509*>(x509.get())));
}

std::string to_pem(const Certificate& certificate) {
  const ErrorScope errors;
  const BioPtr out(BIO_new(BIO_s_mem()));
  if (!out || PEM_write_bio_X509(out.get(), CertificateAccess::x509(certificate)) != 1) return {};
  return text_of(out.get());
}

Result<std::vector<std::byte>> sign(std::span<const std::byte> content, const PrivateKey& key,
                                    const Certificate& signer, const SignOptions& options) {
  const ErrorScope errors;
  EVP_PKEY* native = PrivateKeyAccess::key(key);
  X509* signer_x509 = CertificateAccess::x509(signer);
  const EVP_PKEY* expected = public_key(signer);
  if (expected == nullptr || EVP_PKEY_eq(expected, native) != 1) {
    return fail(Errc::invalid_argument, "the key is not that of the signer's certificate");
  }
  const std::size_t certificates = options.chain.size() + 1;
  if (certificates > max_included_certificates) {
    return fail(Errc::invalid_argument, fmt::format("{} certificates are more than {}",
                                                    certificates, max_included_certificates));
  }
  // The most that OpenSSL reads from memory.
  if (content.size() > std::numeric_limits<int>::max()) {
    return fail(Errc::invalid_argument,
                fmt::format("{} bytes are more than can be signed", content.size()));
  }
  constexpr int flags = PKCS7_BINARY | PKCS7_DETACHED | PKCS7_NOATTR | PKCS7_PARTIAL;
  OSSL_LIB_CTX* context = PrivateKeyAccess::context(key);
  const MdPtr algorithm = fetch(context, options.digest);
  const Pkcs7Ptr pkcs7(PKCS7_sign_ex(nullptr, nullptr, nullptr, nullptr, flags, context, nullptr));
  bool done =
      algorithm && pkcs7 &&
      PKCS7_sign_add_signer(pkcs7.get(), signer_x509, native, algorithm.get(), flags) != nullptr;
  for (const Certificate& link : options.chain) {
    if (link == signer) continue;
    done = done && PKCS7_add_certificate(pkcs7.get(), CertificateAccess::x509(link)) == 1;
  }
  const BioPtr in = reader_over(content);
  if (!done || !in || PKCS7_final(pkcs7.get(), in.get(), flags) != 1) {
    return failed("nothing was signed");
  }
  std::vector<std::byte> der =
      options.content_info
          ? to_der(i2d_PKCS7, static_cast<const PKCS7*>(pkcs7.get()))
          : to_der(i2d_PKCS7_SIGNED, static_cast<const PKCS7_SIGNED*>(pkcs7->d.sign));
  if (der.empty()) return failed("nothing was signed");
  return der;
}

}  // namespace efistore::crypto
