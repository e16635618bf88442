// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/crypto/certificate.hpp"

#include <gmock/gmock.h>
#include <openssl/core_names.h>

#include <algorithm>

#include "efistore/base/bytes.hpp"
#include "efistore/crypto/signing_key.hpp"

#include "support/authority.hpp"

namespace efistore::crypto {
namespace {

using test::CertificateFields;
using test::issue;
using test::test_key;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Certificate make(const CertificateFields& fields, const std::string& kind = "EC:P-256") {
  auto certificate = Certificate::from_der(issue(test_key(kind), fields).der);
  EXPECT_TRUE(certificate) << certificate.error().message;
  return certificate.value();
}

std::string refusal(std::span<const std::byte> der) {
  const auto certificate = Certificate::from_der(der);
  if (certificate) return "";
  EXPECT_EQ(Errc::invalid_argument, certificate.error().code);
  return certificate.error().message;
}

/// Adds a part to the subject, of any string type.
auto add_name(int nid, int type, const std::string& value) {
  return [=](X509* x509) {
    ASSERT_EQ(1, X509_NAME_add_entry_by_NID(X509_get_subject_name(x509), nid, type,
                                            reinterpret_cast<const unsigned char*>(value.data()),
                                            static_cast<int>(value.size()), -1, 0));
  };
}

TEST(Certificate, IsTheBytesThatItWasReadFrom) {
  const auto issued = issue(test_key("RSA:2048"), {});
  const auto certificate = Certificate::from_der(issued.der);
  ASSERT_TRUE(certificate);
  EXPECT_TRUE(equal_bytes(issued.der, certificate->der()));
  EXPECT_EQ(sha256(issued.der), certificate->fingerprint());
  EXPECT_EQ(*certificate, Certificate::from_der(issued.der).value());
  EXPECT_NE(*certificate, make({.serial = 2}));
}

TEST(Certificate, ToBeSignedIsWhatStandsBehindTheOuterHeader) {
  const auto issued = issue(test_key("RSA:2048"), {});
  const auto part = Certificate::from_der(issued.der)->to_be_signed();
  ASSERT_LT(part.size() + 4, issued.der.size());
  EXPECT_TRUE(equal_bytes(part, std::span(issued.der).subspan(4, part.size())));
  EXPECT_EQ(std::byte{0x30}, part[0]);
  // SEQUENCE with a length of two bytes.
  const auto size = static_cast<std::size_t>(part[2]) * 256 + static_cast<std::size_t>(part[3]);
  EXPECT_EQ(size + 4, part.size());
}

TEST(Certificate, KeysByTypeAndSize) {
  EXPECT_EQ(KeyType::rsa, make({}, "RSA:2048").key_type());
  EXPECT_EQ(2048U, make({}, "RSA:2048").key_bits());
  EXPECT_EQ(KeyType::rsa, make({}, "RSA:1024").key_type());
  EXPECT_EQ(KeyType::ec, make({}, "EC:P-521").key_type());
  EXPECT_EQ(521U, make({}, "EC:P-521").key_bits());
  EXPECT_EQ(KeyType::other, make({}, "ED25519").key_type());
  EXPECT_EQ(KeyType::other, make({}, "DSA").key_type());
  EXPECT_EQ(KeyType::other, make({.pss = true}, "RSA-PSS:2048").key_type());
}

TEST(Certificate, KeyThatNobodyKnowsIsOther) {
  auto der = issue(test_key("EC:P-256"), {}).der;
  const auto identifier = from_hex("06072a8648ce3d0201").value();
  const auto found = std::search(der.begin(), der.end(), identifier.begin(), identifier.end());
  ASSERT_NE(found, der.end());
  found[static_cast<std::ptrdiff_t>(identifier.size()) - 1] = std::byte{0x55};
  const auto certificate = Certificate::from_der(der);
  ASSERT_TRUE(certificate) << certificate.error().message;
  EXPECT_EQ(KeyType::other, certificate->key_type());
  EXPECT_EQ(0U, certificate->key_bits());
}

TEST(Certificate, CommonNameIsTheFirst) {
  EXPECT_EQ("signer", make({}).common_name());
  EXPECT_EQ("signer", make({.change = add_name(NID_commonName, MBSTRING_ASC, "b")}).common_name());
  EXPECT_EQ("", make({.change = [](X509* x509) {
                  X509_NAME* empty = X509_NAME_new();
                  X509_set_subject_name(x509, empty);
                  X509_NAME_free(empty);
                }}).common_name());
}

TEST(Certificate, CommonNameInUtf8) {
  EXPECT_EQ("K\u00f6nig", make({.subject = "K\u00f6nig"}).common_name());
  const auto bmp = [](X509* x509) {
    X509_NAME* name = X509_NAME_new();
    const std::string value("\0K\0\xf6", 4);
    X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_BMPSTRING,
                               reinterpret_cast<const unsigned char*>(value.data()), 4, -1, 0);
    X509_set_subject_name(x509, name);
    X509_NAME_free(name);
  };
  EXPECT_EQ("K\u00f6", make({.change = bmp}).common_name());
}

TEST(Certificate, NamesHideNothing) {
  const std::string value("a\nb\x1b[m\0c", 8);
  const Certificate certificate =
      make({.change = add_name(NID_organizationName, V_ASN1_UTF8STRING, value)});
  EXPECT_EQ("O=a\\0Ab\\1B[m\\00c,CN=signer", certificate.subject());
  EXPECT_EQ("CN=sign\\,er \u00f6", make({.subject = "sign,er \u00f6"}).subject());
}

TEST(Certificate, IssuerAndSubject) {
  const auto root = test::issue_ca(test_key("EC:P-256", 1), "root");
  const auto issued = issue(test_key("EC:P-256"), {}, &root);
  const auto certificate = Certificate::from_der(issued.der);
  EXPECT_EQ("CN=root", certificate->issuer());
  EXPECT_EQ("CN=signer", certificate->subject());
}

TEST(Certificate, SerialsAsOpensslPrintsThem) {
  EXPECT_EQ("01", make({.serial = 1}).serial());
  EXPECT_EQ("01:00", make({.serial = 256}).serial());
  EXPECT_EQ("DE:AD:BE:EF", make({.serial = 0xdeadbeef}).serial());
  EXPECT_EQ("-01:23", make({.serial = -0x123}).serial());
  EXPECT_EQ("00", make({.serial = 0}).serial());
}

TEST(Certificate, TimesOfBothForms) {
  const auto set = [](const char* from, const char* to) {
    return [=](X509* x509) {
      ASN1_TIME_set_string(X509_getm_notBefore(x509), from);
      ASN1_TIME_set_string(X509_getm_notAfter(x509), to);
    };
  };
  const Certificate ordinary = make({.change = set("700101000001Z", "99991231235959Z")});
  EXPECT_EQ(1, ordinary.not_before());
  EXPECT_EQ(253402300799, ordinary.not_after());
  const Certificate early = make({.change = set("500101000000Z", "491231235959Z")});
  EXPECT_EQ(-631152000, early.not_before());
  EXPECT_EQ(2524607999, early.not_after());
}

TEST(Certificate, TimeThatIsNoDateIsZero) {
  auto der = issue(test_key("EC:P-256"), {.change =
                                              [](X509* x509) {
                                                ASN1_TIME_set_string(X509_getm_notAfter(x509),
                                                                     "20991231235959Z");
                                              }})
                 .der;
  const auto date = as_bytes("20991231235959Z");
  const auto found = std::search(der.begin(), der.end(), date.begin(), date.end());
  ASSERT_NE(found, der.end());
  found[4] = std::byte{'2'};
  const auto certificate = Certificate::from_der(der);
  ASSERT_TRUE(certificate);
  EXPECT_EQ(0, certificate->not_after());
}

TEST(Certificate, RefusesWhatIsNotExactlyOne) {
  const auto der = issue(test_key("RSA:2048"), {}).der;
  for (std::size_t size = 0; size < der.size(); ++size) {
    EXPECT_NE("", refusal(std::span(der).first(size))) << size;
  }
  auto longer = der;
  longer.push_back(std::byte{0});
  EXPECT_THAT(refusal(longer), HasSubstr("1 bytes follow"));
  longer.pop_back();
  longer.insert(longer.end(), der.begin(), der.end());
  EXPECT_THAT(refusal(longer), HasSubstr("follow the value"));
}

TEST(Certificate, RefusesBer) {
  const auto der = issue(test_key("RSA:2048"), {}).der;
  ASSERT_EQ(std::byte{0x82}, der[1]);
  std::vector<std::byte> indefinite{der[0], std::byte{0x80}};
  indefinite.insert(indefinite.end(), der.begin() + 4, der.end());
  indefinite.resize(indefinite.size() + 2);
  EXPECT_THAT(refusal(indefinite), HasSubstr("DER"));
  std::vector<std::byte> long_length{der[0], std::byte{0x83}, std::byte{0}, der[2], der[3]};
  long_length.insert(long_length.end(), der.begin() + 4, der.end());
  EXPECT_THAT(refusal(long_length), HasSubstr("DER"));
}

TEST(Certificate, RefusesWhatIsEncodedOtherwiseAgain) {
  // The signature, a BIT STRING, with a bit that is there and does not count.
  auto der = issue(test_key("RSA:2048"), {}).der;
  const auto start = from_hex("0382010100").value();
  const auto found = std::find_end(der.begin(), der.end(), start.begin(), start.end());
  ASSERT_NE(found, der.end());
  found[4] = std::byte{1};
  der.back() |= std::byte{1};
  EXPECT_THAT(refusal(der), HasSubstr("encoded again"));
}

TEST(Certificate, RefusesCurvesWithoutAName) {
  EVP_PKEY* key = EVP_PKEY_dup(test_key("EC:P-256").get());
  ASSERT_EQ(1, EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, "explicit"));
  const auto issued = issue(test::Key(key, EVP_PKEY_free), {});
  EXPECT_THAT(refusal(issued.der), HasSubstr("curve of its EC key has no name"));
}

