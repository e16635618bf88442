// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Power cuts: every operation of every scenario in every way, and every operation of the recovery
// too. tests/README.md says how to replay one, and how to leave none out.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "powercut/runner.hpp"
#include "support/sample.hpp"

namespace efistore::test {
namespace {

struct Volume {
  const char* name;
  store::Layout (*layout)();
  std::uint64_t deep_stride;  ///< of the default run
};

template <std::uint64_t size_bytes, store::RecordFormat format>
store::Layout custom() {
  return store::Layout::custom({.size_bytes = size_bytes, .format = format}).value();
}

using enum store::RecordFormat;
constexpr std::array<Volume, 4> volumes = {{
    {"small_auth", custom<0x3000, authenticated>, 10},
    {"small_normal", custom<0x3000, normal>, 10},
    // Four blocks of variables.
    {"blocks_auth", custom<0x9000, authenticated>, 300},
    {"blocks_normal", custom<0x9000, normal>, 300},
}};
constexpr Volume ovmf = {"ovmf_4m", &store::Layout::ovmf_4m, 0};

/// Cuts of the default run, for each of the volumes above: a scenario that shrinks is seen. Those
/// of signed requests vary by the size of signatures.
struct Floor {
  std::string_view kind;
  std::array<std::uint64_t, 4> cuts;
};
constexpr Floor floors[] = {
    {"create", {550, 549, 60, 60}},
    {"create_treacherous", {768, 752, 112, 101}},
    {"create_copy", {550, 550, 59, 60}},
    {"update", {930, 888, 111, 99}},
    {"append", {930, 888, 111, 104}},
    {"delete", {168, 165, 23, 20}},
    {"clear_bits", {193, 168, 25, 20}},
    {"reclaim", {5179, 5179, 3468, 3380}},
    {"reclaim_used_spare", {3959, 3959, 2100, 1955}},
    {"reclaim_full_queue", {7865, 7865, 3121, 3121}},
    {"reclaim_with", {4425, 4425, 1667, 1639}},
    {"replace_all", {4425, 4425, 481, 467}},
    {"adopt", {3718, 3718, 1266, 1249}},
    {"private_create", {4300, 0, 2000, 0}},
    {"private_update", {950, 0, 85, 0}},
    {"private_delete", {4400, 0, 1150, 0}},
    {"platform_key", {5700, 0, 2050, 0}},
    {"database_append", {1050, 0, 90, 0}},
    {"open_residue", {4692, 4692, 2357, 2236}},
    {"open_pending_copy", {2173, 2173, 1265, 1196}},
    {"format_blank", {422, 425, 170, 170}},
    {"format_over", {4888, 4888, 4388, 4388}},
    {"format_over_used_spare", {702, 702, 202, 202}},
    {"format_over_pending_copy", {465, 465, 181, 181}},
    {"repair_headers", {1624, 1432, 1166, 1131}},
    {"repair_break", {1103, 1103, 969, 936}},
    {"repair_cut_copy", {889, 889, 622, 595}},
    {"repair_from_spare", {1305, 1305, 1044, 997}},
};

/// The case to replay: its scenario and its cuts; the former is empty if there is none.
std::pair<std::string, std::string> replayed() {
  const char* value = std::getenv("EFISTORE_POWERCUT");
  const std::string text = value == nullptr ? "" : value;
  const auto space = text.find(' ');
  return space == std::string::npos ? std::pair(text, std::string())
                                    : std::pair(text.substr(0, space), text.substr(space + 1));
}

bool leaves_nothing_out() {
  const char* value = std::getenv("EFISTORE_POWERCUT_LONG");
  return value != nullptr && std::string_view(value) == "1";
}

/// How much fewer second cuts are made of repairs, which take 3 times as long to look at.
constexpr std::uint64_t repair_stride_factor = 5;

Effort effort_of(const Volume& volume, std::string_view kind) {
  // The headers are written in the same way whatever is written behind them.
  const bool headers = kind == "reclaim" || kind == "reclaim_full_queue" || kind == "format_over";
  if (leaves_nothing_out()) {
    const std::uint64_t seeds = volume.deep_stride == 0 ? 2 : 4;
    return {.stride = sample_stride,
            .seeds = seeds,
            .header_seeds = headers ? 3000U : seeds,
            .deep_stride = std::min<std::uint64_t>(volume.deep_stride, 1)};
  }
  const std::uint64_t factor = kind.starts_with("repair") ? repair_stride_factor : 1;
  return {.stride = sample_stride,
          .seeds = 1,
          .header_seeds = headers && volume.deep_stride != 0 ? 300U : 1U,
          .deep_stride = volume.deep_stride * factor};
}

void run(const Volume& volume, const ScenarioKind& kind, std::uint64_t floor) {
  const auto [replayed_scenario, cuts] = replayed();
  const std::string name = std::string(kind.name) + "_" + volume.name;
  if (!replayed_scenario.empty() && replayed_scenario != name)
    GTEST_SKIP() << "another is replayed";
  Scenario scenario = kind.make(volume.layout());
  scenario.name = name;
  Runner runner(scenario, effort_of(volume, kind.name));
  if (replayed_scenario.empty()) {
    runner.run();
  } else {
    ASSERT_TRUE(runner.replay(cuts)) << cuts;
    floor = 1;
  }
  for (const std::string& failure : runner.failures()) ADD_FAILURE() << failure;
  const Counts& counts = runner.counts();
  fmt::print("powercut: {}: {} operations, {} cuts, {} reopenings {}\n", name, counts.operations,
             counts.cuts, counts.reopenings, sample_note());
  if (!runner.failures().empty()) return;
  // The second cuts of those that are made are few or many.
  if (sample_stride != 1 && replayed_scenario.empty())
    floor = std::max(sampled(counts.cases), sampled(floor) / 2);
  EXPECT_GE(counts.cuts, floor) << "fewer cuts than there were";
  EXPECT_GE(counts.reopenings, counts.cuts);
}

class PowerCut : public testing::TestWithParam<std::tuple<std::size_t, std::size_t>> {};

/// Every kind over every volume that can have it.
std::vector<std::tuple<std::size_t, std::size_t>> cases() {
  std::vector<std::tuple<std::size_t, std::size_t>> made;
  for (std::size_t volume = 0; volume < volumes.size(); ++volume) {
    const bool auth = volumes[volume].layout().format == store::RecordFormat::authenticated;
    for (std::size_t kind = 0; kind < scenario_kinds().size(); ++kind) {
      if (auth || !scenario_kinds()[kind].authenticated) made.emplace_back(volume, kind);
    }
  }
  return made;
}

INSTANTIATE_TEST_SUITE_P(All, PowerCut, testing::ValuesIn(cases()), [](const auto& made) {
  return std::string(scenario_kinds()[std::get<1>(made.param)].name) + "_" +
         volumes[std::get<0>(made.param)].name;
});

TEST_P(PowerCut, LeavesOldOrNew) {
  const auto [volume, index] = GetParam();
  const ScenarioKind& kind = scenario_kinds()[index];
  const auto* const floor = std::ranges::find(floors, std::string_view(kind.name), &Floor::kind);
  ASSERT_NE(floor, std::end(floors)) << "a scenario without a count";
  run(volumes[volume], kind, floor->cuts[volume]);
}

TEST(PowerCutOvmf, ReclaimLeavesOldOrNew) {
  const auto& kinds = scenario_kinds();
  const auto kind = std::ranges::find(kinds, std::string_view("reclaim"), &ScenarioKind::name);
  ASSERT_NE(kind, kinds.end());
  run(ovmf, *kind, 599);
}

}  // namespace
}  // namespace efistore::test
