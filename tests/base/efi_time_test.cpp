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

}  // namespace
}  // namespace efistore