TEST(Certificate, RefusesWhatIsLarger) {
  const auto padded = [](std::size_t size) {
    return issue(test_key("EC:P-256"), {.extensions = {{"nsComment", std::string(size, 'x')}}}).der;
  };
  EXPECT_EQ("", refusal(padded(max_certificate_size_bytes - 1000)));
  EXPECT_THAT(refusal(padded(max_certificate_size_bytes)), HasSubstr("more than 65536"));
}

TEST(CertificatesInPem, AreReadPastOtherBlocks) {
  const Certificate a = make({});
  const Certificate b = make({.serial = 2});
  const std::string key = test::key_pem(test_key("EC:P-256"));
  const auto read = Certificate::from_pem("text\n" + key + to_pem(a) + "more\n" + to_pem(b));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_THAT(*read, ElementsAre(a, b));
}

TEST(CertificatesInPem, BrokenTextIsRefused) {
  const std::string good = to_pem(make({}));
  for (const std::string& text :
       {std::string(), std::string("nothing"), test::key_pem(test_key("EC:P-256")),
        good.substr(0, good.size() / 2), good + good.substr(0, good.size() / 2),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + good}) {
    const auto read = Certificate::from_pem(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(Errc::invalid_argument, read.error().code);
  }
}

TEST(CertificatesInPem, NumberIsLimited) {
  const std::string one = to_pem(make({}));
  std::string text;
  for (std::size_t i = 0; i < max_pem_certificates; ++i) text += one;
  EXPECT_EQ(max_pem_certificates, Certificate::from_pem(text)->size());
  EXPECT_FALSE(Certificate::from_pem(text + one));
}

TEST(Sha256, OfPartsIsThatOfTheWhole) {
  EXPECT_EQ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            to_hex(sha256(as_bytes("abc"))));
  EXPECT_EQ(sha256(as_bytes("abc")), sha256({as_bytes("a"), {}, as_bytes("bc")}));
  EXPECT_EQ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", to_hex(sha256({})));
}

}  // namespace
}  // namespace efistore::crypto
