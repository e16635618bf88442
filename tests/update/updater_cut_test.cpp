// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Capsules applied to a machine whose power goes at every operation of its flash and every change
// of its variables, in every way that flash tears.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "efistore/capsule/capsule_header.hpp"
#include "efistore/capsule/fwu_metadata.hpp"

#include "support/vectors.hpp"
#include "update/machine.hpp"

namespace efistore::update::test {
namespace {

using capsule::LastAttemptStatus;

/// Old or new after resume(), whatever is cut, also what resume() does.
TEST_F(UpdaterTest, OneTargetIsOldOrNewAtEveryCut) {
  const Bytes firmware = firmware_of(2);
  const Bytes capsule = make_capsule({{type_a, 2, 1, firmware}});
  const Machine before = single_machine();
  const Bytes old = before.media.at("a").content;
  Trace trace;
  {
    Machine machine = before;
    apply_capsule(machine, capsule, {}, &trace);
  }
  const auto resume = [](Updater& updater) { updater.resume(); };
  const auto expect_settled = [&](Machine& machine) {
    EXPECT_FALSE(power_on(machine, {}, resume));
    const bool is_new = machine.content("a", firmware.size()) == firmware;
    if (!is_new) {
      EXPECT_EQ(old, machine.media.at("a").content);
    }
    EXPECT_TRUE(machine.media.at("a").unstable.empty());
    const auto state = machine.fmp_state(type_a);
    if (is_new) {
      EXPECT_EQ(2U, state->version);
      EXPECT_EQ(LastAttemptStatus::success, state->last_attempt_status);
    } else if (state) {
      EXPECT_FALSE(state->version);
      EXPECT_EQ(LastAttemptStatus::unsuccessful, state->last_attempt_status);
    }
    EXPECT_FALSE(machine.variables.contains({u"FmpUpdate0", type_a}));
  };
  std::size_t tried = 0;
  for (const PowerCut& cut : all_cuts(trace, 3)) {
    SCOPED_TRACE(
        fmt::format("{} {} {} {}", cut.device, cut.operation, to_string(cut.tear), cut.seed));
    Machine machine = before;
    std::filesystem::remove_all(machine.state_folder);
    apply_capsule(machine, capsule, cut);
    const auto staged = folder_.path() / "kept";
    std::filesystem::remove_all(staged);
    std::filesystem::copy(machine.state_folder, staged, std::filesystem::copy_options::recursive);
    Trace again;
    {
      Machine probe = machine;
      power_on(probe, {}, resume, &again);
    }
    // The resumption, cut at one in so many of its operations.
    const auto second = all_cuts(again, 1);
    for (std::size_t i = tried % 5; i < second.size(); i += 5) {
      std::filesystem::remove_all(machine.state_folder);
      std::filesystem::copy(staged, machine.state_folder, std::filesystem::copy_options::recursive);
      Machine torn = machine;
      power_on(torn, second[i], resume);
      expect_settled(torn);
      ++tried;
    }
    std::filesystem::remove_all(machine.state_folder);
    std::filesystem::copy(staged, machine.state_folder, std::filesystem::copy_options::recursive);
    expect_settled(machine);
    ++tried;
    if (HasFailure()) break;
  }
  EXPECT_LT(500U, tried);
}

/// The bank that a boot loader takes holds whole firmware at every moment.
TEST_F(UpdaterTest, BanksAreBootableAtEveryCut) {
  const Bytes firmware = firmware_of(2);
  const Bytes capsule = make_capsule({{type_a, 2, 1, firmware}});
  const Machine before = bank_machine();
  Trace trace;
  {
    Machine machine = before;
    const UpdateOutcome outcome = apply_capsule(machine, capsule, {}, &trace);
    ASSERT_EQ(EfiStatus::success, outcome.status) << outcome.reason;
    EXPECT_TRUE(outcome.reset_required);
    EXPECT_EQ(firmware, machine.content("a1", firmware.size()));
    EXPECT_EQ(before.media.at("b0").content, machine.media.at("b1").content);
  }
  const auto expect_bootable = [&](Machine& machine) {
    std::optional<capsule::FwuMetadata> metadata;
    for (const std::string name : {"m0", "m1"}) {
      Medium now = machine.media.at(name);
      TearingDevice device(now, 3);
      Bytes bytes(2 * block_size);
      ASSERT_TRUE(device.read(0, bytes));
      const auto parsed = capsule::parse_fwu_metadata(bytes);
      if (parsed && !metadata) metadata = *parsed;
    }
    ASSERT_TRUE(metadata) << "no copy of the metadata is valid";
    if (metadata->active_index == 0) {
      EXPECT_EQ(before.media.at("a0").content, machine.media.at("a0").content);
      EXPECT_EQ(before.media.at("b0").content, machine.media.at("b0").content);
    } else {
      EXPECT_EQ(firmware, machine.content("a1", firmware.size()));
      EXPECT_EQ(before.media.at("b0").content, machine.media.at("b1").content);
      EXPECT_TRUE(machine.media.at("a1").unstable.empty());
      EXPECT_TRUE(machine.media.at("b1").unstable.empty());
    }
  };
  std::size_t tried = 0;
  for (const PowerCut& cut : all_cuts(trace, 2)) {
    SCOPED_TRACE(
        fmt::format("{} {} {} {}", cut.device, cut.operation, to_string(cut.tear), cut.seed));
    Machine machine = before;
    std::filesystem::remove_all(machine.state_folder);
    apply_capsule(machine, capsule, cut);
    expect_bootable(machine);
    // As at boot, and the update again, as somebody would who does not know how far it was.
    power_on(machine, {}, [](Updater& updater) {
      EXPECT_FALSE(updater.count_boot().value());
      updater.resume();
    });
    expect_bootable(machine);
    power_on(machine, {}, [](Updater& updater) { EXPECT_FALSE(updater.count_boot().value()); });
    const UpdateOutcome again =
        apply_capsule(machine, make_capsule({{type_a, 3, 1, firmware_of(5)}}));
    EXPECT_EQ(EfiStatus::success, again.status) << again.reason;
    EXPECT_EQ(3U, machine.fmp_state(type_a)->version);
    for (const auto& [name, medium] : machine.media) EXPECT_TRUE(medium.unstable.empty()) << name;
    ++tried;
    if (HasFailure()) break;
  }
  EXPECT_LT(500U, tried);
}

}  // namespace
}  // namespace efistore::update::test
