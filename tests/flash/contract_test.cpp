// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The contract of flash/device.hpp, the same for every device.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "efistore/base/bytes.hpp"

#include "flash/device_cases.hpp"
#include "support/temporary_directory.hpp"

namespace efistore::flash {
namespace {

using ::testing::HasSubstr;
using Bytes = std::vector<std::byte>;

constexpr std::byte erased{0xff};

/// Bytes that differ from their neighbours and from block to block.
Bytes pattern(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::byte>((i * 7 + i / 251) & 0xff);
  }
  return bytes;
}

class DeviceContract : public ::testing::TestWithParam<DeviceCase> {
 protected:
  void SetUp() override {
    device_ = GetParam().make(directory_.path());
    ASSERT_NE(device_, nullptr);
    ASSERT_TRUE(device_->erase({.offset = 0, .size = size()}));
    expected_.assign(static_cast<std::size_t>(size()), erased);
  }

  std::uint64_t size() const { return device_->geometry().size_bytes; }
  std::uint32_t block_size() const { return device_->geometry().erase_block_size_bytes; }

  void program(std::uint64_t offset, std::span<const std::byte> data) {
    const auto status = device_->program(offset, data);
    ASSERT_TRUE(status) << status.error().message;
    std::ranges::copy(data, expected_.begin() + static_cast<std::ptrdiff_t>(offset));
  }

  void erase(Range blocks) {
    const auto status = device_->erase(blocks);
    ASSERT_TRUE(status) << status.error().message;
    std::fill_n(expected_.begin() + static_cast<std::ptrdiff_t>(blocks.offset), blocks.size,
                erased);
  }

  /// The whole device holds what was programmed and nothing else.
  void expect_content() {
    Bytes content(expected_.size());
    const auto status = device_->read(0, content);
    ASSERT_TRUE(status) << status.error().message;
    // The quick comparison first: under a sanitizer, in an emulated guest, the other takes seconds.
    if (std::memcmp(content.data(), expected_.data(), content.size()) == 0) return;
    const auto differing = std::ranges::mismatch(content, expected_);
    ADD_FAILURE() << "differs from " << differing.in1 - content.begin() << " on";
  }

  test::TemporaryDirectory directory_;
  std::unique_ptr<Device> device_;
  Bytes expected_;
};

class LastingDeviceContract : public DeviceContract {
 protected:
  void reopen(OpenMode mode) {
    device_.reset();
    device_ = GetParam().reopen(directory_.path(), mode);
  }
};

TEST_P(DeviceContract, DescribesItself) {
  const Geometry& geometry = device_->geometry();
  EXPECT_TRUE(std::has_single_bit(geometry.erase_block_size_bytes));
  EXPECT_GE(geometry.size_bytes, 8 * geometry.erase_block_size_bytes);
  EXPECT_EQ(geometry.size_bytes % geometry.erase_block_size_bytes, 0U);
  EXPECT_EQ(geometry.write_unit_bytes, 1U);
  EXPECT_TRUE(geometry.bit_writable);
  EXPECT_FALSE(device_->name().empty());
  EXPECT_FALSE(device_->read_only());
}

TEST_P(DeviceContract, ReadsOnesWhereItIsErased) {
  expect_content();
}

TEST_P(DeviceContract, ProgramsAnyBytesAndNoOthers) {
  std::uint64_t offset = 1;
  for (const std::size_t count : {1U, 2U, 3U, 4U, 5U, 7U, 64U, 1000U, 4095U, 4096U, 9001U}) {
    program(offset, pattern(count));
    offset += count + count % 3 + 1;
  }
  program(size() - 1, pattern(1));
  expect_content();
}

TEST_P(DeviceContract, ReadsAnyPart) {
  program(0, pattern(static_cast<std::size_t>(size())));
  for (const std::size_t count : {1U, 3U, 4096U, 5000U}) {
    for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{4093}, size() - count}) {
      Bytes content(count);
      ASSERT_TRUE(device_->read(offset, content));
      EXPECT_TRUE(std::ranges::equal(
          content, std::span(expected_).subspan(static_cast<std::size_t>(offset), count)))
          << count << " bytes at " << offset;
    }
  }
}

TEST_P(DeviceContract, ProgramsAgainToClearMoreBits) {
  for (const unsigned value : {0x7fU, 0x3fU, 0x3fU, 0x3dU, 0x2cU, 0x00U, 0x00U}) {
    program(5, Bytes(6, static_cast<std::byte>(value)));
    expect_content();
  }
}

TEST_P(DeviceContract, RefusesToSetABitAndChangesNothing) {
  const std::uint64_t at = block_size() - 3;
  program(at, Bytes(1, std::byte{0xfe}));
  const auto status = device_->program(at, Bytes(1, erased));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::bit_set);
  EXPECT_THAT(status.error().message, HasSubstr("would set a bit"));
  expect_content();
}

TEST_P(DeviceContract, RefusesToSetABitAtTheEndOfALongProgramAndChangesNothing) {
  const std::uint64_t at = 2 * std::uint64_t{block_size()} + 1;
  program(at, Bytes(1, std::byte{0x7f}));
  const Bytes data(static_cast<std::size_t>(at) - 6, std::byte{0x80});
  const auto status = device_->program(7, data);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::bit_set);
  expect_content();
}

TEST_P(DeviceContract, ErasesWholeBlocksAndNoOthers) {
  program(0, pattern(static_cast<std::size_t>(size())));
  erase({.offset = block_size(), .size = block_size()});
  expect_content();
  erase({.offset = std::uint64_t{3} * block_size(), .size = std::uint64_t{2} * block_size()});
  expect_content();
  program(block_size() + 1, pattern(100));
  expect_content();
  erase({.offset = 0, .size = size()});
  expect_content();
}

