// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "file_name.hpp"

#include <gtest/gtest.h>

namespace efistore::shim {
namespace {

using namespace literals;

constexpr std::string_view vendor_text = "210be57c-9849-4fc7-a635-e6382d1aec27";
constexpr Guid vendor = "210be57c-9849-4fc7-a635-e6382d1aec27"_guid;
constexpr Guid crash = "cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0"_guid;

std::string with_vendor(std::string_view name) {
  return std::string(name).append("-").append(vendor_text);
}

TEST(FileName, ParsesNameAndGuid) {
  EXPECT_EQ(parse_file_name(with_vendor("abc")), (FileName{"abc", vendor}));
  EXPECT_EQ(parse_file_name(with_vendor("-")), (FileName{"-", vendor}));
  EXPECT_EQ(parse_file_name(with_vendor("a b!\xff\n")), (FileName{"a b!\xff\n", vendor}));
  EXPECT_EQ(parse_file_name("dump-type0-11-1-1362436005-210BE57C-9849-4FC7-A635-E6382D1AEC27"),
            (FileName{"dump-type0-11-1-1362436005", vendor}));
}

TEST(FileName, RefusesWhatIsNoNameAndGuid) {
  const std::string text(vendor_text);
  for (const std::string& name : {std::string(), std::string("foo"), std::string("foo-bar"), text,
                                  "-" + text, "a" + text, "abc_" + text, "abc-{" + text + "}",
                                  "abc-" + text + " ", std::string("-1234-1234-1234-123456789abc"),
                                  std::string("abc-210be57c-9849-4fc7-a635-e6382d1aec2g"),
                                  std::string("abc-210be57c+9849-4fc7-a635-e6382d1aec27")}) {
    EXPECT_EQ(parse_file_name(name), std::nullopt) << name;
  }
}

TEST(FileName, WidensEachByteAtCreation) {
  EXPECT_EQ(widen("Boot0001"), u"Boot0001");
  EXPECT_EQ(widen("\xc3\xa9"), u"\u00c3\u00a9");
  EXPECT_EQ(widen("\xff"), u"\u00ff");
}

TEST(FileName, ListsInUtf8WithoutSlashes) {
  EXPECT_EQ(file_name_of(u"Boot0001", vendor), with_vendor("Boot0001"));
  EXPECT_EQ(file_name_of(u"a/b/c", vendor), with_vendor("a!b!c"));
  EXPECT_EQ(file_name_of(u"\u00e9", vendor), with_vendor("\xc3\xa9"));
}

TEST(FileName, TheRandomSeedIsHidden) {
  EXPECT_TRUE(is_hidden("1ce1e5bc-7ceb-42f2-81e5-8aadf180f57b"_guid));
  EXPECT_FALSE(is_hidden(guids::global_variable));
}

TEST(FileName, OnlyWhatBoardsCanLoseIsBornMutable) {
  for (const char* name : {"Boot", "Boot0001", "BootNext", "BootOrder", "BootXyz", "ConIn",
                           "ConInDev", "ConOut", "ConOutDev", "Driver0001", "DriverOrder", "ErrOut",
                           "ErrOutDev", "Lang", "OsIndications", "PlatformLang", "Timeout"}) {
    EXPECT_FALSE(is_born_immutable(name, guids::global_variable)) << name;
    EXPECT_TRUE(is_born_immutable(name, vendor)) << name;
  }
  for (const char* name : {"Boo", "boot0001", "LangX", "PlatformLangCodes", "SysPrep0001", "PK",
                           "ConInD", "Timeout2", ""}) {
    EXPECT_TRUE(is_born_immutable(name, guids::global_variable)) << name;
  }
  EXPECT_FALSE(is_born_immutable("dump-type0-1-1", crash));
}

}  // namespace
}  // namespace efistore::shim
