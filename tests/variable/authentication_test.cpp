// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/variable/authentication.hpp"

#include <gmock/gmock.h>

#include <algorithm>

#include "efistore/base/bytes.hpp"

namespace efistore::variable {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace literals;

using Bytes = std::vector<std::byte>;

constexpr Guid guid = "11223344-5566-7788-99aa-bbccddeeff00"_guid;

/// 2026-11-21 05:26:30; dwLength 27, 0x0200, 0x0ef1, PKCS7; CertData "abc"; payload "xy".
Bytes descriptor() {
  return from_hex(
             "ea070b15051a1e000000000000000000"
             "1b0000000002f10e9dd2af4adf68ee498aa9347d375665a7"
             "6162637879")
      .value();
}

EfiTime time() {
  return EfiTime::from_bytes(descriptor());
}

std::string refusal(const Bytes& data) {
  const auto parsed = parse_authentication(data);
  if (parsed) return "";
  EXPECT_EQ(Errc::invalid_argument, parsed.error().code);
  return parsed.error().message;
}

Bytes with(std::size_t at, std::initializer_list<std::uint8_t> values) {
  Bytes data = descriptor();
  for (const std::uint8_t value : values) data.at(at++) = std::byte{value};
  return data;
}

TEST(Authentication, IsReadFieldByField) {
  const Bytes data = descriptor();
  const auto parsed = parse_authentication(data);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ("2026-11-21T05:26:30", to_string(parsed->time));
  EXPECT_TRUE(equal_bytes(as_bytes("abc"), parsed->signed_data));
  EXPECT_TRUE(equal_bytes(as_bytes("xy"), parsed->payload));
}

TEST(Authentication, IsMadeAsItIsRead) {
  EXPECT_EQ(descriptor(), make_authentication(time(), as_bytes("abc"), as_bytes("xy")));
}

TEST(Authentication, MayHaveNoPayloadAndNoCertData) {
  const auto parsed = parse_authentication(make_authentication(time(), {}, {}));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_THAT(parsed->signed_data, IsEmpty());
  EXPECT_THAT(parsed->payload, IsEmpty());
}

TEST(Authentication, TruncatedIsRefused) {
  const Bytes data = descriptor();
  for (std::size_t size = 0; size < 43; ++size) {
    EXPECT_NE("", refusal(Bytes(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(size))))
        << size;
  }
}

TEST(Authentication, ReservedFieldsOfTheTimeMustBeZero) {
  for (std::size_t at = 7; at < 16; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      EXPECT_THAT(refusal(with(at, {static_cast<std::uint8_t>(1 << bit)})),
                  HasSubstr("must be zero"))
          << at;
    }
  }
}

TEST(Authentication, TimeMustBeADateOrZero) {
  EXPECT_THAT(refusal(with(2, {13})), HasSubstr("2026-13-21T05:26:30 is no date"));
  EXPECT_THAT(refusal(with(2, {0})), HasSubstr("no date"));
  EXPECT_THAT(refusal(with(2, {2, 29})), HasSubstr("no date"));
  EXPECT_THAT(refusal(with(3, {0})), HasSubstr("no date"));
  EXPECT_THAT(refusal(with(4, {24})), HasSubstr("no date"));
  EXPECT_THAT(refusal(with(5, {60})), HasSubstr("no date"));
  EXPECT_THAT(refusal(with(6, {60})), HasSubstr("no date"));
  EXPECT_THAT(refusal(with(0, {0, 0})), HasSubstr("no date"));
  EXPECT_THAT(refusal(with(0, {0x10, 0x27})), HasSubstr("no date"));
  EXPECT_EQ("", refusal(with(0, {0xe8, 0x07, 2, 29})));
  EXPECT_EQ("", refusal(with(0, {0, 0, 0, 0, 0, 0, 0})));
}

TEST(Authentication, LengthMustFit) {
  for (const int length : {0, 23, 30, 255}) {
    EXPECT_THAT(refusal(with(16, {static_cast<std::uint8_t>(length)})), HasSubstr("dwLength"))
        << length;
  }
  EXPECT_NE("", refusal(with(16, {0xff, 0xff, 0xff, 0xff})));
  EXPECT_NE("", refusal(with(16, {0xf0, 0xff, 0xff, 0xff})));
  EXPECT_EQ("", refusal(with(16, {24})));
  EXPECT_EQ("", refusal(with(16, {29})));
}

TEST(Authentication, EveryBitOfTheFixedFieldsCounts) {
  for (std::size_t at = 20; at < 40; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      Bytes data = descriptor();
      data[at] ^= static_cast<std::byte>(1 << bit);
      EXPECT_THAT(refusal(data), HasSubstr("expected")) << at;
    }
  }
  EXPECT_THAT(refusal(with(20, {0, 1})), HasSubstr("wRevision is 0x0100, expected 0x0200"));
  EXPECT_THAT(refusal(with(22, {0xf0})), HasSubstr("wCertificateType is 0x0ef0"));
}

TEST(SignedContent, IsNameGuidAttributesTimeAndPayload) {
  EXPECT_EQ(from_hex("640062007800"
                     "443322116655887799aabbccddeeff00"
                     "67000000"
                     "ea070b15051a1e000000000000000000"
                     "7879")
                .value(),
            signed_content(u"dbx", guid, 0x67, time(), as_bytes("xy")));
}

}  // namespace
}  // namespace efistore::variable
