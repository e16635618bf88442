// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/flash/device.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/flash/memory_device.hpp"
#include "efistore/flash/partition.hpp"

namespace efistore::flash {
namespace {

using ::testing::HasSubstr;
using Bytes = std::vector<std::byte>;

Bytes hex(std::string_view text) {
  return from_hex(text).value();
}

TEST(FirstBitSet, FindsTheFirstByteThatWouldNeedAnErase) {
  EXPECT_EQ(first_bit_set(hex("ffffff"), hex("00ff55")), std::nullopt);
  EXPECT_EQ(first_bit_set(hex("550f00"), hex("550f00")), std::nullopt);
  EXPECT_EQ(first_bit_set(hex("550f00"), hex("540700")), std::nullopt);
  EXPECT_EQ(first_bit_set(hex("550f00"), hex("550f01")), 2U);
  EXPECT_EQ(first_bit_set(hex("550f00"), hex("551f01")), 1U);
  EXPECT_EQ(first_bit_set(hex("550f00"), hex("ffffff")), 0U);
  for (unsigned bit = 0; bit < 8; ++bit) {
    const Bytes one{static_cast<std::byte>(1U << bit)};
    EXPECT_EQ(first_bit_set(hex("00"), one), 0U) << bit;
    EXPECT_EQ(first_bit_set(one, hex("00")), std::nullopt) << bit;
  }
  EXPECT_EQ(first_bit_set({}, {}), std::nullopt);
}

TEST(FirstBitSet, FindsTheByteAtEveryPlaceOfLongData) {
  constexpr std::size_t size = 200;  // some whole blocks of vector instructions, and a rest
  const Bytes current(size, std::byte{0xf0});
  Bytes data = current;
  EXPECT_EQ(first_bit_set(current, data), std::nullopt);
  for (std::size_t i = size; i-- > 0;) {
    data[i] = std::byte{0xf8};  // stays set: the first one counts
    EXPECT_EQ(first_bit_set(current, data), i);
  }
}

TEST(CheckProgram, HoldsToTheWriteUnit) {
  MemoryDevice device({.size_bytes = 4096, .erase_block_size_bytes = 1024, .write_unit_bytes = 8});
  EXPECT_TRUE(device.program(16, Bytes(24)));
  for (const auto& [offset, size] : {std::pair{1U, 8U}, {4U, 8U}, {8U, 4U}, {8U, 9U}}) {
    const auto status = device.program(offset, Bytes(size));
    ASSERT_FALSE(status) << offset << ' ' << size;
    EXPECT_EQ(status.error().code, Errc::invalid_argument);
    EXPECT_THAT(status.error().message, HasSubstr("memory"));
  }
  Bytes odd(5);
  EXPECT_TRUE(device.read(3, odd)) << "reading has no unit";
}

TEST(MemoryDevice, StartsAsTheContentGiven) {
  Bytes content(2048, std::byte{0x12});
  content[2047] = std::byte{0x34};
  MemoryDevice device(content, 1024, "made-up");
  EXPECT_EQ(device.geometry(),
            (Geometry{.size_bytes = 2048, .erase_block_size_bytes = 1024, .write_unit_bytes = 1}));
  EXPECT_EQ(device.name(), "made-up");
  Bytes read(1);
  ASSERT_TRUE(device.read(2047, read));
  EXPECT_EQ(to_hex(read), "34");
  ASSERT_TRUE(device.erase({.offset = 0, .size = 1024}));
  EXPECT_TRUE(is_filled(device.content().first(1024), std::byte{0xff}));
  EXPECT_TRUE(std::ranges::equal(device.content().subspan(1024), std::span(content).subspan(1024)));
}

class PartitionTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<Partition>> make(Range range) {
    auto whole = std::make_unique<MemoryDevice>(Bytes(8192, std::byte{0x55}), 1024U, "whole");
    whole_ = whole.get();
    return Partition::create(std::move(whole), range);
  }

  MemoryDevice* whole_ = nullptr;
};

TEST_F(PartitionTest, RefusesWhatIsNotInsideOrNotInBlocks) {
  for (const Range range : {Range{8192, 1024}, Range{7168, 2048}, Range{0, 9216},
                            Range{1024, UINT64_MAX - 1023}, Range{UINT64_MAX - 1023, 1024}}) {
    const auto part = make(range);
    ASSERT_FALSE(part) << range.offset << ' ' << range.size;
    EXPECT_EQ(part.error().code, Errc::out_of_range) << range.offset << ' ' << range.size;
  }
  for (const Range range : {Range{0, 0}, Range{1024, 512}, Range{512, 1024}, Range{1, 1024}}) {
    const auto part = make(range);
    ASSERT_FALSE(part) << range.offset << ' ' << range.size;
    EXPECT_EQ(part.error().code, Errc::invalid_argument) << range.offset << ' ' << range.size;
  }
}

TEST_F(PartitionTest, TouchesNothingOutsideItself) {
  const auto part = make({.offset = 2048, .size = 3072});
  ASSERT_TRUE(part);
  EXPECT_EQ((*part)->geometry().size_bytes, 3072U);
  EXPECT_THAT((*part)->name(), HasSubstr("whole"));
  EXPECT_THAT((*part)->name(), HasSubstr("0x800"));
  ASSERT_TRUE((*part)->erase({.offset = 0, .size = 3072}));
  Bytes expected(8192, std::byte{0x55});
  std::fill_n(expected.begin() + 2048, 3072, std::byte{0xff});
  EXPECT_TRUE(std::ranges::equal(whole_->content(), expected));
  ASSERT_TRUE((*part)->program(0, hex("01")));
  ASSERT_TRUE((*part)->program(3071, hex("02")));
  expected[2048] = std::byte{1};
  expected[5119] = std::byte{2};
  EXPECT_TRUE(std::ranges::equal(whole_->content(), expected));
  EXPECT_EQ((*part)->program(3071, hex("0000")).error().code, Errc::out_of_range);
  EXPECT_EQ((*part)->erase({.offset = 3072, .size = 1024}).error().code, Errc::out_of_range);
  EXPECT_TRUE(std::ranges::equal(whole_->content(), expected));
}

}  // namespace
}  // namespace efistore::flash
