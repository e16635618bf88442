// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What of PKCS#7 is accepted and refused: each row of the table in lib/SPEC.md that is not about
// chains.
#include "efistore/crypto/signed_data.hpp"

#include <gmock/gmock.h>
#include <openssl/err.h>

#include <algorithm>

#include "efistore/base/bytes.hpp"

#include "support/authority.hpp"

namespace efistore::crypto {
namespace {

using test::cms_sign;
using test::issue;
using test::Issued;
using test::pkcs7_sign;
using test::test_key;
using ::testing::HasSubstr;
using ::testing::Test;

const auto content = as_bytes("what is signed");

Certificate certificate_of(const Issued& issued) {
  return Certificate::from_der(issued.der).value();
}

/// Accepted, and only for this content.
testing::AssertionResult accepts(std::span<const std::byte> der, const Issued& signer) {
  const auto signed_data = SignedData::parse(der);
  if (!signed_data) return testing::AssertionFailure() << signed_data.error().message;
  const Certificate certificate = certificate_of(signer);
  for (const Status& status : {signed_data->verify_by(content, certificate),
                               signed_data->verify_up_to(content, certificate)}) {
    if (!status) return testing::AssertionFailure() << status.error().message;
  }
  if (signed_data->verify_by(as_bytes("what is signeD"), certificate) ||
      signed_data->verify_up_to(as_bytes("what is signeD"), certificate)) {
    return testing::AssertionFailure() << "other content is accepted too";
  }
  return testing::AssertionSuccess();
}

/// The message of the refusal.
std::string refusal(std::span<const std::byte> der) {
  const auto signed_data = SignedData::parse(der);
  if (signed_data) return "";
  EXPECT_EQ(Errc::invalid_argument, signed_data.error().code);
  return signed_data.error().message;
}

Issued signer_with(const std::string& kind) {
  return issue(test_key(kind), {});
}

Issued ec_signer() {
  return signer_with("EC:P-256");
}

struct Accepted {
  std::string kind;
  const char* digest;
};

class AcceptedAlgorithms : public testing::TestWithParam<Accepted> {};

TEST_P(AcceptedAlgorithms, WithAndWithoutAttributesAsPkcs7AndAsCms) {
  const Issued signer = signer_with(GetParam().kind);
  for (const bool attributes : {false, true}) {
    for (const bool content_info : {false, true}) {
      EXPECT_TRUE(accepts(pkcs7_sign(content, signer,
                                     {.digest = GetParam().digest,
                                      .attributes = attributes,
                                      .content_info = content_info}),
                          signer));
    }
  }
  EXPECT_TRUE(accepts(cms_sign(content, signer, GetParam().digest), signer));
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, AcceptedAlgorithms,
    testing::Values(Accepted{"RSA:2048", "SHA256"}, Accepted{"RSA:2048", "SHA512"},
                    Accepted{"RSA:3072", "SHA384"}, Accepted{"RSA:4096", "SHA256"},
                    Accepted{"EC:P-256", "SHA256"}, Accepted{"EC:P-384", "SHA384"},
                    Accepted{"EC:P-521", "SHA512"}, Accepted{"EC:P-521", "SHA256"}));

TEST(SignedData, EmptyContentIsContent) {
  const Issued signer = ec_signer();
  const auto signed_data = SignedData::parse(pkcs7_sign({}, signer));
  ASSERT_TRUE(signed_data) << signed_data.error().message;
  EXPECT_TRUE(signed_data->verify_by({}, certificate_of(signer)));
  EXPECT_FALSE(signed_data->verify_by(as_bytes("x"), certificate_of(signer)));
}

TEST(SignedData, RefusesWeakDigests) {
  const Issued rsa = signer_with("RSA:2048");
  const Issued ec = ec_signer();
  for (const char* digest : {"MD5", "SHA1", "SHA224", "SHA512-256", "SHA3-256"}) {
    EXPECT_THAT(refusal(cms_sign(content, rsa, digest)), HasSubstr("its digest is not")) << digest;
  }
  for (const char* digest : {"SHA1", "SHA224"}) {
    EXPECT_THAT(refusal(pkcs7_sign(content, ec, {.digest = digest})),
                HasSubstr("its digest is not"));
  }
}

TEST(SignedData, RefusesDigestsThatDisagree) {
  const auto other = pkcs7_sign(content, ec_signer(), {.change = [](PKCS7* pkcs7) {
                                  X509_ALGOR_set0(sk_X509_ALGOR_value(pkcs7->d.sign->md_algs, 0),
                                                  OBJ_nid2obj(NID_sha512), V_ASN1_NULL, nullptr);
                                }});
  EXPECT_THAT(refusal(other), HasSubstr("one digest, and its signer another"));
  const auto two =
      pkcs7_sign(content, ec_signer(), {.change = [](PKCS7* pkcs7) {
                   X509_ALGOR* algorithm = X509_ALGOR_new();
                   X509_ALGOR_set0(algorithm, OBJ_nid2obj(NID_sha512), V_ASN1_NULL, nullptr);
                   sk_X509_ALGOR_push(pkcs7->d.sign->md_algs, algorithm);
                 }});
  EXPECT_THAT(refusal(two), HasSubstr("exactly one digest algorithm"));
  const auto none = pkcs7_sign(content, ec_signer(), {.change = [](PKCS7* pkcs7) {
                                 X509_ALGOR_free(sk_X509_ALGOR_pop(pkcs7->d.sign->md_algs));
                               }});
  EXPECT_THAT(refusal(none), HasSubstr("exactly one digest algorithm"));
}

TEST(SignedData, RefusesRsaPss) {
  const Issued rsa = signer_with("RSA:2048");
  EXPECT_NE("", refusal(cms_sign(content, rsa, "SHA256", true)));
  // The identifier alone, over a signature that is not PSS.
  const auto renamed = pkcs7_sign(
      content, rsa, {.change = [](PKCS7* pkcs7) {
        X509_ALGOR_set0(sk_PKCS7_SIGNER_INFO_value(pkcs7->d.sign->signer_info, 0)->digest_enc_alg,
                        OBJ_nid2obj(NID_rsassaPss), V_ASN1_NULL, nullptr);
      }});
  EXPECT_THAT(refusal(renamed), HasSubstr("rsassaPss"));
  // A key that is for PSS only.
  const Issued bound = issue(test_key("RSA-PSS:2048"), {.pss = true});
  EXPECT_THAT(refusal(cms_sign(content, bound, "SHA256", true)), HasSubstr("neither RSA nor EC"));
}

TEST(SignedData, PssSignatureUnderTheIdentifierOfPkcs1IsWrong) {
  const Issued rsa = signer_with("RSA:2048");
  const auto der = pkcs7_sign(
      content, rsa, {.change = [&](PKCS7* pkcs7) {
        PKCS7_SIGNER_INFO* info = sk_PKCS7_SIGNER_INFO_value(pkcs7->d.sign->signer_info, 0);
        EVP_MD_CTX* context = EVP_MD_CTX_new();
        EVP_PKEY_CTX* key_context = nullptr;
        ASSERT_EQ(1,
                  EVP_DigestSignInit(context, &key_context, EVP_sha256(), nullptr, rsa.key.get()));
        ASSERT_EQ(1, EVP_PKEY_CTX_set_rsa_padding(key_context, 6 /* RSA_PKCS1_PSS_PADDING */));
        std::size_t size = 256;
        std::array<unsigned char, 256> signature{};
        ASSERT_EQ(1, EVP_DigestSign(context, signature.data(), &size,
                                    reinterpret_cast<const unsigned char*>(content.data()),
                                    content.size()));
        ASN1_OCTET_STRING_set(info->enc_digest, signature.data(), static_cast<int>(size));
        EVP_MD_CTX_free(context);
      }});
  const auto signed_data = SignedData::parse(der);
  ASSERT_TRUE(signed_data) << signed_data.error().message;
  EXPECT_FALSE(signed_data->verify_by(content, certificate_of(rsa)));
}

/// A message by an EC key in which another certificate, with a key that OpenSSL may not even be
/// able to sign with, stands in the signer's place.
std::vector<std::byte> as_if_by(const test::Key& key, int algorithm_nid) {
  const Issued signer = issue(test_key("EC:P-256"), {.serial = 1});
  const Issued ca = test::issue_ca(test_key("EC:P-256"), "signer");
  const Issued other = issue(key, {.serial = 1}, &ca);
  return pkcs7_sign(content, signer, {.change = [&](PKCS7* pkcs7) {
                      X509_free(sk_X509_pop(pkcs7->d.sign->cert));
                      X509_up_ref(other.x509.get());
                      sk_X509_push(pkcs7->d.sign->cert, other.x509.get());
                      X509_ALGOR_set0(
                          sk_PKCS7_SIGNER_INFO_value(pkcs7->d.sign->signer_info, 0)->digest_enc_alg,
                          OBJ_nid2obj(algorithm_nid), V_ASN1_UNDEF, nullptr);
                    }});
}

TEST(SignedData, RefusesOtherKeys) {
  for (const auto& [kind, nid] :
       {std::pair{"ED25519", NID_ED25519}, std::pair{"DSA", NID_dsa_with_SHA256},
        std::pair{"RSA-PSS:2048", NID_rsassaPss}}) {
    EXPECT_THAT(refusal(as_if_by(test_key(kind), nid)), HasSubstr("neither RSA nor EC")) << kind;
  }
  for (const std::string curve : {"P-224", "secp256k1", "brainpoolP256r1"}) {
    EXPECT_THAT(refusal(as_if_by(test_key("EC:" + curve), NID_ecdsa_with_SHA256)),
                HasSubstr("the curve"));
  }
}

TEST(SignedData, RefusesRsaKeysOfOtherSizes) {
  for (const int bits : {1024, 2047, 4097, 16384}) {
    EXPECT_THAT(refusal(as_if_by(test::rsa_public_key(bits, 17), NID_rsaEncryption)),
                HasSubstr(std::to_string(bits)));
  }
  for (const int bits : {2048, 4096}) {
    EXPECT_EQ("", refusal(as_if_by(test::rsa_public_key(bits, 17), NID_rsaEncryption)));
  }
}

TEST(SignedData, RefusesLongPublicExponents) {
  const Issued three = issue(test::rsa_key_with_exponent(2048, 3), {});
  EXPECT_TRUE(accepts(pkcs7_sign(content, three), three));
  EXPECT_EQ("", refusal(as_if_by(test::rsa_public_key(2048, 64), NID_rsaEncryption)));
  for (const int bits : {1, 65, 2047}) {
    EXPECT_THAT(refusal(as_if_by(test::rsa_public_key(2048, bits), NID_rsaEncryption)),
                HasSubstr("exponent"))
        << bits;
  }
}

TEST(SignedData, RefusesContentOfItsOwn) {
  EXPECT_THAT(refusal(pkcs7_sign(content, ec_signer(), {.embedded = true})),
              HasSubstr("content of its own"));
  EXPECT_THAT(refusal(pkcs7_sign({}, ec_signer(), {.embedded = true})),
              HasSubstr("content of its own"));
}

TEST(SignedData, RefusesOtherTypesOfContent) {
  const auto typed = pkcs7_sign(content, ec_signer(), {.change = [](PKCS7* pkcs7) {
                                  PKCS7* inside = pkcs7->d.sign->contents;
                                  inside->type = OBJ_txt2obj("1.3.6.1.4.1.311.2.1.4", 1);
                                  inside->d.other = nullptr;
                                }});
  EXPECT_THAT(refusal(typed), HasSubstr("type of its content"));
}

TEST(SignedData, RefusesOtherContentInfos) {
  auto der = pkcs7_sign(content, ec_signer());
  const auto identifier = from_hex("06092a864886f70d010702").value();
  const auto found = std::search(der.begin(), der.end(), identifier.begin(), identifier.end());
  ASSERT_NE(found, der.end());
  found[static_cast<std::ptrdiff_t>(identifier.size()) - 1] = std::byte{3};
  EXPECT_THAT(refusal(der), HasSubstr("something else than SignedData"));
}

TEST(SignedData, RefusesRevocationLists) {
  const Issued signer = ec_signer();
  const auto der =
      pkcs7_sign(content, signer, {.change = [&](PKCS7* pkcs7) {
                   X509_CRL* list = X509_CRL_new();
                   X509_CRL_set_issuer_name(list, X509_get_subject_name(signer.x509.get()));
                   X509_CRL_set1_lastUpdate(list, X509_get0_notBefore(signer.x509.get()));
                   ASSERT_GT(X509_CRL_sign(list, signer.key.get(), EVP_sha256()), 0);
                   ASSERT_EQ(1, PKCS7_add_crl(pkcs7, list));
                   X509_CRL_free(list);
                 }});
  EXPECT_THAT(refusal(der), HasSubstr("revocation lists"));
}

TEST(SignedData, NeedsExactlyOneSigner) {
  const Issued first = ec_signer();
  const Issued second = issue(test_key("EC:P-256", 1), {.subject = "second"});
  EXPECT_THAT(refusal(pkcs7_sign(content, first, {.more_signers = {second}})),
              HasSubstr("exactly one signer"));
  EXPECT_THAT(refusal(pkcs7_sign(content, first,
                                 {.change =
                                      [](PKCS7* pkcs7) {
                                        PKCS7_SIGNER_INFO_free(
                                            sk_PKCS7_SIGNER_INFO_pop(pkcs7->d.sign->signer_info));
                                      }})),
              HasSubstr("exactly one signer"));
}

TEST(SignedData, NeedsTheSignersCertificate) {
  const auto drop = [](PKCS7* pkcs7) { X509_free(sk_X509_shift(pkcs7->d.sign->cert)); };
  EXPECT_THAT(refusal(pkcs7_sign(content, ec_signer(), {.change = drop})),
              HasSubstr("certificate"));
  const Issued other = issue(test_key("EC:P-256", 1), {.serial = 2});
  EXPECT_THAT(refusal(pkcs7_sign(content, ec_signer(), {.included = {other}, .change = drop})),
              HasSubstr("signer's certificate is not included"));
}

TEST(SignedData, RefusesTwoCertificatesOfTheSignersName) {
  // The same issuer and serial number.
  const Issued signer = issue(test_key("EC:P-256"), {.serial = 1});
  const Issued other = issue(test_key("EC:P-256", 1), {.serial = 1});
  EXPECT_THAT(refusal(pkcs7_sign(content, signer, {.included = {other}})),
              HasSubstr("two included certificates"));
  EXPECT_TRUE(accepts(pkcs7_sign(content, signer,
                                 {.change =
                                      [&](PKCS7* pkcs7) {
                                        X509_up_ref(signer.x509.get());
                                        sk_X509_push(pkcs7->d.sign->cert, signer.x509.get());
                                      }}),
                      signer));
}

TEST(SignedData, RefusesOtherVersions) {
  EXPECT_THAT(refusal(pkcs7_sign(
                  content, ec_signer(),
                  {.change = [](PKCS7* pkcs7) { ASN1_INTEGER_set(pkcs7->d.sign->version, 3); }})),
              HasSubstr("version"));
  EXPECT_THAT(refusal(pkcs7_sign(
                  content, ec_signer(),
                  {.change =
                       [](PKCS7* pkcs7) {
                         ASN1_INTEGER_set(
                             sk_PKCS7_SIGNER_INFO_value(pkcs7->d.sign->signer_info, 0)->version, 2);
                       }})),
              HasSubstr("version of its signer"));
}

TEST(SignedData, RefusesAnotherSignersSignature) {
  const Issued signer = issue(test_key("EC:P-256"), {.serial = 1});
  const Issued same_name = issue(test_key("EC:P-256", 1), {.serial = 1});
  const auto signed_data = SignedData::parse(pkcs7_sign(content, signer));
  ASSERT_TRUE(signed_data);
  const Status by = signed_data->verify_by(content, certificate_of(same_name));
  ASSERT_FALSE(by);
  EXPECT_EQ(Errc::invalid_argument, by.error().code);
  EXPECT_FALSE(signed_data->verify_up_to(content, certificate_of(same_name)));
  // Signed by one key, with the certificate of the other.
  const auto stolen =
      SignedData::parse(pkcs7_sign(content, signer, {.change = [&](PKCS7* pkcs7) {
                                     X509_free(sk_X509_shift(pkcs7->d.sign->cert));
                                     X509_up_ref(same_name.x509.get());
                                     sk_X509_push(pkcs7->d.sign->cert, same_name.x509.get());
                                   }}));
  ASSERT_TRUE(stolen);
  EXPECT_FALSE(stolen->verify_by(content, certificate_of(same_name)));
  EXPECT_FALSE(stolen->verify_by(content, certificate_of(signer)));
}

TEST(SignedData, DatesOfTheSignerDoNotMatter) {
  for (const auto& [begins, ends] : {std::pair{-20L, -10L}, std::pair{10L, 20L}}) {
    const Issued signer =
        issue(test_key("EC:P-256"), {.begins_in_days = begins, .ends_in_days = ends});
    EXPECT_TRUE(accepts(pkcs7_sign(content, signer), signer));
  }
}

TEST(SignedData, UsageOfTheSignerDoesNotMatter) {
  for (const auto& [name, value] : {std::pair{"keyUsage", "critical,keyAgreement"},
                                    std::pair{"extendedKeyUsage", "serverAuth"}}) {
    const Issued signer = issue(test_key("EC:P-256"), {.extensions = {{name, value}}});
    EXPECT_TRUE(accepts(pkcs7_sign(content, signer), signer));
  }
}

TEST(SignedData, SignedAttributesMustSpeakOfTheContent) {
  const auto with = [](const std::function<void(STACK_OF(X509_ATTRIBUTE)*)>& change) {
    return pkcs7_sign(
        content, ec_signer(),
        {.attributes = true, .change = [&](PKCS7* pkcs7) {
           change(sk_PKCS7_SIGNER_INFO_value(pkcs7->d.sign->signer_info, 0)->auth_attr);
         }});
  };
  const auto index_of = [](const STACK_OF(X509_ATTRIBUTE) * attributes, int nid) {
    return X509at_get_attr_by_NID(attributes, nid, -1);
  };
  for (const int nid : {NID_pkcs9_contentType, NID_pkcs9_messageDigest}) {
    EXPECT_THAT(refusal(with([&](auto* attributes) {
                  X509_ATTRIBUTE_free(X509at_delete_attr(attributes, index_of(attributes, nid)));
                })),
                HasSubstr("signed attributes do not name"));
    EXPECT_THAT(refusal(with([&](auto* attributes) {
                  sk_X509_ATTRIBUTE_push(attributes, X509_ATTRIBUTE_dup(sk_X509_ATTRIBUTE_value(
                                                         attributes, index_of(attributes, nid))));
                })),
                HasSubstr("signed attributes do not name"));
  }
  EXPECT_THAT(refusal(with([&](auto* attributes) {
                while (sk_X509_ATTRIBUTE_num(attributes) > 0) {
                  X509_ATTRIBUTE_free(sk_X509_ATTRIBUTE_pop(attributes));
                }
              })),
              HasSubstr("signed attributes do not name"));
  EXPECT_THAT(refusal(with([&](auto* attributes) {
                X509_ATTRIBUTE* type = sk_X509_ATTRIBUTE_value(
                    attributes, index_of(attributes, NID_pkcs9_contentType));
                X509_ATTRIBUTE_get0_type(type, 0)->value.object = OBJ_nid2obj(NID_pkcs7_signed);
              })),
              HasSubstr("another type of content"));
  EXPECT_THAT(refusal(with([&](auto* attributes) {
                X509_ATTRIBUTE* digest = sk_X509_ATTRIBUTE_value(
                    attributes, index_of(attributes, NID_pkcs9_messageDigest));
                X509_ATTRIBUTE_set1_data(digest, V_ASN1_OCTET_STRING, "0123", 4);
              })),
              HasSubstr("many values"));
}

TEST(SignedData, AttributesOfOtherContentAreRefused) {
  // The attributes and the signature over them are sound, and speak of something else.
  const Issued signer = ec_signer();
  const auto signed_data = SignedData::parse(pkcs7_sign(content, signer, {.attributes = true}));
  ASSERT_TRUE(signed_data);
  EXPECT_FALSE(signed_data->verify_by(as_bytes("else"), certificate_of(signer)));
}

TEST(SignedData, UnsignedAttributesDoNotMatter) {
  const Issued signer = ec_signer();
  EXPECT_TRUE(accepts(pkcs7_sign(content, signer,
                                 {.change =
                                      [](PKCS7* pkcs7) {
                                        PKCS7_add_attribute(sk_PKCS7_SIGNER_INFO_value(
                                                                pkcs7->d.sign->signer_info, 0),
                                                            NID_pkcs9_unstructuredName, V_ASN1_NULL,
                                                            nullptr);
                                      }}),
                      signer));
}

TEST(SignedData, RefusesWhatIsEncodedOtherwiseAgain) {
  // In a place that means nothing: an OCTET STRING that is made a BIT STRING with a bit that is
  // there and does not count.
  auto der = pkcs7_sign(
      content, ec_signer(), {.change = [](PKCS7* pkcs7) {
        ASN1_OCTET_STRING* value = ASN1_OCTET_STRING_new();
        ASN1_OCTET_STRING_set(value, reinterpret_cast<const unsigned char*>("\x01\x01\x01"), 3);
        PKCS7_add_attribute(sk_PKCS7_SIGNER_INFO_value(pkcs7->d.sign->signer_info, 0),
                            NID_pkcs9_unstructuredName, V_ASN1_OCTET_STRING, value);
      }});
  const auto bits = from_hex("0403010101").value();
  const auto found = std::find_end(der.begin(), der.end(), bits.begin(), bits.end());
  ASSERT_NE(found, der.end());
  *found = std::byte{3};
  EXPECT_THAT(refusal(der), HasSubstr("encoded again"));
}

TEST(SignedData, RefusesParametersOfAlgorithms) {
  EXPECT_THAT(
      refusal(pkcs7_sign(
          content, signer_with("RSA:2048"),
          {.change =
               [](PKCS7* pkcs7) {
                 X509_ALGOR_set0(
                     sk_PKCS7_SIGNER_INFO_value(pkcs7->d.sign->signer_info, 0)->digest_enc_alg,
                     OBJ_nid2obj(NID_rsaEncryption), V_ASN1_OBJECT, OBJ_nid2obj(NID_sha256));
               }})),
      HasSubstr("has parameters"));
}

TEST(SignedData, RefusesAnAlgorithmThatIsNotTheKeys) {
  for (const int nid : {NID_rsaEncryption, NID_ecdsa_with_SHA512, NID_ecdsa_with_SHA1}) {
    EXPECT_THAT(
        refusal(pkcs7_sign(
            content, ec_signer(),
            {.change =
                 [nid](PKCS7* pkcs7) {
                   X509_ALGOR_set0(
                       sk_PKCS7_SIGNER_INFO_value(pkcs7->d.sign->signer_info, 0)->digest_enc_alg,
                       OBJ_nid2obj(nid), V_ASN1_UNDEF, nullptr);
                 }})),
        HasSubstr("is not that of the signer's key"));
  }
}

}  // namespace
}  // namespace efistore::crypto
