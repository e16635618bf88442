// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "algorithms.hpp"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/objects.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace efistore::crypto {

namespace {

constexpr int min_rsa_bits = 2048;
constexpr int max_rsa_bits = 4096;
/// A verification costs as many squarings as the exponent has bits.
constexpr int max_rsa_exponent_bits = 64;

const char* name_of(int nid) noexcept {
  const char* name = OBJ_nid2ln(nid);
  return nid == NID_undef || name == nullptr ? "unknown" : name;
}

Status check_rsa(const EVP_PKEY* key) {
  const int bits = EVP_PKEY_get_bits(key);
  if (bits < min_rsa_bits || bits > max_rsa_bits) {
    return fail(Errc::unsupported, fmt::format("the RSA key has {} bits, and only {} to {} count",
                                               bits, min_rsa_bits, max_rsa_bits));
  }
  BIGNUM* read = nullptr;
  const bool found = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &read) == 1;
  const BignumPtr exponent(read);
  if (!found || BN_is_odd(read) == 0 || BN_is_one(read) != 0 ||
      BN_num_bits(read) > max_rsa_exponent_bits) {
    return fail(Errc::unsupported,
                fmt::format("the RSA key's public exponent is not odd, above 1 and of at most {} "
                            "bits",
                            max_rsa_exponent_bits));
  }
  return {};
}

Status check_ec(const EVP_PKEY* key) {
  std::array<char, 64> name{};
  std::size_t size = 0;
  if (EVP_PKEY_get_group_name(key, name.data(), name.size(), &size) != 1) size = 0;
  const std::string_view curve(name.data(), size);
  constexpr std::array<std::string_view, 3> accepted{SN_X9_62_prime256v1, SN_secp384r1,
                                                     SN_secp521r1};
  if (std::ranges::find(accepted, curve) == accepted.end()) {
    return fail(Errc::unsupported,
                fmt::format("the EC key is on the curve {}, and only P-256, P-384 and P-521 count",
                            curve.empty() ? "that has no name" : curve));
  }
  return {};
}

}  // namespace

bool is_accepted_digest(int nid) noexcept {
  return nid == NID_sha256 || nid == NID_sha384 || nid == NID_sha512;
}

Status check_key(const EVP_PKEY* key) {
  switch (key == nullptr ? NID_undef : EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
      return check_rsa(key);
    case EVP_PKEY_EC:
      return check_ec(key);
    default:
      return fail(Errc::unsupported, "the key is neither RSA nor EC");
  }
}

Status check_certificate_signature(const X509* certificate) {
  const int nid = X509_get_signature_nid(certificate);
  int digest = NID_undef;
  int key = NID_undef;
  // RSA-PSS names its digest in parameters, so that none is found here.
  const bool known = OBJ_find_sigid_algs(nid, &digest, &key) == 1;
  if (!known || !is_accepted_digest(digest) ||
      (key != NID_rsaEncryption && key != NID_X9_62_id_ecPublicKey)) {
    return fail(Errc::unsupported,
                fmt::format("the certificate is signed with {}, and only SHA-256, SHA-384 and "
                            "SHA-512 with RSA (PKCS#1 v1.5) or ECDSA count",
                            name_of(nid)));
  }
  return {};
}

Status check_signature_algorithm(int nid, const EVP_PKEY* key, int digest_nid) {
  const int key_nid = EVP_PKEY_get_base_id(key);
  // Either the key's algorithm alone, as PKCS#7 has it, or with the digest, as CMS does.
  if (nid == key_nid) return {};
  int digest = NID_undef;
  int algorithm = NID_undef;
  if (OBJ_find_sigid_algs(nid, &digest, &algorithm) != 1 || algorithm != key_nid ||
      digest != digest_nid) {
    return fail(Errc::unsupported,
                fmt::format("the signature's algorithm, {}, is not that of the signer's key with "
                            "{}",
                            name_of(nid), name_of(digest_nid)));
  }
  return {};
}

}  // namespace efistore::crypto
