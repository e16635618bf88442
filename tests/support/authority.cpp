// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "support/authority.hpp"

#include <openssl/cms.h>
#include <openssl/core_names.h>
#include <openssl/dsa.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>
#include <map>

namespace efistore::test {

namespace {

/// A context that reads no configuration, so that tests can have a hostile one.
OSSL_LIB_CTX* context() {
  static OSSL_LIB_CTX* const made = [] {
    OSSL_LIB_CTX* fresh = OSSL_LIB_CTX_new();
    OSSL_PROVIDER_load(fresh, "default");
    return fresh;
  }();
  return made;
}

void need(bool done, int line = __builtin_LINE()) {
  if (done) return;
  std::fprintf(stderr, "%s:%d: OpenSSL failed\n", __FILE__, line);
  ERR_print_errors_fp(stderr);
  std::abort();
}

Key owned(EVP_PKEY* key) {
  need(key != nullptr);
  return Key(key, EVP_PKEY_free);
}

BN_CTX* bignum_context() {
  static BN_CTX* const made = BN_CTX_new_ex(context());
  return made;
}

Key make_dsa() {
  EVP_PKEY_CTX* parameters_context = EVP_PKEY_CTX_new_from_name(context(), "DSA", nullptr);
  EVP_PKEY* parameters = nullptr;
  need(EVP_PKEY_paramgen_init(parameters_context) == 1 &&
       EVP_PKEY_CTX_set_dsa_paramgen_bits(parameters_context, 1024) == 1 &&
       EVP_PKEY_paramgen(parameters_context, &parameters) == 1);
  EVP_PKEY_CTX* key_context = EVP_PKEY_CTX_new_from_pkey(context(), parameters, nullptr);
  EVP_PKEY* key = nullptr;
  need(EVP_PKEY_keygen_init(key_context) == 1 && EVP_PKEY_keygen(key_context, &key) == 1);
  EVP_PKEY_CTX_free(key_context);
  EVP_PKEY_free(parameters);
  EVP_PKEY_CTX_free(parameters_context);
  return owned(key);
}

Key make_rsa(const char* type, unsigned bits, std::uint64_t exponent) {
  EVP_PKEY_CTX* key_context = EVP_PKEY_CTX_new_from_name(context(), type, nullptr);
  OSSL_PARAM_BLD* builder = OSSL_PARAM_BLD_new();
  BIGNUM* number = BN_new();
  need(BN_set_word(number, exponent) == 1 &&
       OSSL_PARAM_BLD_push_uint(builder, OSSL_PKEY_PARAM_RSA_BITS, bits) == 1 &&
       OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, number) == 1);
  OSSL_PARAM* params = OSSL_PARAM_BLD_to_param(builder);
  EVP_PKEY* key = nullptr;
  need(EVP_PKEY_keygen_init(key_context) == 1 &&
       EVP_PKEY_CTX_set_params(key_context, params) == 1 &&
       EVP_PKEY_keygen(key_context, &key) == 1);
  OSSL_PARAM_free(params);
  BN_free(number);
  OSSL_PARAM_BLD_free(builder);
  EVP_PKEY_CTX_free(key_context);
  return owned(key);
}

Key make_key(const std::string& kind) {
  const std::size_t colon = kind.find(':');
  const std::string type = kind.substr(0, colon);
  const std::string detail = colon == std::string::npos ? "" : kind.substr(colon + 1);
  if (type == "RSA" || type == "RSA-PSS") {
    return make_rsa(type.c_str(), static_cast<unsigned>(std::stoul(detail)), 65537);
  }
  if (type == "EC") return owned(EVP_PKEY_Q_keygen(context(), nullptr, "EC", detail.c_str()));
  if (type == "DSA") return make_dsa();
  return owned(EVP_PKEY_Q_keygen(context(), nullptr, type.c_str()));
}

EVP_MD* digest_of(const char* name) {
  static std::map<std::string, EVP_MD*> fetched;
  EVP_MD*& digest = fetched[name];
  if (digest == nullptr) digest = EVP_MD_fetch(context(), name, nullptr);
  need(digest != nullptr);
  return digest;
}

void add_extension(X509* x509, X509* issuer, const std::string& name, const std::string& value) {
  X509V3_CTX extension_context{};
  X509V3_set_ctx(&extension_context, issuer, x509, nullptr, nullptr, 0);
  // A numeric identifier stands for an extension that nobody knows.
  X509_EXTENSION* extension =
      X509V3_EXT_nconf(nullptr, &extension_context, name.c_str(), value.c_str());
  need(extension != nullptr && X509_add_ext(x509, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

void sign_certificate(X509* x509, const Key& key, const CertificateFields& fields) {
  // These keys sign the message and not its digest.
  const bool takes_digest = EVP_PKEY_is_a(key.get(), "ED25519") == 0;
  EVP_MD_CTX* signing = EVP_MD_CTX_new();
  EVP_PKEY_CTX* key_context = nullptr;
  need(EVP_DigestSignInit_ex(signing, &key_context, takes_digest ? fields.digest : nullptr,
                             context(), nullptr, key.get(), nullptr) == 1);
  if (fields.pss) need(EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) == 1);
  need(X509_sign_ctx(x509, signing) > 0);
  EVP_MD_CTX_free(signing);
}

template <typename T>
std::vector<std::byte> der_of(int (*i2d)(const T*, unsigned char**), const T* object) {
  const int size = i2d(object, nullptr);
  need(size > 0);
  std::vector<std::byte> der(static_cast<std::size_t>(size));
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  i2d(object, &out);
  return der;
}

BIO* reader_over(std::span<const std::byte> bytes) {
  BIO* bio = BIO_new(BIO_s_mem());
  need(bio != nullptr);
  if (!bytes.empty()) {
    need(BIO_write(bio, bytes.data(), static_cast<int>(bytes.size())) ==
         static_cast<int>(bytes.size()));
  }
  return bio;
}

}  // namespace

Key test_key(const std::string& kind, int number) {
  static std::map<std::pair<std::string, int>, Key> keys;
  Key& key = keys[{kind, number}];
  if (!key) key = make_key(kind);
  return key;
}

Key rsa_key_with_exponent(unsigned bits, std::uint64_t exponent) {
  return make_rsa("RSA", bits, exponent);
}

Key rsa_public_key(int modulus_bits, int exponent_bits) {
  OSSL_PARAM_BLD* builder = OSSL_PARAM_BLD_new();
  BIGNUM* modulus = BN_new();
  BIGNUM* exponent = BN_new();
  need(BN_rand_ex(modulus, modulus_bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD, 0,
                  bignum_context()) == 1 &&
       BN_rand_ex(exponent, exponent_bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD, 0,
                  bignum_context()) == 1 &&
       OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
       OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1);
  OSSL_PARAM* params = OSSL_PARAM_BLD_to_param(builder);
  EVP_PKEY_CTX* key_context = EVP_PKEY_CTX_new_from_name(context(), "RSA", nullptr);
  EVP_PKEY* key = nullptr;
  need(EVP_PKEY_fromdata_init(key_context) == 1 &&
       EVP_PKEY_fromdata(key_context, &key, EVP_PKEY_PUBLIC_KEY, params) == 1);
  EVP_PKEY_CTX_free(key_context);
  OSSL_PARAM_free(params);
  BN_free(exponent);
  BN_free(modulus);
  OSSL_PARAM_BLD_free(builder);
  return owned(key);
}

std::string key_pem(const Key& key, KeyForm form, const std::string& passphrase) {
  EVP_CIPHER* cipher =
      passphrase.empty() ? nullptr : EVP_CIPHER_fetch(context(), "AES-256-CBC", nullptr);
  need(passphrase.empty() == (cipher == nullptr));
  const int size = static_cast<int>(passphrase.size());
  BIO* bio = BIO_new(BIO_s_mem());
  if (form == KeyForm::pkcs8) {
    need(PEM_write_bio_PKCS8PrivateKey(bio, key.get(), cipher, passphrase.data(), size, nullptr,
                                       nullptr) == 1);
  } else {
    need(PEM_write_bio_PrivateKey_traditional(
             bio, key.get(), cipher, reinterpret_cast<const unsigned char*>(passphrase.data()),
             size, nullptr, nullptr) == 1);
  }
  EVP_CIPHER_free(cipher);
  char* start = nullptr;
  const long text_size = BIO_get_mem_data(bio, &start);
  std::string text(start, static_cast<std::size_t>(text_size));
  BIO_free(bio);
  return text;
}

Issued issue(const Key& key, const CertificateFields& fields, const Issued* issuer) {
  static std::int64_t serials = 1000;
  const std::shared_ptr<X509> made(X509_new_ex(context(), nullptr), X509_free);
  X509* x509 = made.get();
  X509_NAME* name = X509_get_subject_name(x509);
  need(X509_set_version(x509, fields.version - 1) == 1 &&
       ASN1_INTEGER_set_int64(X509_get_serialNumber(x509), fields.serial.value_or(++serials)) ==
           1 &&
       X509_time_adj_ex(X509_getm_notBefore(x509), static_cast<int>(fields.begins_in_days), 0,
                        nullptr) != nullptr &&
       X509_time_adj_ex(X509_getm_notAfter(x509), static_cast<int>(fields.ends_in_days), 0,
                        nullptr) != nullptr &&
       X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                  reinterpret_cast<const unsigned char*>(fields.subject.c_str()),
                                  -1, -1, 0) == 1 &&
       X509_set_issuer_name(
           x509, issuer == nullptr ? name : X509_get_subject_name(issuer->x509.get())) == 1 &&
       X509_set_pubkey(x509, key.get()) == 1);
  for (const auto& [extension, value] : fields.extensions) {
    add_extension(x509, issuer == nullptr ? x509 : issuer->x509.get(), extension, value);
  }
  if (fields.change) fields.change(x509);
  sign_certificate(x509, issuer == nullptr ? key : issuer->key, fields);
  return {key, der_of(i2d_X509, static_cast<const X509*>(x509)), made};
}

Issued issue_ca(const Key& key, const std::string& subject, const Issued* issuer) {
  return issue(key,
               {.subject = subject,
                .extensions = {{"basicConstraints", "critical,CA:TRUE"},
                               {"keyUsage", "critical,keyCertSign"}}},
               issuer);
}

std::vector<std::byte> pkcs7_sign(std::span<const std::byte> content, const Issued& signer,
                                  const SigningFields& fields) {
  unsigned flags = PKCS7_BINARY | PKCS7_PARTIAL;
  if (!fields.attributes) flags |= PKCS7_NOATTR;
  if (!fields.embedded) flags |= PKCS7_DETACHED;
  const int all = static_cast<int>(flags);
  PKCS7* pkcs7 = PKCS7_sign_ex(nullptr, nullptr, nullptr, nullptr, all, context(), nullptr);
  std::vector<Issued> signers{signer};
  signers.insert(signers.end(), fields.more_signers.begin(), fields.more_signers.end());
  for (const Issued& one : signers) {
    need(PKCS7_sign_add_signer(pkcs7, one.x509.get(), one.key.get(), digest_of(fields.digest),
                               all) != nullptr);
  }
  for (const Issued& one : fields.included) {
    need(PKCS7_add_certificate(pkcs7, one.x509.get()) == 1);
  }
  BIO* in = reader_over(content);
  need(PKCS7_final(pkcs7, in, all) == 1);
  BIO_free(in);
  if (fields.change) fields.change(pkcs7);
  const auto der = fields.content_info
                       ? der_of(i2d_PKCS7, static_cast<const PKCS7*>(pkcs7))
                       : der_of(i2d_PKCS7_SIGNED, static_cast<const PKCS7_SIGNED*>(pkcs7->d.sign));
  PKCS7_free(pkcs7);
  return der;
}

std::vector<std::byte> cms_sign(std::span<const std::byte> content, const Issued& signer,
                                const char* digest, bool pss) {
  constexpr unsigned flags = CMS_BINARY | CMS_PARTIAL | CMS_DETACHED | CMS_NOATTR;
  CMS_ContentInfo* cms = CMS_sign_ex(nullptr, nullptr, nullptr, nullptr, flags, context(), nullptr);
  CMS_SignerInfo* info = CMS_add1_signer(cms, signer.x509.get(), signer.key.get(),
                                         digest_of(digest), flags | (pss ? CMS_KEY_PARAM : 0U));
  need(info != nullptr);
  if (pss) {
    need(EVP_PKEY_CTX_set_rsa_padding(CMS_SignerInfo_get0_pkey_ctx(info), RSA_PKCS1_PSS_PADDING) ==
         1);
  }
  BIO* in = reader_over(content);
  need(CMS_final(cms, in, nullptr, flags) == 1);
  BIO_free(in);
  const auto der = der_of(i2d_CMS_ContentInfo, static_cast<const CMS_ContentInfo*>(cms));
  CMS_ContentInfo_free(cms);
  return der;
}

}  // namespace efistore::test
