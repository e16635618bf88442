// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "map_svg.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "region_style.hpp"
#include "wear_scale.hpp"

namespace efistore::tools {
namespace {

using store::RegionKind;
using testing::HasSubstr;
using testing::Not;

store::Examination examination() {
  store::Examination result;
  result.layout = store::Layout::ovmf_2m();
  const auto& layout = result.layout;
  result.regions = {{RegionKind::volume_header, {0, 0x64}, ""},
                    {RegionKind::live_record, {0x64, 0x100}, "<A&B\">\x1b"},
                    {RegionKind::free_space, {0x164, layout.variables.end() - 0x164}, ""},
                    {RegionKind::event_log, layout.event_log, ""},
                    {RegionKind::ftw_queue, layout.ftw_working, ""},
                    {RegionKind::ftw_spare, layout.ftw_spare, ""}};
  return result;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(DrawMap, EscapesWhatComesFromOutside) {
  const std::string svg = draw_map("a<b", examination(), std::nullopt);
  EXPECT_THAT(svg, HasSubstr(">a&lt;b</text>"));
  EXPECT_THAT(svg, HasSubstr("&lt;A&amp;B&quot;&gt;\\u{1b}</title>"));
  EXPECT_THAT(svg, Not(HasSubstr("\x1b")));
  EXPECT_THAT(svg, Not(HasSubstr("<A&")));
}

TEST(DrawMap, NeedsNothingButItself) {
  const std::string svg = draw_map("t", examination(), std::nullopt);
  for (const char* reference : {"href", "url(", "<script", "<image", "@import"}) {
    EXPECT_THAT(svg, Not(HasSubstr(reference)));
  }
}

TEST(DrawMap, DrawsARegionThatCrossesRowsInEachOfThem) {
  // 56 KiB of variables in rows of 4 KiB: the free space is in all 14, and once in the volume.
  const std::string svg = draw_map("t", examination(), std::nullopt);
  EXPECT_EQ(count(svg, "<title>free-space"), 15U);
  EXPECT_EQ(count(svg, "<title>live-record"), 2U);
  EXPECT_EQ(count(svg, "<title>ftw-spare"), 1U);
}

TEST(DrawMap, DrawsManyRegionsOfAKindAsOne) {
  store::Examination many = examination();
  many.regions.clear();
  for (std::uint64_t at = 0; at < many.layout.variables.size; at += 4) {
    many.regions.push_back({RegionKind::uncommitted_record, {at, 4}, "x"});
  }
  const std::string svg = draw_map("t", many, std::nullopt);
  EXPECT_LT(svg.size(), 20000U);
  EXPECT_THAT(svg, HasSubstr("uncommitted-record: 56 KiB, 14336 regions"));
}

/// For the 32 blocks of ovmf_2m().
flash::WearCounts worn() {
  flash::WearCounts wear{.erase_block_size_bytes = 0x1000,
                         .erases = std::vector<std::uint64_t>(32, 0)};
  wear.erases[0] = 100;
  wear.erases[1] = 100;
  wear.erases[2] = 20;
  wear.erases[16] = 21;
  wear.erases[31] = 1;
  return wear;
}

TEST(DrawMap, ShowsHowOftenBlocksWereErased) {
  const std::string svg = draw_map("t", examination(), worn());
  for (const char* title : {"blocks 0 to 1: erased 100 times", "block 2: erased 20 times",
                            "blocks 3 to 15: erased 0 times", "block 16: erased 21 times",
                            "blocks 17 to 30: erased 0 times", "block 31: erased 1 time"}) {
    EXPECT_EQ(count(svg, std::string("<title>") + title + "</title>"), 1U) << title;
  }
  // 828 pixels for 32 blocks, from 108 on.
  EXPECT_THAT(
      svg, HasSubstr(R"(<rect x="108.00" y="124.0" width="51.75" height="14.0" fill="#662506">)"));
  EXPECT_THAT(
      svg, HasSubstr(R"(<rect x="522.00" y="124.0" width="25.88" height="14.0" fill="#fec44f">)"));
  for (const char* step : {"0", "1 to 20", "21 to 40", "41 to 60", "61 to 80", "81 to 100"}) {
    EXPECT_EQ(count(svg, std::string(">") + step + "</text>"), 1U) << step;
  }
}

TEST(DrawMap, HasNoStripWithoutCounts) {
  const std::string svg = draw_map("t", examination(), std::nullopt);
  EXPECT_THAT(svg, Not(HasSubstr("rases")));
  EXPECT_THAT(svg, Not(HasSubstr("erased")));
}

TEST(DrawMap, ShowsTheEraseCountsOfTheVolumeOnly) {
  flash::WearCounts wear = worn();
  wear.erases.resize(16384, 0);
  wear.erases.back() = 7654321;
  const std::string svg = draw_map("t", examination(), wear);
  EXPECT_THAT(svg, HasSubstr("<title>block 31: erased 1 time</title>"));
  EXPECT_THAT(svg, HasSubstr(">81 to 100</text>")) << "the scale is the volume's too";
  EXPECT_THAT(svg, Not(HasSubstr("7654321")));
}

TEST(DrawMap, DrawsManyBlocksOfAStepAsOne) {
  store::Examination large = examination();
  large.layout.volume_size_bytes = std::uint64_t{16384} * 0x1000;
  flash::WearCounts wear{.erase_block_size_bytes = 0x1000, .erases = {}};
  for (std::uint64_t i = 0; i < 16384; ++i) wear.erases.push_back(1 + i / 3);
  const std::string svg = draw_map("t", large, wear);
  EXPECT_LT(svg.size(), 20000U);
  EXPECT_EQ(count(svg, ": erased "), 5U);
  EXPECT_THAT(svg, HasSubstr("erased 1 to 1092 times"));
}

TEST(WearScale, HasNoGapsAndEndsWithTheMost) {
  for (const std::uint64_t most :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{4}, std::uint64_t{5}, std::uint64_t{7},
        std::uint64_t{100000}, ~std::uint64_t{0}}) {
    const auto scale = wear_scale(most);
    EXPECT_EQ(scale.size(), 1 + std::min<std::uint64_t>(5, most));
    EXPECT_EQ(scale.front().first, 0U);
    EXPECT_EQ(scale.front().last, 0U);
    EXPECT_EQ(scale.back().last, most);
    for (std::size_t i = 1; i < scale.size(); ++i) {
      EXPECT_EQ(scale[i].first, scale[i - 1].last + 1);
      EXPECT_LE(scale[i].first, scale[i].last);
      EXPECT_EQ(step_of(scale, scale[i].first), i);
      EXPECT_EQ(step_of(scale, scale[i].last), i);
    }
  }
}

/// Relative luminance as WCAG has it, but for the gamma, which keeps the order.
double luminance(std::string_view colour) {
  const auto part = [&](std::size_t at) {
    return static_cast<double>(std::stoul(std::string(colour.substr(at, 2)), nullptr, 16));
  };
  return 0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5);
}

TEST(WearScale, GetsDarkerByEveryStep) {
  const auto scale = wear_scale(5);
  for (std::size_t i = 1; i < scale.size(); ++i) {
    EXPECT_LT(luminance(scale[i].colour), luminance(scale[i - 1].colour) - 12) << i;
  }
}

TEST(TotalByKind, AddsUp) {
  const auto totals = total_by_kind({{RegionKind::live_record, {0, 10}, ""},
                                     {RegionKind::dead_record, {10, 5}, ""},
                                     {RegionKind::live_record, {15, 7}, ""}});
  ASSERT_EQ(totals.size(), 2U);
  EXPECT_EQ(totals[0].kind, RegionKind::live_record);
  EXPECT_EQ(totals[0].bytes, 17U);
  EXPECT_EQ(totals[0].regions, 2U);
  EXPECT_EQ(totals[1].bytes, 5U);
}

}  // namespace
}  // namespace efistore::tools
