// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "size.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace efistore::tools {
namespace {

TEST(ParseSize, TakesBytesAndBinaryUnits) {
  EXPECT_EQ(parse_size("0"), 0U);
  EXPECT_EQ(parse_size("65536"), 65536U);
  EXPECT_EQ(parse_size("528K"), 0x84000U);
  EXPECT_EQ(parse_size("4k"), 4096U);
  EXPECT_EQ(parse_size("64M"), 0x4000000U);
  EXPECT_EQ(parse_size("0x84000"), 0x84000U);
  EXPECT_EQ(parse_size("0x10K"), 16384U);
}

TEST(ParseSize, RefusesEverythingElse) {
  for (const char* text : {"", "K", "M", "-1", "+1", " 1", "1 ", "1G", "1KK", "1.5M", "0x", "12a",
                           "18446744073709551616", "0x1z"}) {
    EXPECT_EQ(parse_size(text), std::nullopt) << '"' << text << '"';
  }
}

TEST(ParseSize, RefusesWhatExceeds64Bits) {
  EXPECT_EQ(parse_size("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(parse_size("18014398509481983K"), 18014398509481983U * 1024U);
  EXPECT_EQ(parse_size("18014398509481984K"), std::nullopt);
  EXPECT_EQ(parse_size("17592186044416M"), std::nullopt);
}

TEST(FormatSize, TakesTheLargestUnitWithoutFraction) {
  EXPECT_EQ(format_size(0), "0 bytes");
  EXPECT_EQ(format_size(65470), "65470 bytes");
  EXPECT_EQ(format_size(0x84000), "528 KiB");
  EXPECT_EQ(format_size(3U << 20), "3 MiB");
}

}  // namespace
}  // namespace efistore::tools
