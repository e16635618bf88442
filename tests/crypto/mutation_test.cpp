// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// A valid message, changed in every place: what is still accepted says the same.
#include <gmock/gmock.h>

#include "efistore/base/bytes.hpp"
#include "efistore/crypto/signed_data.hpp"

#include "support/authority.hpp"

namespace efistore::crypto {
namespace {

using test::issue;
using test::issue_ca;
using test::Issued;
using test::test_key;

const auto content = as_bytes("what is signed");

struct Message {
  Issued root = issue_ca(test_key("EC:P-256", 1), "root");
  Issued middle = issue_ca(test_key("EC:P-256", 2), "middle", &root);
  Issued signer = issue(test_key("EC:P-256", 3), {}, &middle);
  Certificate anchor = Certificate::from_der(root.der).value();

  std::vector<std::byte> der(bool attributes) const {
    return test::pkcs7_sign(content, signer, {.attributes = attributes, .included = {middle}});
  }
};

/// Whether `der` is accepted for `content`; for other content it must not be.
bool is_accepted(std::span<const std::byte> der, const Certificate& anchor) {
  const auto signed_data = SignedData::parse(der);
  if (!signed_data) return false;
  const bool accepted = signed_data->verify_up_to(content, anchor).has_value();
  EXPECT_FALSE(signed_data->verify_up_to(as_bytes("other"), anchor));
  return accepted;
}

class Mutation : public testing::TestWithParam<bool> {};

TEST_P(Mutation, EveryBitOfTheMessage) {
  const Message message;
  const std::vector<std::byte> der = message.der(GetParam());
  ASSERT_TRUE(is_accepted(der, message.anchor));
  for (std::size_t at = 0; at < der.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      auto changed = der;
      changed[at] ^= static_cast<std::byte>(1 << bit);
      EXPECT_FALSE(is_accepted(changed, message.anchor)) << "byte " << at << ", bit " << bit;
    }
  }
}

TEST_P(Mutation, EveryByteReplaced) {
  const Message message;
  const std::vector<std::byte> der = message.der(GetParam());
  for (std::size_t at = 0; at < der.size(); ++at) {
    auto changed = der;
    changed[at] = changed[at] == std::byte{0} ? std::byte{0xff} : std::byte{0};
    EXPECT_FALSE(is_accepted(changed, message.anchor)) << at;
  }
}

TEST_P(Mutation, EveryTruncationAndBytesBehind) {
  const Message message;
  auto der = message.der(GetParam());
  for (std::size_t size = 0; size < der.size(); ++size) {
    EXPECT_FALSE(SignedData::parse(std::span(der).first(size))) << size;
  }
  for (const std::byte value : {std::byte{0x00}, std::byte{0xff}, std::byte{0x30}}) {
    auto longer = der;
    longer.push_back(value);
    EXPECT_FALSE(SignedData::parse(longer));
    longer.resize(der.size() + 8);
    EXPECT_FALSE(SignedData::parse(longer));
  }
}

TEST_P(Mutation, EveryByteLeftOutOrDoubled) {
  const Message message;
  const auto der = message.der(GetParam());
  for (std::size_t at = 0; at < der.size(); ++at) {
    auto shorter = der;
    shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(at));
    EXPECT_FALSE(SignedData::parse(shorter)) << at;
    auto longer = der;
    longer.insert(longer.begin() + static_cast<std::ptrdiff_t>(at), der[at]);
    EXPECT_FALSE(SignedData::parse(longer)) << at;
  }
}

TEST_P(Mutation, EveryBitOfTheContent) {
  const Message message;
  const auto signed_data = SignedData::parse(message.der(GetParam()));
  ASSERT_TRUE(signed_data);
  for (std::size_t at = 0; at < content.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::vector<std::byte> changed(content.begin(), content.end());
      changed[at] ^= static_cast<std::byte>(1 << bit);
      EXPECT_FALSE(signed_data->verify_up_to(changed, message.anchor));
    }
    EXPECT_FALSE(signed_data->verify_up_to(content.first(at), message.anchor));
  }
}

INSTANTIATE_TEST_SUITE_P(Attributes, Mutation, testing::Bool(),
                         [](const auto& test) { return test.param ? "Signed" : "None"; });

}  // namespace
}  // namespace efistore::crypto
