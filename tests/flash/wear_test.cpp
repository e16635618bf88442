// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/flash/wear.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "efistore/flash/memory_device.hpp"
#include "efistore/flash/open.hpp"

#include "support/faulty_device.hpp"
#include "support/temporary_directory.hpp"

namespace efistore::test {
namespace {

using flash::WearCounts;
using flash::WearDevice;
using ::testing::HasSubstr;

constexpr flash::Geometry three_blocks{.size_bytes = 0x3000, .erase_block_size_bytes = 0x1000};

class Wear : public testing::Test {
 protected:
  std::filesystem::path file(const char* name = "x.wear") const { return folder_.path() / name; }

  void write(const std::string& text) const { std::ofstream(file()) << text; }

  std::string text() const {
    std::ostringstream all;
    all << std::ifstream(file()).rdbuf();
    return all.str();
  }

  TemporaryDirectory folder_;
};

TEST_F(Wear, ErasesAreCountedByBlockAndSavedWithTheNextSync) {
  WearDevice device(std::make_unique<flash::MemoryDevice>(three_blocks), file(),
                    {.erase_block_size_bytes = 0x1000, .erases = {7, 0, 0}});
  ASSERT_TRUE(device.erase({0, 0x2000}));
  ASSERT_TRUE(device.erase({0x1000, 0x1000}));
  EXPECT_FALSE(std::filesystem::exists(file()));
  ASSERT_TRUE(device.sync());
  EXPECT_EQ(text(), "efistore-wear 1 4096 3\n8\n2\n0\n");
  const auto loaded = flash::load_wear(file(), three_blocks).value();
  EXPECT_EQ(loaded, device.counts());
  EXPECT_EQ(loaded.total(), 10U);
  EXPECT_EQ(loaded.most_worn(), 0U);
}

TEST_F(Wear, WhatIsRefusedWearsNothingAndWhatFailsInTheDeviceMay) {
  auto faulty = std::make_unique<FaultyDevice>(std::make_unique<flash::MemoryDevice>(three_blocks));
  faulty->arm({.operation = FlashOperation::erase});
  WearDevice device(std::move(faulty), file(),
                    {.erase_block_size_bytes = 0x1000, .erases = {0, 0, 0}});
  EXPECT_EQ(device.erase({0x800, 0x1000}).error().code, Errc::invalid_argument);
  EXPECT_EQ(device.erase({0x3000, 0x1000}).error().code, Errc::out_of_range);
  EXPECT_EQ(device.counts().total(), 0U);
  EXPECT_EQ(device.erase({0, 0x1000}).error().code, Errc::io);
  EXPECT_EQ(device.counts().total(), 1U);
}

TEST_F(Wear, CountsThatCannotBeSavedAreKeptAndTriedAgain) {
  WearDevice device(std::make_unique<flash::MemoryDevice>(three_blocks), file("absent/x.wear"),
                    {.erase_block_size_bytes = 0x1000, .erases = {0, 0, 0}});
  ASSERT_TRUE(device.erase({0, 0x1000}));
  ASSERT_TRUE(device.sync()) << "no failure of the device";
  std::filesystem::create_directory(file("absent"));
  ASSERT_TRUE(device.sync());
  EXPECT_TRUE(std::filesystem::exists(file("absent/x.wear")));
}

TEST_F(Wear, AnEmptyFileStartsToCount) {
  write("");
  EXPECT_EQ(flash::load_wear(file(), three_blocks)->erases, std::vector<std::uint64_t>(3));
}

TEST_F(Wear, OtherTextIsDamagedAndTheLineIsNamed) {
  struct Case {
    const char* text;
    const char* line;
  };
  for (const Case& tested :
       {Case{"x", "line 1"}, Case{"efistore-wear 1 4096 4\n1\n1\n1\n1\n", "line 1"},
        Case{"efistore-wear 1 512 3\n1\n1\n1\n", "line 1"},
        Case{"efistore-wear 1 4096 3\n1\n1\n", "line 4"},
        Case{"efistore-wear 1 4096 3\n1\n-1\n1\n", "line 3"},
        Case{"efistore-wear 1 4096 3\n1\n1x\n1\n", "line 3"},
        Case{"efistore-wear 1 4096 3\n1\n99999999999999999999999\n1\n", "line 3"},
        Case{"efistore-wear 1 4096 3\n1\n1\n1\n1\n", "behind"}}) {
    write(tested.text);
    const auto loaded = flash::load_wear(file(), three_blocks);
    ASSERT_FALSE(loaded) << tested.text;
    EXPECT_EQ(loaded.error().code, Errc::damaged);
    EXPECT_THAT(loaded.error().message, HasSubstr(tested.line));
  }
  std::filesystem::resize_file(file(), (4U << 20) + 1);
  EXPECT_EQ(flash::load_wear(file(), three_blocks).error().code, Errc::damaged);
  EXPECT_EQ(flash::load_wear(folder_.path(), three_blocks).error().code, Errc::damaged);
}

TEST_F(Wear, MoreBlocksThanAFileMayHoldAreNotCounted) {
  write("");
  for (const std::uint64_t blocks : {131073ULL, 1ULL << 40}) {
    const flash::Geometry geometry{.size_bytes = blocks * 0x1000, .erase_block_size_bytes = 0x1000};
    EXPECT_EQ(flash::load_wear(file(), geometry).error().code, Errc::unsupported);
  }
}

TEST_F(Wear, AnImageIsCountedWhereItsFileIsThere) {
  const auto image = (folder_.path() / "x").string();
  ASSERT_TRUE(flash::ImageFile::create(image, 0x3000));
  auto erase_first = [&] {
    auto device = flash::open_device(image, flash::OpenMode::read_write).value();
    EXPECT_TRUE(device->erase({0, 0x1000}));
    EXPECT_TRUE(device->sync());
  };
  erase_first();
  EXPECT_FALSE(std::filesystem::exists(file()));
  write("");
  erase_first();
  erase_first();
  EXPECT_EQ(flash::load_wear(file(), three_blocks)->erases.front(), 2U);
  write("broken");
  erase_first();
  EXPECT_EQ(text(), "broken") << "left alone";
}

}  // namespace
}  // namespace efistore::test
