// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "create_layout.hpp"

#include <gtest/gtest.h>

namespace efistore::tools {
namespace {

using store::Layout;

constexpr std::uint64_t kibi = 1024;

flash::Geometry medium(std::uint64_t size_bytes, std::uint32_t block_bytes = 4096) {
  return {.size_bytes = size_bytes, .erase_block_size_bytes = block_bytes};
}

TEST(ChooseLayout, IsOvmf4mForANewFile) {
  EXPECT_EQ(choose_layout({}, std::nullopt).value(), Layout::ovmf_4m());
}

TEST(ChooseLayout, IsTheNamedLayoutOfThatVeryGeometry) {
  EXPECT_EQ(choose_layout({.size_bytes = 528 * kibi}, std::nullopt).value(), Layout::ovmf_4m());
  EXPECT_EQ(choose_layout({.size_bytes = 128 * kibi}, std::nullopt).value(), Layout::ovmf_2m());
  EXPECT_EQ(choose_layout({}, medium(128 * kibi)).value(), Layout::ovmf_2m());
  EXPECT_EQ(choose_layout({}, medium(768 * kibi, 256 * kibi)).value(), Layout::aavmf());
}

TEST(ChooseLayout, IsCustomOverTheWholeOtherwise) {
  const Layout whole = choose_layout({}, medium(1024 * kibi, 64 * kibi)).value();
  EXPECT_EQ(whole.name(), "custom");
  EXPECT_EQ(whole.volume_size_bytes, 1024 * kibi);
  EXPECT_EQ(whole.block_size_bytes, 64 * kibi);
  // The size of ovmf-2m, but blocks of another.
  EXPECT_EQ(choose_layout({}, medium(128 * kibi, 32 * kibi)).value().name(), "custom");
  // An MTD device may erase less than the smallest block of a layout.
  EXPECT_EQ(choose_layout({}, medium(64 * kibi, 512)).value().block_size_bytes, 4096U);
}

TEST(ChooseLayout, CustomTakesTheSizeThatIsAskedFor) {
  const LayoutRequest request{.name = "custom", .size_bytes = 64 * kibi};
  EXPECT_EQ(choose_layout(request, medium(1024 * kibi)).value().volume_size_bytes, 64 * kibi);
  EXPECT_EQ(choose_layout(request, std::nullopt).value().volume_size_bytes, 64 * kibi);
  const LayoutRequest blocks{
      .name = "custom", .size_bytes = 256 * kibi, .block_size_bytes = 16 * kibi};
  EXPECT_EQ(choose_layout(blocks, std::nullopt).value().block_size_bytes, 16 * kibi);
}

TEST(ChooseLayout, NamedLayoutsTakeTheFormat) {
  const LayoutRequest request{.name = "ovmf-2m", .format = store::RecordFormat::normal};
  EXPECT_EQ(choose_layout(request, std::nullopt).value().format, store::RecordFormat::normal);
  EXPECT_EQ(choose_layout({.format = store::RecordFormat::normal}, std::nullopt).value().format,
            store::RecordFormat::normal);
  EXPECT_EQ(
      choose_layout({.format = store::RecordFormat::normal}, medium(128 * kibi)).value().format,
      store::RecordFormat::normal);
}

ExitCode code_of(const Outcome<Layout>& outcome) {
  return outcome ? ExitCode::success : outcome.error().code;
}

TEST(ChooseLayout, RefusesWhatContradictsItself) {
  EXPECT_EQ(code_of(choose_layout({.name = "custom"}, std::nullopt)), ExitCode::usage);
  EXPECT_EQ(code_of(choose_layout({.block_size_bytes = 8 * kibi}, std::nullopt)), ExitCode::usage);
  EXPECT_EQ(code_of(choose_layout({.name = "ovmf-4m", .size_bytes = 64 * kibi}, std::nullopt)),
            ExitCode::usage);
  EXPECT_EQ(code_of(choose_layout({.name = "aavmf", .block_size_bytes = 4 * kibi}, std::nullopt)),
            ExitCode::usage);
}

TEST(ChooseLayout, FailsWhereNoLayoutFits) {
  EXPECT_EQ(code_of(choose_layout({.size_bytes = 128 * kibi}, medium(64 * kibi))),
            ExitCode::failure);
  EXPECT_EQ(code_of(choose_layout({.name = "custom", .size_bytes = 8 * kibi}, std::nullopt)),
            ExitCode::failure);
  EXPECT_EQ(
      code_of(choose_layout(
          {.name = "custom", .size_bytes = 64 * kibi, .block_size_bytes = std::uint64_t{1} << 33},
          std::nullopt)),
      ExitCode::failure);
}

}  // namespace
}  // namespace efistore::tools
