// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Keys, certificates and signatures that are made here are read and accepted here.
#include "efistore/crypto/signing_key.hpp"

#include <gmock/gmock.h>

#include <cstdlib>
#include <ctime>

#include "efistore/base/bytes.hpp"
#include "efistore/crypto/signed_data.hpp"

#include "support/authority.hpp"

namespace efistore::crypto {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Signer {
  PrivateKey key;
  Certificate certificate;
};

Signer make_signer(KeyKind kind, const std::string& name = "signer") {
  auto key = PrivateKey::generate(kind).value();
  auto certificate = make_self_signed(key, {.common_name = name, .days = 10, .ca = false}).value();
  return {key, certificate};
}

/// "BEGIN RSA PRIVATE KEY" and the like.
std::string traditional_pem(const std::string& kind) {
  return test::key_pem(test::test_key(kind), test::KeyForm::traditional);
}

class EveryKind : public testing::TestWithParam<KeyKind> {};

TEST_P(EveryKind, SignsAndIsAccepted) {
  const Signer signer = make_signer(GetParam());
  const auto content = as_bytes("content");
  for (const DigestKind digest : {DigestKind::sha256, DigestKind::sha384, DigestKind::sha512}) {
    const auto der = sign(content, signer.key, signer.certificate, {.digest = digest});
    ASSERT_TRUE(der) << der.error().message;
    const auto signed_data = SignedData::parse(*der);
    ASSERT_TRUE(signed_data) << signed_data.error().message;
    EXPECT_EQ(signer.certificate, signed_data->signer());
    const Status by = signed_data->verify_by(content, signer.certificate);
    EXPECT_TRUE(by) << by.error().message;
    const Status up_to = signed_data->verify_up_to(content, signer.certificate);
    EXPECT_TRUE(up_to) << up_to.error().message;
    EXPECT_FALSE(signed_data->verify_by(as_bytes("Content"), signer.certificate));
    EXPECT_FALSE(signed_data->verify_up_to(as_bytes(""), signer.certificate));
  }
}

TEST_P(EveryKind, ComesBackFromPem) {
  const Signer signer = make_signer(GetParam());
  EXPECT_THAT(signer.key.to_pem(), StartsWith("-----BEGIN PRIVATE KEY-----\n"));
  const auto key = PrivateKey::from_pem(signer.key.to_pem());
  ASSERT_TRUE(key) << key.error().message;
  EXPECT_EQ(signer.key.to_pem(), key->to_pem());
  EXPECT_TRUE(sign({}, *key, signer.certificate));
  const auto certificates = Certificate::from_pem(to_pem(signer.certificate));
  ASSERT_TRUE(certificates) << certificates.error().message;
  ASSERT_EQ(1U, certificates->size());
  EXPECT_EQ(signer.certificate, certificates->front());
}

INSTANTIATE_TEST_SUITE_P(Keys, EveryKind,
                         testing::Values(KeyKind::rsa2048, KeyKind::rsa3072, KeyKind::rsa4096,
                                         KeyKind::ec_p256, KeyKind::ec_p384, KeyKind::ec_p521));

TEST(MakeSelfSigned, HasWhatWasAskedFor) {
  const auto key = PrivateKey::generate(KeyKind::ec_p256).value();
  const auto before = std::time(nullptr);
  const auto made = make_self_signed(key, {.common_name = "K\u00f6nig", .days = 7, .ca = true});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ("K\u00f6nig", made->common_name());
  EXPECT_EQ("CN=K\u00f6nig", made->subject());
  EXPECT_EQ(made->subject(), made->issuer());
  EXPECT_GE(made->not_before(), before);
  EXPECT_EQ(made->not_before() + 7 * 86400, made->not_after());
  EXPECT_EQ(KeyType::ec, made->key_type());
  EXPECT_EQ(256U, made->key_bits());
  EXPECT_EQ(59U, made->serial().size());
}

TEST(MakeSelfSigned, RefusesNamesAndTimesThatCannotBe) {
  const auto key = PrivateKey::generate(KeyKind::ec_p256).value();
  for (const std::string& name : {std::string(), std::string(65, 'x'), std::string("\xff")}) {
    const auto made = make_self_signed(key, {.common_name = name});
    ASSERT_FALSE(made) << name;
    EXPECT_EQ(Errc::invalid_argument, made.error().code);
  }
  EXPECT_TRUE(make_self_signed(key, {.common_name = std::string(64, 'x')}));
  EXPECT_TRUE(make_self_signed(key, {.common_name = "x", .days = max_validity_days}));
  EXPECT_FALSE(make_self_signed(key, {.common_name = "x", .days = 0}));
  EXPECT_FALSE(make_self_signed(key, {.common_name = "x", .days = max_validity_days + 1}));
}

TEST(PrivateKeyInPem, TraditionalFormsAndTextAroundAreRead) {
  for (const std::string& pem : {traditional_pem("RSA:2048"), traditional_pem("EC:P-384"),
                                 "text\n" + traditional_pem("EC:P-256") + "more"}) {
    EXPECT_TRUE(PrivateKey::from_pem(pem)) << pem;
  }
  const std::string parameters =
      "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
      "-----END EC PARAMETERS-----\n";
  EXPECT_TRUE(PrivateKey::from_pem(parameters + traditional_pem("EC:P-256")));
}

TEST(PrivateKeyInPem, EncryptedIsRefusedWithoutAsking) {
  for (const auto form : {test::KeyForm::pkcs8, test::KeyForm::traditional}) {
    const std::string pem = test::key_pem(test::test_key("EC:P-256"), form, "passphrase");
    ASSERT_THAT(pem, HasSubstr("ENCRYPTED"));
    const auto key = PrivateKey::from_pem(pem);
    ASSERT_FALSE(key);
    EXPECT_EQ(Errc::unsupported, key.error().code);
    EXPECT_THAT(key.error().message, HasSubstr("is encrypted"));
  }
}

TEST(PrivateKeyInPem, BrokenTextIsRefused) {
  const std::string good = traditional_pem("EC:P-256");
  const Signer signer = make_signer(KeyKind::ec_p256);
  for (const std::string& pem : {std::string(), std::string("nothing"), to_pem(signer.certificate),
                                 good.substr(0, good.size() / 2)}) {
    const auto key = PrivateKey::from_pem(pem);
    ASSERT_FALSE(key) << pem;
    EXPECT_EQ(Errc::invalid_argument, key.error().code);
  }
}

TEST(PrivateKeyInPem, KeysWhoseSignaturesWouldBeRefusedAreRefused) {
  for (const std::string kind : {"RSA:1024", "RSA-PSS:2048", "EC:P-224", "ED25519", "DSA"}) {
    const auto key = PrivateKey::from_pem(test::key_pem(test::test_key(kind)));
    ASSERT_FALSE(key) << kind;
    EXPECT_EQ(Errc::unsupported, key.error().code);
  }
}

TEST(Sign, RefusesAKeyThatIsNotTheSigners) {
  const Signer signer = make_signer(KeyKind::ec_p256);
  const Signer other = make_signer(KeyKind::ec_p256);
  const auto der = sign({}, other.key, signer.certificate);
  ASSERT_FALSE(der);
  EXPECT_EQ(Errc::invalid_argument, der.error().code);
  EXPECT_THAT(der.error().message, HasSubstr("not that of the signer"));
}

TEST(Sign, StandsInAContentInfoWhereThatIsAskedFor) {
  const auto key = PrivateKey::generate(KeyKind::rsa2048).value();
  const auto certificate = make_self_signed(key, {.common_name = "signer"}).value();
  const auto content = as_bytes("content");
  const auto bare = sign(content, key, certificate).value();
  const auto wrapped = sign(content, key, certificate, {.content_info = true}).value();
  // SEQUENCE { OBJECT IDENTIFIER signedData, [0] { bare } }, each with a length of two bytes
  EXPECT_EQ("06092a864886f70d010702a082", to_hex(std::span(wrapped).subspan(4, 13)));
  EXPECT_TRUE(equal_bytes(bare, std::span(wrapped).subspan(19)));
  const auto signed_data = SignedData::parse(wrapped);
  ASSERT_TRUE(signed_data) << signed_data.error().message;
  EXPECT_TRUE(signed_data->verify_by(content, certificate));
}

TEST(PrivateKeyOfAToken, OtherUrisAreRefusedAndSoIsOneWithoutItsProvider) {
  for (const std::string uri : {"", "file:key.pem", "key.pem", "PKCS11:object=a"}) {
    const auto key = PrivateKey::from_uri(uri);
    ASSERT_FALSE(key) << uri;
    EXPECT_EQ(Errc::invalid_argument, key.error().code);
  }
  // Wherever the provider may be installed, it is not here.
  ASSERT_EQ(0, setenv("OPENSSL_MODULES", "/dev/null", 1));
  const auto key = PrivateKey::from_uri("pkcs11:object=a");
  ASSERT_FALSE(key);
  EXPECT_EQ(Errc::unsupported, key.error().code);
  EXPECT_THAT(key.error().message, HasSubstr("provider \"pkcs11\""));
}

TEST(Sign, IncludesTheChainAndTheSignerOnce) {
  const Signer signer = make_signer(KeyKind::ec_p256);
  const Signer other = make_signer(KeyKind::ec_p256);
  const std::vector chain{signer.certificate, other.certificate};
  const auto signed_data =
      SignedData::parse(sign({}, signer.key, signer.certificate, {.chain = chain}).value());
  ASSERT_TRUE(signed_data) << signed_data.error().message;
  EXPECT_EQ(chain, signed_data->certificates());
}

}  // namespace
}  // namespace efistore::crypto
