// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/store/layout.hpp"

#include <fstream>
#include <iterator>

#include "store/store_fixture.hpp"
#include "support/vectors.hpp"

namespace efistore::test {
namespace {

using store::detect_layout;
using store::Layout;
using store::RecordFormat;
using ::testing::TestWithParam;

Bytes read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return bytes_of(text);
}

struct Packaged {
  const char* layout;
  const char* path;
};

class BlankImage : public TestWithParam<Packaged> {};

TEST_P(BlankImage, IsByteForByteThatOfThePackagedFirmware) {
  const Bytes packaged = read_file(GetParam().path);
  if (packaged.empty()) {
    if (runs_in_ci()) FAIL() << GetParam().path << " is missing: package ovmf";
    GTEST_SKIP() << GetParam().path << " is missing: package ovmf";
  }
  EXPECT_EQ(blank_image(*Layout::by_name(GetParam().layout)), packaged);
}

INSTANTIATE_TEST_SUITE_P(Ovmf, BlankImage,
                         testing::Values(Packaged{"ovmf-4m", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
                                         Packaged{"ovmf-2m", "/usr/share/OVMF/OVMF_VARS.fd"}),
                         [](const auto& tested) {
                           return tested.param.layout[5] == '4' ? "FourMegabytes" : "TwoMegabytes";
                         });

TEST(Layout, AavmfHeadersAreByteForByteThoseOfThePackagedFirmware) {
  const std::string path = "/usr/share/AAVMF/AAVMF_VARS.ms.fd";
  Bytes packaged = read_file(path);
  if (packaged.empty()) {
    if (runs_in_ci()) FAIL() << path << " is missing: package qemu-efi-aarch64";
    GTEST_SKIP() << path << " is missing: package qemu-efi-aarch64";
  }
  packaged.resize(0xc0000);
  const Bytes blank = blank_image(Layout::aavmf());
  EXPECT_TRUE(std::equal(blank.begin(), blank.begin() + first_record, packaged.begin()));
  EXPECT_TRUE(std::equal(blank.begin() + 0x40000, blank.end(), packaged.begin() + 0x40000));
}

TEST(Layout, EveryLayoutIsDetectedFromItsBlankImage) {
  for (const Layout& layout :
       {Layout::ovmf_4m(), Layout::ovmf_2m(), Layout::aavmf(), small_layout(),
        small_layout(RecordFormat::normal), Layout::custom({.size_bytes = 0x84000}).value(),
        Layout::custom({.size_bytes = 0x80000, .block_size_bytes = 0x10000}).value()}) {
    auto device = device_of(blank_image(layout));
    const auto found = detect_layout(*device);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(*found, layout) << layout.name();
  }
}

TEST(Layout, CustomDividesTheVolumeEvenly) {
  const Layout even = Layout::custom({.size_bytes = 0x8000}).value();
  EXPECT_EQ(even.variables, (flash::Range{0, 0x3000}));
  EXPECT_EQ(even.event_log, (flash::Range{0x3000, 0x1000}));
  EXPECT_EQ(even.ftw_working, (flash::Range{0x4000, 0x1000}));
  EXPECT_EQ(even.ftw_spare, (flash::Range{0x5000, 0x3000}));
  EXPECT_EQ(small_layout().event_log.size, 0U);
}

TEST(Layout, CustomRefusesWhatTheFormatCannotHold) {
  for (const auto& [size, block] :
       std::vector<std::pair<std::uint64_t, std::uint32_t>>{{0x2000, 0x1000},
                                                            {0x3001, 0x1000},
                                                            {0x3000, 0x800},
                                                            {0x3000, 0x1800},
                                                            {0x4001000, 0x1000},
                                                            {0, 0x1000},
                                                            {0x600000, 0x200000}}) {
    const auto layout = Layout::custom({.size_bytes = size, .block_size_bytes = block});
    ASSERT_FALSE(layout) << size << " " << block;
    EXPECT_EQ(layout.error().code, Errc::invalid_argument);
  }
}

TEST(DetectLayout, BlankIsToldApartByItsFillByte) {
  for (const auto& [fill, word] : {std::pair{0xff, "0xff"}, std::pair{0x00, "zero"}}) {
    auto device = device_of(Bytes(0x84000, static_cast<std::byte>(fill)));
    const auto found = detect_layout(*device);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, Errc::blank);
    EXPECT_NE(found.error().message.find(word), std::string::npos) << found.error().message;
  }
}

TEST(DetectLayout, ABlankAavmfImageIsBlank) {
  EFISTORE_NEED_VECTORS();
  auto device = device_of(load_vector("store/v12-aavmf-blank-zeros-first768K.fd.xz").value());
  EXPECT_EQ(detect_layout(*device).error().code, Errc::blank);
}

TEST(DetectLayout, AnErasedFirstBlockBeforeDataIsDamageAndNotBlank) {
  Bytes image = blank_image(small_layout());
  std::fill_n(image.begin(), 0x1000, std::byte{0xff});
  auto device = device_of(image);
  EXPECT_EQ(detect_layout(*device).error().code, Errc::damaged);
}

struct Corruption {
  const char* field;
  std::size_t offset;
  const char* hex;
};

class DamagedHeader : public TestWithParam<Corruption> {};

TEST_P(DamagedHeader, IsRefusedWithTheFieldAndWhatWasExpected) {
  Bytes image = blank_image(small_layout());
  const auto bytes = from_hex(GetParam().hex).value();
  std::copy(bytes.begin(), bytes.end(),
            image.begin() + static_cast<std::ptrdiff_t>(GetParam().offset));
  auto device = device_of(image);
  const auto found = detect_layout(*device);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::damaged);
  EXPECT_NE(found.error().message.find(GetParam().field), std::string::npos)
      << found.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    Fields, DamagedHeader,
    testing::Values(Corruption{"signature", 40, "00"}, Corruption{"GUID", 16, "00"},
                    Corruption{"FvLength", 32, "0140"}, Corruption{"FvLength", 32, "0040"},
                    Corruption{"FvLength", 32, "ffffffffffffffff"},
                    Corruption{"HeaderLength", 48, "4600"}, Corruption{"HeaderLength", 48, "ffff"},
                    Corruption{"HeaderLength", 48, "4a00"}, Corruption{"block map", 60, "00180000"},
                    Corruption{"block map", 60, "00000080"},
                    Corruption{"block map", 60, "00000000"},
                    Corruption{"variable store's signature", 72, "00"},
                    Corruption{"Size", 88, "00000000"}, Corruption{"Size", 88, "ffffffff"},
                    Corruption{"Size", 88, "b90f0000"}, Corruption{"Format", 92, "00"},
                    Corruption{"State", 93, "ff"}),
    [](const auto& tested) { return "Case" + std::to_string(tested.index); });

