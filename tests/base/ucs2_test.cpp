// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/base/ucs2.hpp"

#include <gtest/gtest.h>

namespace efistore {
namespace {

TEST(Ucs2, AsciiAndBeyondRoundTrip) {
  EXPECT_EQ(to_utf8(u"Boot0000"), "Boot0000");
  EXPECT_EQ(to_utf8(u"gr\u00fc\u00df \u20ac"), "gr\xc3\xbc\xc3\x9f \xe2\x82\xac");
  EXPECT_EQ(to_utf8(u"\U0001f600"), "\xf0\x9f\x98\x80");
}

TEST(Ucs2, EverySingleUnitRoundTrips) {
  for (unsigned unit = 0; unit <= 0xffff; ++unit) {
    const std::u16string name(1, static_cast<char16_t>(unit));
    ASSERT_EQ(from_utf8(to_utf8(name)), name) << unit;
    ASSERT_EQ(has_lone_surrogate(name), unit >= 0xd800 && unit <= 0xdfff) << unit;
  }
}

TEST(Ucs2, LoneSurrogatesKeepTheirPlaceBesidePairs) {
  const std::u16string name{0xdc00, 0xd83d, 0xde00, 0xd800, u'x', 0xd83d};
  EXPECT_EQ(from_utf8(to_utf8(name)), name);
  EXPECT_TRUE(has_lone_surrogate(name));
  EXPECT_FALSE(has_lone_surrogate(name.substr(1, 2)));
}

TEST(Ucs2, MalformedUtf8IsRefused) {
  for (const auto* text :
       {"\x80", "\xc3", "\xc0\x80", "\xc3\x28", "\xe2\x82", "\xe0\x80\x80", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "a\xff"}) {
    EXPECT_EQ(from_utf8(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace efistore
