// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Fakes have bugs: what the tests rest on has tests of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/flash/memory_device.hpp"

#include "support/counting_device.hpp"
#include "support/faulty_device.hpp"
#include "support/temporary_directory.hpp"
#include "support/vectors.hpp"

namespace efistore::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Bytes = std::vector<std::byte>;

constexpr std::uint32_t block_size = 1024;

class DecoratorTest : public ::testing::Test {
 protected:
  flash::MemoryDevice memory_{{.size_bytes = 8 * block_size, .erase_block_size_bytes = block_size}};
};

TEST_F(DecoratorTest, CountsWhatSucceeds) {
  CountingDevice device(memory_);
  Bytes data(10, std::byte{0x0f});
  ASSERT_TRUE(device.program(3, data));
  ASSERT_TRUE(device.program(100, std::span(data).first(1)));
  ASSERT_TRUE(device.read(0, data));
  ASSERT_TRUE(device.erase({.offset = 0, .size = 3 * block_size}));
  ASSERT_TRUE(device.sync());
  const FlashCounts expected{.reads = 1,
                             .bytes_read = 10,
                             .programs = 2,
                             .bytes_programmed = 11,
                             .erases = 1,
                             .blocks_erased = 3,
                             .syncs = 1};
  EXPECT_EQ(device.counts(), expected);
  EXPECT_FALSE(device.program(8 * block_size, data));
  EXPECT_FALSE(device.read(8 * block_size, data));
  EXPECT_FALSE(device.erase({.offset = 1, .size = 1}));
  EXPECT_EQ(device.counts(), expected);
  device.reset();
  EXPECT_EQ(device.counts(), FlashCounts{});
}

TEST_F(DecoratorTest, FailsTheNthProgramAndThenNoMore) {
  FaultyDevice device(memory_);
  device.arm({.operation = FlashOperation::program, .nth = 3});
  const Bytes data(4, std::byte{0});
  Bytes out(4);
  for (unsigned i = 1; i <= 5; ++i) {
    const auto status = device.program(i * 16, data);
    EXPECT_EQ(status.has_value(), i != 3) << i;
    if (!status) {
      EXPECT_EQ(status.error().code, Errc::io);
    }
    EXPECT_TRUE(device.read(0, out)) << "only programs were to fail";
    EXPECT_TRUE(device.erase({.offset = 4 * block_size, .size = block_size}));
  }
  EXPECT_EQ(device.faults(), 1U);
  EXPECT_TRUE(is_filled(memory_.content().subspan(48, 4), std::byte{0xff}));
  EXPECT_TRUE(is_filled(memory_.content().subspan(64, 4), std::byte{0}));
}

TEST_F(DecoratorTest, LetsAPrefixOfAProgramReachTheMedium) {
  FaultyDevice device(memory_);
  device.arm({.operation = FlashOperation::program, .bytes_done = 3});
  EXPECT_FALSE(device.program(0, Bytes(8, std::byte{0})));
  EXPECT_EQ(to_hex(memory_.content().first(8)), "000000ffffffffff");
  device.arm({.operation = FlashOperation::program, .bytes_done = UINT64_MAX});
  EXPECT_FALSE(device.program(0, Bytes(8, std::byte{0})));
  EXPECT_EQ(to_hex(memory_.content().first(8)), "0000000000000000");
}

TEST_F(DecoratorTest, ErasesAPrefixInWholeBlocks) {
  FaultyDevice device(memory_);
  ASSERT_TRUE(device.program(0, Bytes(4 * block_size, std::byte{0})));
  device.arm({.operation = FlashOperation::erase, .bytes_done = 2 * block_size - 1});
  EXPECT_FALSE(device.erase({.offset = 0, .size = 4 * block_size}));
  EXPECT_TRUE(is_filled(memory_.content().first(block_size), std::byte{0xff}));
  EXPECT_TRUE(is_filled(memory_.content().subspan(block_size, 3 * block_size), std::byte{0}));
}

