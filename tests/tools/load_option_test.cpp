// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "load_option.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "efistore/base/bytes.hpp"

namespace efistore::tools {
namespace {

/// LOAD_OPTION_ACTIVE, a path of 12 bytes, "Ab", and what `path` says in hexadecimal.
std::vector<std::byte> option(const std::string& path, const std::string& rest = "") {
  const auto path_bytes = from_hex(path).value();
  std::vector<std::byte> size(2);
  ByteWriter(size).u16(static_cast<std::uint16_t>(path_bytes.size()));
  return from_hex("01000000" + to_hex(size) + "410062000000" + path + rest).value();
}

// FvFile of PI, whose node libefivar knows, and the end.
const std::string file_node =
    "040410004100420043000000"
    "44000000";
const std::string file_path_node = "04040c005c00410042000000";
const std::string end_node = "7fff0400";

TEST(GuidName, NamesWellKnownGuids) {
  EXPECT_EQ(guid_name(guids::global_variable), "EFI Global Variable");
  EXPECT_EQ(guid_name(guids::image_security_database), "EFI Security Database");
  EXPECT_EQ(guid_name(Guid::parse("12345678-1234-1234-1234-123456789abc").value()), std::nullopt);
}

TEST(LoadOptionName, IsAWordAndFourHexadecimalDigits) {
  for (const auto* name : {u"Boot0000", u"BootFFFF", u"Boot00aB", u"Driver0001", u"SysPrep0002",
                           u"PlatformRecovery0000"}) {
    EXPECT_TRUE(is_load_option_name(name, guids::global_variable));
    EXPECT_FALSE(is_load_option_name(name, guids::image_security_database));
  }
  for (const auto* name : {u"", u"Boot", u"Boot000", u"Boot00000", u"BootOrder", u"BootNext",
                           u"Boot000g", u"boot0000", u"0000", u"xBoot0000"}) {
    EXPECT_FALSE(is_load_option_name(name, guids::global_variable));
  }
}

TEST(LoadOption, HasItsParts) {
  const auto bytes = option(file_path_node + end_node, "c0ffee");
  const auto parsed = parse_load_option(bytes);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->attributes, 1U);
  EXPECT_EQ(description_text(*parsed), "Ab");
  EXPECT_EQ(to_hex(parsed->file_path), file_path_node + end_node);
  EXPECT_EQ(to_hex(parsed->extra_data), "c0ffee");
  EXPECT_EQ(format_device_path(parsed->file_path), "File(\\AB)");
}

TEST(LoadOption, TakesSeveralPaths) {
  const auto bytes = option(file_path_node + end_node + file_path_node + end_node);
  EXPECT_TRUE(parse_load_option(bytes));
}

TEST(LoadOption, RefusesEveryTruncation) {
  const auto bytes = option(file_path_node + end_node);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(parse_load_option(std::span(bytes).first(size))) << size;
  }
  EXPECT_TRUE(parse_load_option(bytes));
}

TEST(LoadOption, RefusesPathsThatAreNone) {
  EXPECT_FALSE(parse_load_option(option("")));
  EXPECT_FALSE(parse_load_option(option(file_path_node)));         // no end
  EXPECT_FALSE(parse_load_option(option("04040000" + end_node)));  // length 0
  EXPECT_FALSE(parse_load_option(option("04040300" + end_node)));  // below the header
  EXPECT_FALSE(parse_load_option(option("0404ff00" + end_node)));  // beyond the list
  EXPECT_FALSE(parse_load_option(option(file_path_node + end_node + "00")));
}

TEST(DevicePath, OfAnyBytesIsTextOrNothing) {
  // Chains of nodes of every type with random content: libefivar may give up or crash, we may not.
  std::mt19937 random(1);
  const auto end = from_hex(end_node).value();
  std::size_t formatted = 0;
  for (int round = 0; round < 60; ++round) {
    std::vector<std::byte> path;
    for (auto nodes = random() % 3 + 1; nodes > 0; --nodes) {
      const auto payload = random() % 48;
      path.push_back(static_cast<std::byte>(random() % 6));
      path.push_back(static_cast<std::byte>(random() % 32));
      path.push_back(static_cast<std::byte>(payload + 4));
      path.push_back(std::byte{0});
      for (auto i = payload; i > 0; --i) path.push_back(static_cast<std::byte>(random()));
    }
    path.insert(path.end(), end.begin(), end.end());
    if (const auto text = format_device_path(path)) {
      ++formatted;
      EXPECT_LE(text->size(), 4096U);
    }
  }
  EXPECT_GT(formatted, 0U);
}

}  // namespace
}  // namespace efistore::tools
