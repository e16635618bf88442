// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "load_option.hpp"

#include <gtest/gtest.h>

#include "efistore/base/bytes.hpp"

namespace efistore::shim {
namespace {

using namespace literals;

constexpr const char* well_formed =
    "01000000"
    "0400"
    "78000000"
    "7fff0400";

bool accepts(std::u16string_view name, std::string_view hex,
             const Guid& guid = guids::global_variable) {
  return is_acceptable_payload(name, guid, *from_hex(hex));
}

TEST(LoadOption, AcceptsWellFormedOnes) {
  EXPECT_TRUE(accepts(u"Boot0001", well_formed));
  EXPECT_TRUE(accepts(u"Driverfffe", well_formed));
  // An empty description, a path of two nodes, EFI 1.0's end node, optional data.
  EXPECT_TRUE(accepts(u"Boot0001",
                      "01000000"
                      "0a00"
                      "0000"
                      "010106000000"
                      "ffff0400"
                      "aabb"));
}

TEST(LoadOption, RefusesEveryTruncation) {
  const std::string whole(well_formed);
  for (std::size_t digits = 0; digits < whole.size(); digits += 2) {
    EXPECT_FALSE(accepts(u"Boot0001", whole.substr(0, digits))) << digits;
  }
}

TEST(LoadOption, RefusesPathsThatDoNotEnd) {
  EXPECT_FALSE(accepts(u"Boot0001",
                       "01000000"
                       "0000"
                       "0000"));  // no path
  EXPECT_FALSE(accepts(u"Boot0001",
                       "01000000"
                       "6400"
                       "0000"
                       "7fff0400"));  // list too long
  EXPECT_FALSE(accepts(u"Boot0001",
                       "01000000"
                       "0400"
                       "0000"
                       "7fff0300"));  // node below header
  EXPECT_FALSE(accepts(u"Boot0001",
                       "01000000"
                       "0400"
                       "0000"
                       "7fff0500"));  // node too long
  EXPECT_FALSE(accepts(u"Boot0001",
                       "01000000"
                       "0400"
                       "0000"
                       "7f010400"));  // end of instance
  EXPECT_FALSE(accepts(u"Boot0001",
                       "01000000"
                       "0400"
                       "0000"
                       "01010400"));  // no end
  EXPECT_FALSE(accepts(u"Boot0001",
                       "01000000"
                       "0000"
                       "0000"
                       "7fff0400"));  // end not in list
  EXPECT_FALSE(accepts(u"Boot0001",
                       "01000000"
                       "0400"
                       "7800780078007800"));  // no NUL
}

TEST(LoadOption, LooksAtNumberedGlobalOnesOnly) {
  for (const auto* name : {u"Boot", u"BootNext", u"BootOrder", u"Boot000", u"Boot00g0", u"boot0001",
                           u"Driver", u"DriverOrder", u"SysPrep0001", u"Timeout"}) {
    EXPECT_TRUE(accepts(name, "aa"));
  }
  EXPECT_TRUE(accepts(u"Boot0001", "aa", "210be57c-9849-4fc7-a635-e6382d1aec27"_guid));
  EXPECT_FALSE(accepts(u"Bootabcd", "aa"));
  EXPECT_FALSE(accepts(u"DriverABCD", "aa"));
}

TEST(LoadOption, RefusesAFifthDigitWhateverTheContent) {
  EXPECT_FALSE(accepts(u"Boot00010", well_formed));
  EXPECT_FALSE(accepts(u"Boot0001x", well_formed));
}

TEST(LoadOption, RefusesDeletionByWriting) {
  EXPECT_FALSE(accepts(u"Boot0001", ""));
  EXPECT_TRUE(accepts(u"BootOrder", ""));
}

}  // namespace
}  // namespace efistore::shim
