// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/capsule/report.hpp"

#include <gmock/gmock.h>

#include "capsule/capsule_support.hpp"

namespace efistore::capsule::test {
namespace {

using ::testing::HasSubstr;

Bytes hex(std::string_view text) {
  return from_hex(text).value();
}

TEST(FmpState, IsEdk2s) {
  EXPECT_EQ(u"FmpState", fmp_state_name(0));
  EXPECT_EQ(u"FmpState000000000000ABCD", fmp_state_name(0xabcd));
  const FmpState state{.version = 0x20001,
                       .lowest_supported_version = std::nullopt,
                       .last_attempt_status = LastAttemptStatus::auth_error,
                       .last_attempt_version = 7};
  const Bytes data =
      hex("01000101"
          "01000200"
          "00000000"
          "05000000"
          "07000000");
  EXPECT_EQ(data, encode_fmp_state(state));
  EXPECT_EQ(state, parse_fmp_state(data).value());
  EXPECT_THAT(parse_fmp_state(std::span(data).first(19)).error().message,
              HasSubstr("it has 19 bytes, expected 20"));
}

TEST(CapsuleResult, ComesBack) {
  CapsuleResult result{.capsule_guid = type_a,
                       .processed = EfiTime::from_unix(1000000000),
                       .status = EfiStatus::security_violation};
  const Bytes plain = encode_capsule_result(result).value();
  EXPECT_EQ(48U, plain.size());
  EXPECT_EQ(EfiStatus::security_violation, parse_capsule_result(plain)->status);
  EXPECT_FALSE(parse_capsule_result(plain)->payload);
  result.payload = {3, 1, type_b, u"a.cap", u"mtd:fw"};
  const Bytes data = encode_capsule_result(result).value();
  EXPECT_EQ(48U + 20 + 12 + 14, data.size());
  EXPECT_EQ(hex("5e000000"), Bytes(data.begin(), data.begin() + 4));
  const auto parsed = parse_capsule_result(data);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(type_b, parsed->payload->type_id);
  EXPECT_EQ(3, parsed->payload->payload_index);
  EXPECT_EQ(u"a.cap", parsed->payload->file_name);
  EXPECT_EQ(u"mtd:fw", parsed->payload->target);
  for (std::size_t size = 0; size < data.size(); ++size) {
    Bytes cut(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(parse_capsule_result(cut)) << size;
    if (size < 4 || size == 48) continue;
    put_u32(cut, 0, static_cast<std::uint32_t>(size));
    EXPECT_FALSE(parse_capsule_result(cut)) << size;
  }
  result.payload->target = std::u16string(u"a\0b", 3);
  EXPECT_FALSE(encode_capsule_result(result));
}

TEST(CapsuleResult, NamesAreThoseThatFwupdReads) {
  EXPECT_EQ(u"Capsule0000", capsule_result_name(0));
  EXPECT_EQ(u"Capsule0012", capsule_result_name(12));
  EXPECT_EQ(12U, capsule_result_number(u"Capsule0012"));
  for (const std::u16string_view name : {u"Capsule", u"Capsule001", u"Capsule00012", u"Capsule000A",
                                         u"CapsuleLast", u"capsule0001"}) {
    EXPECT_FALSE(capsule_result_number(name));
  }
  EXPECT_EQ(22U, encode_capsule_result_name(5).size());
}

TEST(Esrt, ComesBack) {
  const std::vector<EsrtEntry> entries = {{type_a, 1, 2, 3, 4, 5, LastAttemptStatus::auth_error},
                                          {type_b, 2, 7, 1, 0, 0, {}}};
  const Bytes table = encode_esrt(entries);
  EXPECT_EQ(16U + 2 * 40, table.size());
  EXPECT_EQ(entries, parse_esrt(table).value());
  for (std::size_t size = 0; size < table.size(); ++size) {
    EXPECT_FALSE(parse_esrt(std::span(table).first(size))) << size;
  }
  Bytes other = table;
  put_u32(other, 4, 1);
  EXPECT_THAT(parse_esrt(other).error().message,
              HasSubstr("FwResourceCountMax at byte 4 is 1, expected at least 2"));
  put_u32(other, 8, 2);
  EXPECT_THAT(parse_esrt(other).error().message, HasSubstr("FwResourceVersion at byte 8 is 2"));
}

TEST(Esrt, EntriesOfAClassBecomeOne) {
  const std::vector<EsrtEntry> entries = {
      {type_a, 1, 5, 3, 0, 5, LastAttemptStatus::success},
      {type_b, 1, 9, 9, 0, 0, LastAttemptStatus::success},
      {type_a, 1, 4, 4, 0, 6, LastAttemptStatus::invalid_format},
      {type_a, 1, 6, 2, 0, 7, LastAttemptStatus::auth_error}};
  const std::vector<EsrtEntry> merged = {{type_a, 1, 4, 2, 0, 6, LastAttemptStatus::invalid_format},
                                         {type_b, 1, 9, 9, 0, 0, LastAttemptStatus::success}};
  EXPECT_EQ(merged, merge_esrt(entries));
}

}  // namespace
}  // namespace efistore::capsule::test
