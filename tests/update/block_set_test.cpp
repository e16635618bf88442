// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/update/block_set.hpp"

#include <gmock/gmock.h>

#include <random>
#include <set>

namespace efistore::update {
namespace {

using BlockRun = BlockSet::Run;
using ::testing::ElementsAre;

TEST(BlockSet, IsASet) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    BlockSet set;
    std::set<std::uint32_t> model;
    for (int i = 0; i < 60; ++i) {
      const std::uint32_t block = random() % 64;
      set.add(block);
      model.insert(block);
    }
    EXPECT_EQ(model.size(), set.count());
    for (std::uint32_t block = 0; block < 66; ++block) {
      EXPECT_EQ(model.contains(block), set.contains(block)) << block;
    }
    // Runs that touch are one.
    EXPECT_EQ(set, BlockSet::from_runs(set.runs()).value());
  }
}

TEST(BlockSet, MalformedRunsAreRefused) {
  const auto is_refused = [](std::vector<BlockRun> runs) { return !BlockSet::from_runs(runs); };
  EXPECT_FALSE(is_refused({}));
  EXPECT_FALSE(is_refused({{0, 1}, {2, 1}}));
  EXPECT_TRUE(is_refused({{0, 0}}));
  EXPECT_TRUE(is_refused({{0, 1}, {1, 1}}));
  EXPECT_TRUE(is_refused({{5, 1}, {2, 1}}));
  EXPECT_TRUE(is_refused({{0xffffffff, 1}}));
  EXPECT_TRUE(is_refused({{1, 0xffffffff}}));
}

TEST(BlockSet, JoinsAcrossTheNarrowestGaps) {
  const auto set =
      BlockSet::from_runs(std::vector<BlockRun>{{1, 2}, {5, 1}, {20, 3}, {24, 1}}).value();
  EXPECT_EQ(set, set.joined(4));
  EXPECT_THAT(set.joined(3).runs(), ElementsAre(BlockRun{1, 2}, BlockRun{5, 1}, BlockRun{20, 5}));
  EXPECT_THAT(set.joined(2).runs(), ElementsAre(BlockRun{1, 5}, BlockRun{20, 5}));
  EXPECT_THAT(set.joined(1).runs(), ElementsAre(BlockRun{1, 24}));
  EXPECT_TRUE(BlockSet().joined(1).empty());
}

}  // namespace
}  // namespace efistore::update
