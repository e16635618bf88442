// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "map_svg.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "region_style.hpp"

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
  const std::string svg = draw_map("a<b", examination());
  EXPECT_THAT(svg, HasSubstr(">a&lt;b</text>"));
  EXPECT_THAT(svg, HasSubstr("&lt;A&amp;B&quot;&gt;\\u{1b}</title>"));
  EXPECT_THAT(svg, Not(HasSubstr("\x1b")));
  EXPECT_THAT(svg, Not(HasSubstr("<A&")));
}

TEST(DrawMap, NeedsNothingButItself) {
  const std::string svg = draw_map("t", examination());
  for (const char* reference : {"href", "url(", "<script", "<image", "@import"}) {
    EXPECT_THAT(svg, Not(HasSubstr(reference)));
  }
}

TEST(DrawMap, DrawsARegionThatCrossesRowsInEachOfThem) {
  // 56 KiB of variables in rows of 4 KiB: the free space is in all 14, and once in the volume.
  const std::string svg = draw_map("t", examination());
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
  const std::string svg = draw_map("t", many);
  EXPECT_LT(svg.size(), 20000U);
  EXPECT_THAT(svg, HasSubstr("uncommitted-record: 56 KiB, 14336 regions"));
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
