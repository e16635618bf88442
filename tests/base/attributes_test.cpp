// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/base/attributes.hpp"

#include <gtest/gtest.h>

namespace efistore {
namespace {

TEST(Attributes, NamesStandInTheOrderOfTheirBits) {
  EXPECT_EQ(attributes_to_string(0x07), "nv,bs,rt");
  EXPECT_EQ(attributes_to_string(0xff), "nv,bs,rt,hr,aw,at,ap,eaw");
  EXPECT_EQ(attributes_to_string(0), "0");
}

TEST(Attributes, UnnamedBitsAreWrittenAsANumber) {
  EXPECT_EQ(attributes_to_string(0x103), "nv,bs,0x100");
  EXPECT_EQ(attributes_to_string(0x80000000), "0x80000000");
}

TEST(Attributes, EveryTextReadsBackAsItsMask) {
  for (const std::uint32_t mask : {0U, 1U, 0x27U, 0x47U, 0xffU, 0x1234U, 0xffffffffU}) {
    EXPECT_EQ(attributes_from_string(attributes_to_string(mask)), mask);
  }
}

TEST(Attributes, NumbersAndNamesMayBeMixedInAnyOrder) {
  EXPECT_EQ(attributes_from_string("rt,bs,nv"), 7U);
  EXPECT_EQ(attributes_from_string("0x7"), 7U);
  EXPECT_EQ(attributes_from_string("39"), 39U);
  EXPECT_EQ(attributes_from_string("0x20,nv"), 0x21U);
}

TEST(Attributes, AnythingElseIsRefused) {
  for (const auto* text : {"", "nv,", ",nv", "nv bs", "NV", "x", "0x", "-1", "4294967296", "7 "}) {
    EXPECT_EQ(attributes_from_string(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace efistore
