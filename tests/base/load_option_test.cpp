// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/base/load_option.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace efistore {
namespace {

std::vector<std::byte> bytes(std::string_view hex) {
  return from_hex(hex).value();
}

TEST(DevicePathNode, OneAfterTheOther) {
  const auto path = bytes(
      "0404"
      "0600"
      "aabb"
      "7fff"
      "0400"
      "cc");
  ByteReader reader(path);
  const auto file = next_device_path_node(reader);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->type, 4);
  EXPECT_EQ(file->subtype, 4);
  EXPECT_EQ(to_hex(file->body), "aabb");
  EXPECT_FALSE(file->is_end());
  const auto end = next_device_path_node(reader);
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->is_end());
  EXPECT_TRUE(end->body.empty());
  EXPECT_EQ(reader.remaining(), 1U);
  EXPECT_FALSE(next_device_path_node(reader));
}

TEST(DevicePathNode, EndIsOfTheWholePath) {
  EXPECT_FALSE((DevicePathNode{.type = 0x7f, .subtype = 0x01, .body = {}}).is_end());
  EXPECT_FALSE((DevicePathNode{.type = 0xff, .subtype = 0xff, .body = {}}).is_end());
}

TEST(DevicePathNode, MustLieInTheBytes) {
  for (const char* hex :
       {"", "04", "0404", "040404", "04040000", "04040300", "04040500", "0404ffff00"}) {
    const auto path = bytes(hex);
    ByteReader reader(path);
    EXPECT_FALSE(next_device_path_node(reader)) << hex;
  }
}

constexpr const char* option =
    "01020304"
    "0300"
    "410062000000"
    "aabbcc"
    "dd";

TEST(LoadOptionParts, StandAtTheirPlaces) {
  const auto data = bytes(option);
  const auto parts = split_load_option(data);
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->attributes, 0x04030201U);
  EXPECT_EQ(to_hex(parts->description), "41006200");
  EXPECT_EQ(to_hex(parts->file_path), "aabbcc");
  EXPECT_EQ(to_hex(parts->extra_data), "dd");
}

TEST(LoadOptionParts, MayAllBeEmpty) {
  const auto data = bytes("0000000000000000");
  const auto parts = split_load_option(data);
  ASSERT_TRUE(parts);
  EXPECT_TRUE(parts->description.empty());
  EXPECT_TRUE(parts->file_path.empty());
  EXPECT_TRUE(parts->extra_data.empty());
}

TEST(LoadOptionParts, MustLieInTheData) {
  const auto data = bytes(option);
  const std::size_t smallest = data.size() - 1;  // without extra data
  for (std::size_t size = 0; size < smallest; ++size) {
    EXPECT_FALSE(split_load_option(std::span(data).first(size))) << size;
  }
  EXPECT_TRUE(split_load_option(std::span(data).first(smallest)));
}

}  // namespace
}  // namespace efistore