TEST_P(DeviceContract, RefusesWhatReachesBeyondTheEnd) {
  program(0, pattern(16));
  const std::uint64_t block = block_size();
  Bytes two(2);
  for (const std::uint64_t offset :
       {size() - 1, size(), size() + 1, UINT64_MAX - 1, UINT64_MAX, std::uint64_t{1} << 63}) {
    const auto read = device_->read(offset, two);
    ASSERT_FALSE(read) << offset;
    EXPECT_EQ(read.error().code, Errc::out_of_range);
    const auto programmed = device_->program(offset, two);
    ASSERT_FALSE(programmed) << offset;
    EXPECT_EQ(programmed.error().code, Errc::out_of_range);
  }
  for (const Range range :
       {Range{size(), block}, Range{size() - block, 2 * block}, Range{0, size() + block},
        Range{block, UINT64_MAX - block + 1}, Range{UINT64_MAX - block + 1, block}}) {
    const auto status = device_->erase(range);
    ASSERT_FALSE(status) << range.offset << ' ' << range.size;
    EXPECT_EQ(status.error().code, Errc::out_of_range) << range.offset << ' ' << range.size;
  }
  Bytes too_long(static_cast<std::size_t>(size()) + 1);
  EXPECT_EQ(device_->read(0, too_long).error().code, Errc::out_of_range);
  EXPECT_EQ(device_->program(0, too_long).error().code, Errc::out_of_range);
  expect_content();
}

TEST_P(DeviceContract, RefusesToErasePartsOfBlocks) {
  program(0, pattern(2 * std::size_t{block_size()}));
  for (const Range range : {Range{0, 1}, Range{0, block_size() / 2}, Range{0, block_size() + 1U},
                            Range{1, block_size()}, Range{block_size() / 2, block_size()}}) {
    const auto status = device_->erase(range);
    ASSERT_FALSE(status) << range.offset << ' ' << range.size;
    EXPECT_EQ(status.error().code, Errc::invalid_argument);
  }
  expect_content();
}

TEST_P(DeviceContract, DoesNothingWhenAskedForNothing) {
  program(0, pattern(16));
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{block_size()}, size()}) {
    EXPECT_TRUE(device_->read(offset, {}));
    EXPECT_TRUE(device_->program(offset, {}));
    EXPECT_TRUE(device_->erase({.offset = offset, .size = 0}));
  }
  expect_content();
}

TEST_P(DeviceContract, Syncs) {
  program(1, pattern(3));
  const auto status = device_->sync();
  EXPECT_TRUE(status) << status.error().message;
  expect_content();
}

TEST_P(LastingDeviceContract, KeepsWhatWasWrittenWhenOpenedAgain) {
  program(4097, pattern(5000));
  reopen(OpenMode::read_write);
  EXPECT_FALSE(device_->read_only());
  expect_content();
  program(1, pattern(3));
  expect_content();
}

TEST_P(LastingDeviceContract, WritesNothingWhenOpenedForReading) {
  program(4097, pattern(5000));
  reopen(OpenMode::read_only);
  EXPECT_TRUE(device_->read_only());
  const auto programmed = device_->program(0, Bytes(1));
  ASSERT_FALSE(programmed);
  EXPECT_EQ(programmed.error().code, Errc::read_only);
  const auto cleared = device_->erase({.offset = 0, .size = block_size()});
  ASSERT_FALSE(cleared);
  EXPECT_EQ(cleared.error().code, Errc::read_only);
  expect_content();
}

TEST_P(DeviceContract, BehavesLikeNorUnderRandomOperations) {
  constexpr unsigned seed = 20240229;
  constexpr int operations = 600;
  std::mt19937 random(seed);
  const auto pick = [&random](std::uint64_t limit) { return random() % limit; };
  for (int i = 0; i < operations; ++i) {
    SCOPED_TRACE(testing::Message() << "operation " << i << " of seed " << seed);
    const std::uint64_t offset = pick(size());
    if (pick(8) == 0) {
      const std::uint64_t first = offset / block_size();
      const std::uint64_t count =
          1 + pick(std::min<std::uint64_t>(3, size() / block_size() - first));
      erase({.offset = first * block_size(), .size = count * block_size()});
      continue;
    }
    const auto count =
        static_cast<std::size_t>(1 + pick(std::min<std::uint64_t>(300, size() - offset)));
    const auto current = std::span(expected_).subspan(static_cast<std::size_t>(offset), count);
    Bytes data(current.begin(), current.end());
    for (std::byte& b : data) b &= static_cast<std::byte>(random() & 0xff);
    const auto cleared = std::ranges::find_if(current, [](std::byte b) { return b != erased; });
    if (pick(4) == 0 && cleared != current.end()) {
      data[static_cast<std::size_t>(cleared - current.begin())] = erased;
      const auto status = device_->program(offset, data);
      ASSERT_FALSE(status);
      ASSERT_EQ(status.error().code, Errc::bit_set);
    } else {
      program(offset, data);
    }
    if (i % 50 == 0) expect_content();
  }
  expect_content();
}

std::string case_name(const ::testing::TestParamInfo<DeviceCase>& param_info) {
  return param_info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Flash, DeviceContract, ::testing::ValuesIn(device_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Flash, LastingDeviceContract, ::testing::ValuesIn(lasting_device_cases()),
                         case_name);

}  // namespace
}  // namespace efistore::flash
