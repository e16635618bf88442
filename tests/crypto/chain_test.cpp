// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Which chains of certificates lead from a signer to a trusted certificate.
#include <gmock/gmock.h>

#include "efistore/base/bytes.hpp"
#include "efistore/crypto/signed_data.hpp"

#include "support/authority.hpp"

namespace efistore::crypto {
namespace {

using test::CertificateFields;
using test::issue;
using test::issue_ca;
using test::Issued;
using test::test_key;
using ::testing::HasSubstr;

const auto content = as_bytes("what is signed");

/// "" if accepted, else why not.
std::string verdict(const Issued& signer, const std::vector<Issued>& included,
                    const Issued& anchor) {
  const auto signed_data =
      SignedData::parse(test::pkcs7_sign(content, signer, {.included = included}));
  if (!signed_data) return "parse: " + signed_data.error().message;
  const Certificate trusted = Certificate::from_der(anchor.der).value();
  EXPECT_FALSE(signed_data->verify_up_to(as_bytes("else"), trusted));
  const Status status = signed_data->verify_up_to(content, trusted);
  if (status) return "";
  EXPECT_EQ(Errc::invalid_argument, status.error().code);
  return status.error().message;
}

test::Key ec_key(int number) {
  return test_key("EC:P-256", number);
}

struct Chain {
  Issued root = issue_ca(ec_key(1), "root");
  Issued middle = issue_ca(ec_key(2), "middle", &root);
  Issued signer = issue(ec_key(3), {.subject = "signer"}, &middle);
};

TEST(Chain, OfThreeLeadsToEachOfThem) {
  const Chain chain;
  EXPECT_EQ("", verdict(chain.signer, {chain.middle, chain.root}, chain.root));
  EXPECT_EQ("", verdict(chain.signer, {chain.middle}, chain.root));
  EXPECT_EQ("", verdict(chain.signer, {chain.root, chain.middle}, chain.middle));
  EXPECT_EQ("", verdict(chain.signer, {}, chain.middle));
  EXPECT_EQ("", verdict(chain.signer, {chain.middle, chain.root}, chain.signer));
  EXPECT_EQ("", verdict(chain.signer, {}, chain.signer));
}

TEST(Chain, VerifyByKnowsNone) {
  const Chain chain;
  const auto signed_data = SignedData::parse(
      test::pkcs7_sign(content, chain.signer, {.included = {chain.middle, chain.root}}));
  ASSERT_TRUE(signed_data);
  EXPECT_TRUE(signed_data->verify_by(content, Certificate::from_der(chain.signer.der).value()));
  EXPECT_FALSE(signed_data->verify_by(content, Certificate::from_der(chain.middle.der).value()));
  EXPECT_FALSE(signed_data->verify_by(content, Certificate::from_der(chain.root.der).value()));
}

TEST(Chain, WithALinkMissingIsNone) {
  const Chain chain;
  EXPECT_THAT(verdict(chain.signer, {}, chain.root), HasSubstr("no chain"));
  EXPECT_THAT(verdict(chain.signer, {chain.root}, chain.root), HasSubstr("no chain"));
}

TEST(Chain, OfRsaAndEcMixed) {
  const Issued root = issue_ca(test_key("RSA:2048"), "root");
  const Issued middle = issue_ca(test_key("EC:P-384"), "middle", &root);
  const Issued signer = issue(test_key("RSA:2048", 1), {.digest = "SHA384"}, &middle);
  EXPECT_EQ("", verdict(signer, {middle}, root));
}

TEST(Chain, ToAStrangerIsNone) {
  const Chain chain;
  const Issued stranger = issue_ca(ec_key(4), "stranger");
  const Issued same_name = issue_ca(ec_key(4), "root");
  EXPECT_THAT(verdict(chain.signer, {chain.middle, chain.root}, stranger), HasSubstr("no chain"));
  EXPECT_THAT(verdict(chain.signer, {chain.middle, chain.root}, same_name), HasSubstr("no chain"));
  EXPECT_THAT(verdict(chain.signer, {chain.middle, chain.root, same_name}, same_name),
              HasSubstr("no chain"));
  EXPECT_THAT(verdict(chain.signer, {chain.middle}, same_name), HasSubstr("no chain"));
}

TEST(Chain, OfAnotherKeyUnderTheNameOfALinkIsNone) {
  const Chain chain;
  // Who has any key can make a "middle"; the root has not signed this one.
  const Issued forged_middle = issue_ca(ec_key(4), "middle");
  const Issued signer = issue(ec_key(3), {.subject = "signer"}, &forged_middle);
  EXPECT_THAT(verdict(signer, {forged_middle}, chain.root), HasSubstr("no chain"));
  EXPECT_THAT(verdict(signer, {chain.middle}, chain.root), HasSubstr("no chain"));
  EXPECT_THAT(verdict(signer, {forged_middle, chain.middle}, chain.root), HasSubstr("no chain"));
}

TEST(Chain, DatesDoNotMatter) {
  const Issued root = issue(ec_key(1), {.subject = "root",
                                        .begins_in_days = -20,
                                        .ends_in_days = -10,
                                        .extensions = {{"basicConstraints", "critical,CA:TRUE"}}});
  const Issued signer = issue(ec_key(3), {.begins_in_days = 10, .ends_in_days = 20}, &root);
  EXPECT_EQ("", verdict(signer, {}, root));
}

TEST(Chain, UsageOfTheSignerDoesNotMatter) {
  const Chain chain;
  for (const auto& [name, value] : {std::pair{"keyUsage", "critical,keyAgreement"},
                                    std::pair{"extendedKeyUsage", "critical,serverAuth"}}) {
    const Issued signer = issue(ec_key(3), {.extensions = {{name, value}}}, &chain.root);
    EXPECT_EQ("", verdict(signer, {}, chain.root));
  }
}

struct WrongIssuer {
  std::string name;
  CertificateFields fields;
};

class WrongIssuers : public testing::TestWithParam<WrongIssuer> {};

TEST_P(WrongIssuers, AreNoLinkAndNoAnchor) {
  const Issued root = issue_ca(ec_key(1), "root");
  const Issued middle = issue(ec_key(2), GetParam().fields, &root);
  const Issued signer = issue(ec_key(3), {.subject = "end"}, &middle);
  EXPECT_THAT(verdict(signer, {middle}, root), HasSubstr("no chain"));
  EXPECT_THAT(verdict(signer, {}, middle), HasSubstr("no chain"));
  // It may sign for itself.
  EXPECT_EQ("", verdict(middle, {}, root));
  EXPECT_EQ("", verdict(middle, {}, middle));
}

INSTANTIATE_TEST_SUITE_P(
    Fields, WrongIssuers,
    testing::Values(
        WrongIssuer{"NotCa", {.extensions = {{"basicConstraints", "critical,CA:FALSE"}}}},
        WrongIssuer{"NoConstraints", {.extensions = {{"nsComment", "no word on that"}}}},
        WrongIssuer{"Version1", {.version = 1}},
        WrongIssuer{"NoCertSign",
                    {.extensions = {{"basicConstraints", "critical,CA:TRUE"},
                                    {"keyUsage", "critical,digitalSignature"}}}}),
    [](const auto& test) { return test.param.name; });

TEST(Chain, PathLengthIsKept) {
  const Issued root = issue(
      ec_key(1), {.subject = "root", .extensions = {{"basicConstraints", "CA:TRUE,pathlen:0"}}});
  const Issued middle = issue_ca(ec_key(2), "middle", &root);
  const Issued signer = issue(ec_key(3), {}, &middle);
  EXPECT_EQ("", verdict(issue(ec_key(3), {}, &root), {}, root));
  EXPECT_THAT(verdict(signer, {middle}, root), HasSubstr("no chain"));
}

TEST(Chain, UnknownCriticalExtensionsAreRefused) {
  const Chain chain;
  const Issued signer =
      issue(ec_key(3), {.extensions = {{"1.2.3.4", "critical,DER:0500"}}}, &chain.root);
  EXPECT_THAT(verdict(signer, {}, chain.root), HasSubstr("no chain"));
}

/// `between` certificates between signer and root.
std::string verdict_of_length(int between) {
  const Issued root = issue_ca(ec_key(1), "root");
  std::vector<Issued> links;
  for (int i = 0; i < between; ++i) {
    links.push_back(
        issue_ca(ec_key(2), "link " + std::to_string(i), links.empty() ? &root : &links.back()));
  }
  const Issued signer = issue(ec_key(3), {}, links.empty() ? &root : &links.back());
  return verdict(signer, links, root);
}

TEST(Chain, LengthIsLimited) {
  EXPECT_EQ("", verdict_of_length(max_intermediate_certificates));
  EXPECT_THAT(verdict_of_length(max_intermediate_certificates + 1), HasSubstr("no chain"));
}

TEST(Chain, NumberOfIncludedCertificatesIsLimited) {
  const Chain chain;
  std::vector<Issued> included{chain.middle};
  for (int i = 2; included.size() + 1 < max_included_certificates; ++i) {
    included.push_back(issue(ec_key(5), {.subject = "other", .serial = i}));
  }
  EXPECT_EQ("", verdict(chain.signer, included, chain.root));
  included.push_back(issue(ec_key(5), {.subject = "one more"}));
  EXPECT_THAT(verdict(chain.signer, included, chain.root), HasSubstr("parse: more than 16"));
}

TEST(Chain, LoopOfCrossSignedCertificatesEnds) {
  const Issued a = issue_ca(ec_key(1), "a");
  const Issued b = issue_ca(ec_key(2), "b");
  const Issued a_by_b = issue_ca(ec_key(1), "a", &b);
  const Issued b_by_a = issue_ca(ec_key(2), "b", &a);
  const Issued signer = issue(ec_key(3), {}, &a);
  const Issued stranger = issue_ca(ec_key(4), "stranger");
  EXPECT_THAT(verdict(signer, {a_by_b, b_by_a}, stranger), HasSubstr("no chain"));
  EXPECT_EQ("", verdict(signer, {a_by_b, b_by_a}, b));
  EXPECT_EQ("", verdict(signer, {a_by_b, b_by_a}, a));
}

TEST(Chain, WeakDigestsBelowTheAnchorAreRefused) {
  for (const std::string kind : {"RSA:2048", "EC:P-256"}) {
    for (const char* digest : {"MD5", "SHA1", "SHA224"}) {
      if (kind != "RSA:2048" && std::string_view(digest) == "MD5") continue;
      const Issued root = issue_ca(test_key(kind, 1), "root");
      const Issued weak_signer = issue(test_key(kind), {.digest = digest}, &root);
      EXPECT_THAT(verdict(weak_signer, {}, root), HasSubstr("is signed with")) << digest;
      const Issued weak_link = issue(
          test_key(kind, 2),
          {.subject = "link", .digest = digest, .extensions = {{"basicConstraints", "CA:TRUE"}}},
          &root);
      const Issued signer = issue(test_key(kind), {}, &weak_link);
      EXPECT_THAT(verdict(signer, {weak_link}, root), HasSubstr("no chain")) << digest;
      // Nobody looks at the signature on what is trusted itself.
      EXPECT_EQ("", verdict(signer, {}, weak_link)) << digest;
      EXPECT_EQ("", verdict(weak_signer, {}, weak_signer)) << digest;
    }
  }
}

TEST(Chain, PssBelowTheAnchorIsRefused) {
  const Issued root = issue_ca(test_key("RSA:2048", 1), "root");
  const Issued signer = issue(test_key("RSA:2048"), {.pss = true}, &root);
  EXPECT_THAT(verdict(signer, {}, root), HasSubstr("rsassaPss"));
  const Issued link = issue(
      test_key("RSA:2048", 2),
      {.subject = "link", .pss = true, .extensions = {{"basicConstraints", "CA:TRUE"}}}, &root);
  EXPECT_THAT(verdict(issue(test_key("RSA:2048"), {}, &link), {link}, root), HasSubstr("no chain"));
}

TEST(Chain, WeakKeysAreNoLinkAndNoAnchor) {
  for (const std::string kind : {"RSA:1024", "EC:P-224", "ED25519", "DSA"}) {
    const Issued root = issue_ca(ec_key(1), "root");
    const Issued weak = issue_ca(test_key(kind), "weak", &root);
    const Issued signer = issue(ec_key(3), {}, &weak);
    EXPECT_NE("", verdict(signer, {weak}, root)) << kind;
    EXPECT_THAT(verdict(signer, {}, weak), HasSubstr("the trusted certificate")) << kind;
    // Beside the chain it does not matter.
    EXPECT_EQ("", verdict(issue(ec_key(3), {}, &root), {weak}, root)) << kind;
  }
}

}  // namespace
}  // namespace efistore::crypto
