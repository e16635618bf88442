// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What can be tested of MTD without a device; mtd_node_test.cpp has the rest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mtd/mtd-abi.h>
#include <sys/stat.h>

#include <fstream>
#include <ostream>
#include <string>
#include <vector>

#include "efistore/flash/mtd_device.hpp"
#include "efistore/flash/mtd_lookup.hpp"
#include "efistore/flash/open.hpp"

#include "support/temporary_directory.hpp"

namespace efistore::flash {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Serial NOR as its driver describes it.
MtdInfo nor() {
  return {.type = MTD_NORFLASH,
          .flags = MTD_CAP_NORFLASH,
          .size_bytes = 0x4000000,
          .erase_block_size_bytes = 4096,
          .write_size_bytes = 1};
}

TEST(MtdSuitable, AcceptsNorAndRam) {
  EXPECT_TRUE(check_mtd_suitable(nor(), "mtd0"));
  MtdInfo ram = nor();
  ram.type = MTD_RAM;
  ram.flags = MTD_CAP_RAM;
  EXPECT_TRUE(check_mtd_suitable(ram, "mtd0"));
  MtdInfo parallel = nor();
  parallel.erase_block_size_bytes = 0x40000;
  EXPECT_TRUE(check_mtd_suitable(parallel, "mtd0"));
  MtdInfo read_only_partition = nor();
  read_only_partition.flags = MTD_BIT_WRITEABLE;
  EXPECT_TRUE(check_mtd_suitable(read_only_partition, "mtd0")) << "it can be read";
  MtdInfo large = nor();
  large.size_bytes = std::uint64_t{8} << 30;
  EXPECT_TRUE(check_mtd_suitable(large, "mtd0"));
}

struct Unsuitable {
  std::string name;
  std::string reason;
  MtdInfo info;
};

void PrintTo(const Unsuitable& device, std::ostream* out) {
  *out << device.name;
}

class MtdUnsuitable : public ::testing::TestWithParam<Unsuitable> {};

TEST_P(MtdUnsuitable, IsRefusedWithTheReason) {
  const auto status = check_mtd_suitable(GetParam().info, "mtd7 (vars)");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::unsupported);
  EXPECT_THAT(status.error().message, StartsWith("mtd7 (vars): "));
  EXPECT_THAT(status.error().message, HasSubstr(GetParam().reason));
}

MtdInfo changed(void (*change)(MtdInfo&)) {
  MtdInfo info = nor();
  change(info);
  return info;
}

const std::vector<Unsuitable> unsuitable{
    {"Nand", "NAND flash (type 4, write size 2048)", changed([](MtdInfo& info) {
       info.type = MTD_NANDFLASH;
       info.flags = MTD_CAP_NANDFLASH;
       info.write_size_bytes = 2048;
     })},
    {"MlcNand", "NAND flash (type 8, write size 4096)", changed([](MtdInfo& info) {
       info.type = MTD_MLCNANDFLASH;
       info.write_size_bytes = 4096;
     })},
    {"NandThatClaimsBytes", "NAND flash",
     changed([](MtdInfo& info) { info.type = MTD_NANDFLASH; })},
    {"DataFlash", "DataFlash (type 6, write size 264)", changed([](MtdInfo& info) {
       info.type = MTD_DATAFLASH;
       info.write_size_bytes = 264;
       info.erase_block_size_bytes = 264;
     })},
    {"Rom", "ROM", changed([](MtdInfo& info) {
       info.type = MTD_ROM;
       info.flags = MTD_CAP_ROM;
     })},
    {"UbiVolume", "a UBI volume", changed([](MtdInfo& info) { info.type = MTD_UBIVOLUME; })},
    {"Absent", "an empty slot", changed([](MtdInfo& info) { info.type = MTD_ABSENT; })},
    {"UnknownType", "type 99", changed([](MtdInfo& info) { info.type = 99; })},
    {"NorWithEcc", "write size of 16 bytes", changed([](MtdInfo& info) {
       info.write_size_bytes = 16;
       info.flags = MTD_WRITEABLE;
     })},
    {"NoWriteSize", "write size of 0 bytes",
     changed([](MtdInfo& info) { info.write_size_bytes = 0; })},
    {"NotBitWritable", "not bit-writable (flags 0x400)",
     changed([](MtdInfo& info) { info.flags = MTD_WRITEABLE; })},
    {"NoEraseSize", "erase blocks of 0 bytes",
     changed([](MtdInfo& info) { info.erase_block_size_bytes = 0; })},
    {"OddEraseSize", "erase blocks of 4000 bytes, not a power of two",
     changed([](MtdInfo& info) { info.erase_block_size_bytes = 4000; })},
    {"TinyEraseSize", "erase blocks of 2 bytes",
     changed([](MtdInfo& info) { info.erase_block_size_bytes = 2; })},
    {"NoSize", "size of 0 bytes", changed([](MtdInfo& info) { info.size_bytes = 0; })},
    {"LessThanABlock", "size of 2048 bytes",
     changed([](MtdInfo& info) { info.size_bytes = 2048; })},
    {"PartOfABlock", "size of 6144 bytes", changed([](MtdInfo& info) { info.size_bytes = 6144; })}};

