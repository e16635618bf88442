// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/base/efi_time.hpp"

#include <gtest/gtest.h>

#include "efistore/base/bytes.hpp"

namespace efistore {
namespace {

TEST(EfiTime, FieldsStandWhereTheSpecificationPutsThem) {
  const auto raw = from_hex(
                       "ea070b15051a1e00"
                       "11223344"
                       "ff0701aa")
                       .value();
  const EfiTime time = EfiTime::from_bytes(raw);
  EXPECT_EQ(to_string(time), "2026-11-21T05:26:30");
}

TEST(EfiTime, UnixSecondsRoundTrip) {
  for (const std::int64_t seconds : {0LL, 1LL, 951782400LL /* a leap day */, 4102444799LL}) {
    EXPECT_EQ(EfiTime::from_unix(seconds).to_unix(), seconds);
  }
}

TEST(EfiTime, TimesThatNoFieldHoldsAreClamped) {
  EXPECT_EQ(to_string(EfiTime::from_unix(INT64_MAX)), "9999-12-31T23:59:59");
  EXPECT_EQ(to_string(EfiTime::from_unix(INT64_MIN)), "1900-01-01T00:00:00");
}

TEST(EfiTime, WhatIsNoDateIsTimeZero) {
  EXPECT_EQ(EfiTime{}.to_unix(), 0);
  EfiTime ones;
  ones.bytes.fill(std::byte{0xff});
  EXPECT_EQ(ones.to_unix(), 0);
  EXPECT_EQ(to_string(ones), "65535-255-255T255:255:255");
}

TEST(EfiTime, ADateHasEveryFieldInItsRange) {
  const EfiTime date = EfiTime::from_unix(951782400);  // a leap day
  EXPECT_TRUE(date.is_date());
  EXPECT_FALSE(EfiTime{}.is_date());
  struct Case {
    std::size_t field;
    int value;
  };
  for (const auto [field, value] :
       {Case{0, 0xd1}, Case{1, 0x27 + 8}, Case{2, 0}, Case{2, 13}, Case{3, 0}, Case{3, 30},
        Case{4, 24}, Case{5, 60}, Case{6, 60}}) {
    EfiTime wrong = date;
    wrong.bytes[field] = static_cast<std::byte>(value);
    EXPECT_FALSE(wrong.is_date()) << field << ": " << value;
  }
}

}  // namespace
}  // namespace efistore
