// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Input that is made to cost time or memory; and traces that are left in OpenSSL.
#include <gmock/gmock.h>
#include <openssl/err.h>

#include <chrono>
#include <thread>

#include "efistore/base/bytes.hpp"
#include "efistore/crypto/signed_data.hpp"
#include "efistore/crypto/signing_key.hpp"

#include "support/authority.hpp"

namespace efistore::crypto {
namespace {

using test::issue;
using test::issue_ca;
using test::Issued;
using test::test_key;
using ::testing::HasSubstr;

const auto content = as_bytes("what is signed");

/// Generous, because sanitizers and busy machines are slow; what is warded off here takes seconds
/// or forever.
constexpr std::chrono::milliseconds time_limit{500};

template <typename F>
std::chrono::milliseconds duration_of(const F& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               start);
}

/// `size` bytes of values that all begin and none of which ends before the input does.
std::vector<std::byte> nested(std::size_t size) {
  std::vector<std::byte> bytes;
  for (std::size_t left = size; left >= 6; left -= 5) {
    const std::size_t inside = left - 5;
    for (const std::size_t part :
         {std::size_t{0x30}, std::size_t{0x83}, inside >> 16, inside >> 8, inside}) {
      bytes.push_back(static_cast<std::byte>(part & 0xff));
    }
  }
  bytes.resize(size);
  return bytes;
}

TEST(Hostile, DeeplyNestedValuesAreRefusedAtOnce) {
  const auto bytes = nested(max_signed_data_size_bytes);
  EXPECT_LT(
      duration_of([&] {
        const auto signed_data = SignedData::parse(bytes);
        ASSERT_FALSE(signed_data);
        EXPECT_THAT(signed_data.error().message, HasSubstr("inside one another"));
        EXPECT_FALSE(Certificate::from_der(std::span(bytes).last(max_certificate_size_bytes)));
      }),
      time_limit);
}

TEST(Hostile, MillionsOfValuesAreRefusedAtOnce) {
  std::vector<std::byte> bytes(max_signed_data_size_bytes);
  const std::size_t inside = bytes.size() - 5;
  ByteWriter writer(bytes);
  for (const std::size_t part :
       {std::size_t{0x30}, std::size_t{0x83}, inside >> 16, inside >> 8, inside}) {
    writer.u8(static_cast<std::uint8_t>(part & 0xff));
  }
  for (std::size_t i = 0; i < inside / 2; ++i) writer.u16(0x0030);
  EXPECT_LT(duration_of([&] { EXPECT_FALSE(SignedData::parse(bytes)); }), time_limit);
}

TEST(Hostile, LargerInputIsNotLookedAt) {
  const std::vector<std::byte> bytes(max_signed_data_size_bytes + 1);
  const auto signed_data = SignedData::parse(bytes);
  ASSERT_FALSE(signed_data);
  EXPECT_THAT(signed_data.error().message, HasSubstr("more than 1048576"));
}

TEST(Hostile, ThousandsOfCertificatesAreCountedFirst) {
  const Issued signer = issue(test_key("EC:P-256"), {});
  std::vector<Issued> included(2500, issue(test_key("EC:P-256", 1), {.subject = "other"}));
  for (Issued& one : included) one.x509.reset(X509_dup(one.x509.get()), X509_free);
  const auto der = test::pkcs7_sign(content, signer, {.change = [&](PKCS7* pkcs7) {
                                      for (const Issued& one : included) {
                                        X509_up_ref(one.x509.get());
                                        sk_X509_push(pkcs7->d.sign->cert, one.x509.get());
                                      }
                                    }});
  ASSERT_GT(der.size(), 600000U);
  EXPECT_LT(duration_of([&] {
              const auto signed_data = SignedData::parse(der);
              ASSERT_FALSE(signed_data);
              EXPECT_THAT(signed_data.error().message, HasSubstr("more than 16"));
            }),
            time_limit);
}

TEST(Hostile, HugeKeysAreNotComputedWith) {
  const Issued root = issue_ca(test_key("RSA:2048", 1), "root");
  const Certificate anchor = Certificate::from_der(root.der).value();
  const Issued named = issue_ca(test_key("RSA:2048", 2), "huge");
  const Issued signer = issue(test_key("RSA:2048", 3), {}, &named);
  for (const int bits : {4096, 16384, 200000}) {
    // With its exponent, OpenSSL would compute for up to minutes.
    const Issued huge = issue_ca(test::rsa_public_key(bits, bits - 1), "huge", &root);
    const auto der = test::pkcs7_sign(content, signer, {.included = {huge}});
    EXPECT_LT(duration_of([&] {
                const auto signed_data = SignedData::parse(der);
                ASSERT_TRUE(signed_data) << signed_data.error().message;
                EXPECT_FALSE(signed_data->verify_up_to(content, anchor));
                const auto trusted = Certificate::from_der(huge.der);
                ASSERT_TRUE(trusted) << trusted.error().message;
                EXPECT_FALSE(signed_data->verify_up_to(content, *trusted));
              }),
              time_limit)
        << bits;
  }
}

TEST(Hostile, LinksOfOneNameAreTriedInTime) {
  // Every link could be the issuer of every other.
  std::vector<Issued> links;
  for (std::size_t i = 0; i + 1 < max_included_certificates; ++i) {
    links.push_back(issue(test_key("RSA:4096"), {.subject = "a",
                                                 .serial = static_cast<std::int64_t>(i + 2),
                                                 .extensions = {{"basicConstraints", "CA:TRUE"}}}));
  }
  const Issued signer = issue(test_key("RSA:4096"), {.subject = "end"}, &links.front());
  const Issued stranger = issue_ca(test_key("EC:P-256"), "a");
  const auto der = test::pkcs7_sign(content, signer, {.included = links});
  EXPECT_LT(duration_of([&] {
              const auto signed_data = SignedData::parse(der);
              ASSERT_TRUE(signed_data) << signed_data.error().message;
              EXPECT_FALSE(
                  signed_data->verify_up_to(content, Certificate::from_der(stranger.der).value()));
            }),
            time_limit);
}

/// Everything that fails in OpenSSL.
void fail_in_every_way() {
  const Issued signer = issue(test_key("EC:P-256"), {});
  const auto der = test::pkcs7_sign(content, signer);
  EXPECT_FALSE(Certificate::from_der(from_hex("3000").value()));
  EXPECT_FALSE(Certificate::from_der(from_hex("30053003020101").value()));
  EXPECT_FALSE(
      Certificate::from_pem("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n"));
  EXPECT_FALSE(PrivateKey::from_pem("nothing"));
  EXPECT_FALSE(SignedData::parse(from_hex("3003020101").value()));
  const auto signed_data = SignedData::parse(der);
  ASSERT_TRUE(signed_data);
  const Certificate certificate = Certificate::from_der(signer.der).value();
  EXPECT_FALSE(signed_data->verify_by(as_bytes("else"), certificate));
  EXPECT_FALSE(signed_data->verify_up_to(
      content, Certificate::from_der(issue_ca(test_key("EC:P-256", 1), "x").der).value()));
  EXPECT_EQ(KeyType::ec, certificate.key_type());
  EXPECT_EQ(0U, certificate.common_name().find("signer"));
}

TEST(ErrorQueue, IsLeftEmpty) {
  ERR_clear_error();
  fail_in_every_way();
  EXPECT_EQ(0U, ERR_peek_error());
}

TEST(ErrorQueue, KeepsWhatWasThere) {
  ERR_clear_error();
  ERR_raise(ERR_LIB_USER, 42);
  const unsigned long before = ERR_peek_error();
  fail_in_every_way();
  EXPECT_EQ(before, ERR_get_error());
  EXPECT_EQ(0U, ERR_get_error());
}

TEST(Threads, ShareCertificatesAndSignedData) {
  const Issued root = issue_ca(test_key("EC:P-256", 1), "root");
  const Issued signer = issue(test_key("EC:P-256"), {}, &root);
  const auto signed_data = SignedData::parse(test::pkcs7_sign(content, signer)).value();
  const Certificate anchor = Certificate::from_der(root.der).value();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        EXPECT_TRUE(signed_data.verify_up_to(content, anchor));
        EXPECT_EQ("CN=root", anchor.subject());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace efistore::crypto