INSTANTIATE_TEST_SUITE_P(Mtd, MtdUnsuitable, ::testing::ValuesIn(unsuitable),
                         [](const auto& param_info) { return param_info.param.name; });

TEST(MtdDevice, OpensNothingButMtdCharacterDevices) {
  const test::TemporaryDirectory directory;
  std::ofstream(directory / "file") << "x";
  for (const std::string& path :
       {std::string("/dev/null"), (directory / "file").string(), directory.path().string()}) {
    const auto device = MtdDevice::open(path, OpenMode::read_only);
    ASSERT_FALSE(device) << path;
    EXPECT_EQ(device.error().code, Errc::invalid_argument) << path;
  }
  EXPECT_EQ(MtdDevice::open(directory / "mtd99", OpenMode::read_only).error().code,
            Errc::not_found);
}

TEST(FindMtd, NamesWhatItDidNotFind) {
  const auto node = find_mtd("no such \x1b[1mdevice");
  ASSERT_FALSE(node);
  EXPECT_EQ(node.error().code, Errc::not_found);
  EXPECT_THAT(node.error().message, HasSubstr("\"no such ?[1mdevice\""));
}

TEST(OpenDevice, TakesImageFiles) {
  const test::TemporaryDirectory directory;
  const std::string path = directory / "vars.fd";
  ASSERT_TRUE(ImageFile::create(path, 8192));
  const auto device = open_device(path, OpenMode::read_write);
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_EQ((*device)->geometry().size_bytes, 8192U);
  EXPECT_FALSE((*device)->read_only());
}

TEST(OpenDevice, OpensForReadingWhenAskedTo) {
  const test::TemporaryDirectory directory;
  const std::string path = directory / "vars.fd";
  ASSERT_TRUE(ImageFile::create(path, 8192));
  const auto device = open_device(path, OpenMode::read_only);
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_TRUE((*device)->read_only());
}

TEST(OpenDevice, RefusesEverythingElse) {
  const test::TemporaryDirectory directory;
  const std::string fifo = directory / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  for (const std::string& path : {fifo, directory.path().string(), std::string("/dev/null")}) {
    const auto device = open_device(path, OpenMode::read_write);
    ASSERT_FALSE(device) << path;
    EXPECT_EQ(device.error().code, Errc::invalid_argument) << path;
    EXPECT_THAT(device.error().message, StartsWith(path + " is neither an image file nor an MTD"));
  }
  EXPECT_EQ(open_device(directory / "missing", OpenMode::read_only).error().code, Errc::not_found);
  EXPECT_EQ(open_device("mtd:no such device", OpenMode::read_only).error().code, Errc::not_found);
  EXPECT_EQ(open_device("", OpenMode::read_only).error().code, Errc::not_found);
}

}  // namespace
}  // namespace efistore::flash