TEST(DetectLayout, AVolumeLargerThanItsDeviceIsDamaged) {
  Bytes image = blank_image(Layout::ovmf_4m());
  image.resize(0x83000);
  auto device = device_of(image);
  EXPECT_EQ(detect_layout(*device).error().code, Errc::damaged);
}

TEST(DetectLayout, ALongerBlockMapIsRead) {
  // Two regions of blocks, as a NOR part with small boot blocks has them: the header is 8 bytes
  // longer, and everything behind it moves.
  Bytes image = blank_image(small_layout());
  std::copy_backward(image.begin() + 0x48, image.begin() + 0xff0, image.begin() + 0xff8);
  const auto map = from_hex(
                       "0200000000100000"
                       "0100000000100000"
                       "0000000000000000")
                       .value();
  std::copy(map.begin(), map.end(), image.begin() + 56);
  image[48] = std::byte{0x50};
  const auto size = from_hex("b00f0000").value();
  std::copy(size.begin(), size.end(), image.begin() + 0x50 + 16);
  auto device = device_of(image);
  const auto found = detect_layout(*device);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->variables.size, 0x1000U);
  EXPECT_TRUE(store::VariableStore::open(std::move(device)));
}

/// small_layout() with a working area that begins with `header`, and `spare` behind it.
Bytes with_working_header(std::string_view header, std::string_view spare) {
  Bytes image = blank_image(small_layout());
  std::ranges::copy(as_bytes(header), image.begin() + 0x1000);
  std::ranges::copy(as_bytes(spare), image.begin() + 0x2000);
  return image;
}

TEST(DetectLayout, WhatIsNoSpareIsNotTakenForOne) {
  const std::string cleared(32, '\0');
  EXPECT_EQ(detect_layout(*device_of(with_working_header(cleared, "")))->ftw_spare.offset, 0x2000U);
  EXPECT_EQ(detect_layout(*device_of(with_working_header(cleared, "text")))->ftw_spare.size, 0U);
}

TEST(DetectLayout, WhatIsNoWorkingAreaIsNotTakenForOne) {
  const std::string foreign(100, 'x');
  EXPECT_EQ(detect_layout(*device_of(with_working_header(foreign, "")))->ftw_spare.size, 0U);
  EXPECT_EQ(detect_layout(*device_of(with_working_header("a word", "")))->ftw_spare.size, 0U);
}

TEST(DetectLayout, TheCopyInTheSpareTellsWhereTheWorkingAreaIsThatACutHasScrambled) {
  const Bytes blank = blank_image(small_layout());
  const std::string header(reinterpret_cast<const char*>(&blank[0x1000]), 32);
  auto device = device_of(with_working_header(std::string(0x1000, 'x'), header));
  EXPECT_EQ(detect_layout(*device)->ftw_working, small_layout().ftw_working);
  const auto opened = store::VariableStore::open(std::move(device));
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->report().recovery, store::FtwRecovery::reset);
  EXPECT_TRUE(opened->report().findings.empty());
}

TEST(DetectLayout, AWorkingHeaderWithAFewTurnedBitsIsStillOne) {
  for (const std::size_t byte : {0U, 16U, 20U, 24U}) {
    Bytes image = blank_image(small_layout());
    image[0x1000 + byte] ^= std::byte{0x15};
    EXPECT_EQ(detect_layout(*device_of(image))->ftw_working, small_layout().ftw_working) << byte;
  }
}

TEST(DetectLayout, AWorkingHeaderCountsMoreThanTheTable) {
  // A volume like OVMF's of 2 MiB, without an event log.
  Bytes image = blank_image(Layout::ovmf_2m());
  std::swap_ranges(image.begin() + 0xe000, image.begin() + 0xf000, image.begin() + 0xf000);
  const auto found = detect_layout(*device_of(image));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->event_log.size, 0U);
  EXPECT_EQ(found->ftw_working, (flash::Range{0xe000, 0x1000}));
  EXPECT_EQ(found->ftw_spare, (flash::Range{0xf000, 0x11000}));
  // In the spare it is a copy of some variable's data.
  image = blank_image(Layout::ovmf_4m());
  std::swap_ranges(image.begin() + 0x41000, image.begin() + 0x42000, image.begin() + 0x42000);
  EXPECT_EQ(detect_layout(*device_of(image))->ftw_working, Layout::ovmf_4m().ftw_working);
}

TEST(DetectLayout, ALargeDeviceIsBlankWhereAVolumeCouldBe) {
  Bytes image(store::max_volume_size_bytes + 0x1000);
  image.back() = std::byte{1};
  EXPECT_EQ(detect_layout(*device_of(image)).error().code, Errc::blank);
}

}  // namespace
}  // namespace efistore::test
