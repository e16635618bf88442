// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What is special to real MTD devices: run in a guest by tests/guest/mtd-test. EFISTORE_TEST_MTD
// names the node of an mtdram device, EFISTORE_TEST_NAND one of nandsim's, and two block2mtd
// devices are called "twin".
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/flash/mtd_device.hpp"
#include "efistore/flash/mtd_lookup.hpp"
#include "efistore/flash/open.hpp"

#include "flash/holder_process.hpp"
#include "flash/system_calls.hpp"

namespace efistore::flash {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* mtdram_name = "mtdram test device";

class MtdNode : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* ram = std::getenv("EFISTORE_TEST_MTD");
    const char* nand = std::getenv("EFISTORE_TEST_NAND");
    if (ram == nullptr || nand == nullptr) GTEST_SKIP() << "runs in the guest of guest.mtd only";
    ram_ = ram;
    nand_ = nand;
  }

  /// "mtd0 (mtdram test device)"
  std::string display_name() const {
    return ram_.substr(ram_.rfind('/') + 1) + " (" + mtdram_name + ")";
  }

  std::string ram_;
  std::string nand_;
};

TEST_F(MtdNode, HasTheNameAndGeometryThatTheKernelTells) {
  const auto device = MtdDevice::open(ram_, OpenMode::read_write);
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_EQ((*device)->name(), display_name());
  EXPECT_EQ((*device)->geometry(),
            (Geometry{.size_bytes = 1024 * 1024, .erase_block_size_bytes = 4096}));
}

TEST_F(MtdNode, RefusesNandWithTheReason) {
  for (const OpenMode mode : {OpenMode::read_write, OpenMode::read_only}) {
    const auto device = open_device(nand_, mode);
    ASSERT_FALSE(device);
    EXPECT_EQ(device.error().code, Errc::unsupported);
    EXPECT_THAT(device.error().message,
                AllOf(StartsWith(nand_.substr(nand_.rfind('/') + 1) +
                                 " (NAND simulator partition 0): is NAND flash"),
                      HasSubstr("write size 2048"), HasSubstr("needs NOR flash")));
  }
}

TEST_F(MtdNode, SaysThatTheNodeForReadingIsForReading) {
  const auto writable = MtdDevice::open(ram_ + "ro", OpenMode::read_write);
  ASSERT_FALSE(writable);
  EXPECT_EQ(writable.error().code, Errc::read_only) << writable.error().message;
  EXPECT_THAT(writable.error().message, HasSubstr(ram_ + "ro"));
  const auto readable = MtdDevice::open(ram_ + "ro", OpenMode::read_only);
  EXPECT_TRUE(readable) << readable.error().message;
}

TEST_F(MtdNode, ProgramsWholeBusWordsAndKeepsWhatIsAround) {
  const auto device = MtdDevice::open(ram_, OpenMode::read_write);
  ASSERT_TRUE(device) << device.error().message;
  ASSERT_TRUE((*device)->erase({.offset = 0, .size = 4096}));
  ASSERT_TRUE((*device)->program(0, as_bytes("abcdefghijklmnop")));
  SystemCalls calls;
  const std::array<std::byte, 2> zeros{};
  for (std::uint64_t offset = 1; offset < 12; offset += 5) {
    ASSERT_TRUE((*device)->program(offset, zeros));
  }
  EXPECT_EQ(calls.writes, (std::vector<Range>{{0, 4}, {4, 4}, {8, 8}}));
  std::array<std::byte, 16> content{};
  ASSERT_TRUE((*device)->read(0, content));
  EXPECT_EQ(to_hex(content), to_hex(as_bytes(std::string_view("a\0\0def\0\0ijk\0\0nop", 16))));
}

TEST_F(MtdNode, NamesTheProcessThatHoldsTheDevice) {
  HolderProcess holder({"write", ram_});
  for (const OpenMode mode : {OpenMode::read_write, OpenMode::read_only}) {
    const auto device = MtdDevice::open(ram_, mode);
    ASSERT_FALSE(device);
    EXPECT_EQ(device.error().code, Errc::busy);
    EXPECT_THAT(device.error().message, StartsWith(display_name() + " is in use by process " +
                                                   std::to_string(holder.pid()) +
                                                   " (/bin/lock_holder write " + ram_ + "): "));
  }
  holder.kill();
  EXPECT_TRUE(MtdDevice::open(ram_, OpenMode::read_write));
}

TEST_F(MtdNode, LetsSeveralRead) {
  HolderProcess holder({"read", ram_});
  EXPECT_TRUE(MtdDevice::open(ram_, OpenMode::read_only));
  EXPECT_EQ(MtdDevice::open(ram_, OpenMode::read_write).error().code, Errc::busy);
}

TEST_F(MtdNode, IsListedInTheKernelsOrderWithoutTheNodesForReading) {
  const auto entries = list_mtd();
  ASSERT_TRUE(entries) << entries.error().message;
  // /proc/mtd: a line of headings, then "mtd0: 00100000 00001000 "name"" for each device.
  std::ifstream proc("/proc/mtd");
  std::string line;
  std::getline(proc, line);
  std::size_t count = 0;
  while (std::getline(proc, line)) {
    ASSERT_LT(count, entries->size());
    const MtdEntry& entry = (*entries)[count];
    EXPECT_EQ(entry.node, "/dev/" + line.substr(0, line.find(':')));
    EXPECT_EQ('"' + entry.name + '"', line.substr(line.find('"')));
    ++count;
  }
  EXPECT_EQ(count, entries->size());
  EXPECT_GT(count, 10U) << "too few to tell the kernel's order from the alphabet's";
}

TEST_F(MtdNode, IsFoundByName) {
  const auto node = find_mtd(mtdram_name);
  ASSERT_TRUE(node) << node.error().message;
  EXPECT_EQ(node->string(), ram_);
  const auto device = open_device(std::string("mtd:") + mtdram_name, OpenMode::read_write);
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_EQ((*device)->name(), display_name());
}

TEST_F(MtdNode, IsNotFoundByAnotherName) {
  const auto node = find_mtd("mtdram");
  ASSERT_FALSE(node);
  EXPECT_EQ(node.error().code, Errc::not_found);
  EXPECT_THAT(node.error().message, AllOf(HasSubstr("\"mtdram\""), HasSubstr("\"twin\""),
                                          HasSubstr("\"mtdram test device\" (" + ram_ + ")")));
}

TEST_F(MtdNode, IsNotChosenAmongSeveralOfOneName) {
  const auto node = find_mtd("twin");
  ASSERT_FALSE(node);
  EXPECT_EQ(node.error().code, Errc::invalid_argument);
  EXPECT_THAT(node.error().message, HasSubstr("2 MTD devices are called \"twin\""));
}

}  // namespace
}  // namespace efistore::flash