TEST_F(DecoratorTest, FailsReadsAndSyncs) {
  FaultyDevice device(memory_);
  Bytes out(4, std::byte{0x11});
  device.arm({.operation = FlashOperation::read, .bytes_done = 2});
  EXPECT_FALSE(device.read(0, out));
  EXPECT_EQ(to_hex(out), "ffff1111");
  EXPECT_TRUE(device.read(0, out));
  device.arm({.operation = FlashOperation::sync, .nth = 2});
  EXPECT_TRUE(device.sync());
  EXPECT_FALSE(device.sync());
  EXPECT_TRUE(device.sync());
  EXPECT_EQ(device.faults(), 2U);
}

TEST_F(DecoratorTest, FailsForGoodUntilDisarmed) {
  FaultyDevice device(memory_);
  device.arm({.operation = FlashOperation::program, .nth = 2, .bytes_done = 1, .lasting = true});
  const Bytes data(4, std::byte{0});
  EXPECT_TRUE(device.program(0, data));
  EXPECT_FALSE(device.program(16, data));
  EXPECT_FALSE(device.program(32, data));
  EXPECT_EQ(to_hex(memory_.content().subspan(16, 2)), "00ff") << "the first fails half-way";
  EXPECT_EQ(to_hex(memory_.content().subspan(32, 2)), "ffff") << "the later ones at once";
  device.disarm();
  EXPECT_TRUE(device.program(32, data));
  EXPECT_EQ(device.faults(), 2U);
}

TEST_F(DecoratorTest, DoesNotCountWhatTheContractRefuses) {
  FaultyDevice device(memory_);
  device.arm({.operation = FlashOperation::program});
  EXPECT_EQ(device.program(8 * block_size, Bytes(1)).error().code, Errc::out_of_range);
  EXPECT_EQ(device.faults(), 0U);
  EXPECT_EQ(device.program(0, Bytes(1)).error().code, Errc::io);
}

TEST(TemporaryDirectory, IsItsOwnAndGoesWithEverythingInIt) {
  std::optional<TemporaryDirectory> one(std::in_place);
  const TemporaryDirectory other;
  EXPECT_NE(one->path(), other.path());
  const fs::path path = one->path();
  fs::create_directories(*one / "a" / "b");
  std::ofstream(*one / "a" / "b" / "c") << "x";
  one.reset();
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(fs::is_directory(other.path()));
}

// "efistore\n", as xz packs it.
constexpr std::string_view packed_hex =
    "fd377a585a000004e6d6b4460200210116000000742fe5a301000865666973746f72650a00000000faafc9582ebc55"
    "b9000121096c18c5d51fb6f37d010000000004595a";

TEST(Xz, Decompresses) {
  const auto plain = decompress_xz(from_hex(packed_hex).value());
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_TRUE(std::ranges::equal(*plain, as_bytes("efistore\n")));
}

TEST(Xz, RefusesDamageAndTruncation) {
  const Bytes packed = from_hex(packed_hex).value();
  for (std::size_t size = 0; size < packed.size(); ++size) {
    EXPECT_FALSE(decompress_xz(std::span(packed).first(size))) << size;
  }
  for (std::size_t at = 0; at < packed.size(); ++at) {
    Bytes damaged = packed;
    damaged[at] ^= std::byte{0x10};
    EXPECT_FALSE(decompress_xz(damaged)) << at;
  }
}

TEST(Vectors, AreReadAndDecompressed) {
  EFISTORE_NEED_VECTORS();
  std::optional<std::string> name;
  for (const auto& entry : fs::directory_iterator(vectors_dir() / "store")) {
    if (entry.path().extension() == ".xz") name = "store/" + entry.path().filename().string();
  }
  ASSERT_TRUE(name) << "no packed vector in " << vectors_dir() / "store";
  const auto image = load_vector(*name);
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_GT(image->size(), fs::file_size(vectors_dir() / *name));
}

TEST(Vectors, NameWhatIsMissing) {
  const auto image = load_vector("store/no such vector.fd.xz");
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, Errc::not_found);
  EXPECT_THAT(image.error().message, HasSubstr("store/no such vector.fd.xz"));
}

}  // namespace
}  // namespace efistore::test
