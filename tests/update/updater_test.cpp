// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "efistore/capsule/capsule_header.hpp"
#include "efistore/capsule/fwu_metadata.hpp"
#include "efistore/update/journal.hpp"
#include "efistore/update/staging.hpp"

#include "support/vectors.hpp"
#include "update/machine.hpp"

namespace efistore::update::test {
namespace {

using capsule::LastAttemptStatus;
using ::testing::HasSubstr;

TEST_F(UpdaterTest, AppliesToOneTarget) {
  Machine machine = single_machine();
  const Bytes firmware = firmware_of(2);
  const UpdateOutcome outcome = apply_capsule(machine, make_capsule({{type_a, 2, 1, firmware}}));
  EXPECT_EQ(EfiStatus::success, outcome.status) << outcome.reason;
  ASSERT_EQ(1U, outcome.payloads.size());
  EXPECT_TRUE(outcome.payloads[0].is_written);
  EXPECT_EQ(8U, outcome.payloads[0].blocks.count());
  EXPECT_EQ(firmware, machine.content("a", firmware.size()));
  const auto state = machine.fmp_state(type_a);
  ASSERT_TRUE(state);
  EXPECT_EQ(2U, state->version);
  EXPECT_EQ(1U, state->lowest_supported_version);
  EXPECT_EQ(LastAttemptStatus::success, state->last_attempt_status);
  EXPECT_EQ(1U, machine.variables.size()) << "a journal is left";
  EXPECT_TRUE(std::filesystem::is_empty(machine.state_folder));
  // Once more: nothing differs.
  Trace trace;
  EXPECT_EQ(EfiStatus::success,
            apply_capsule(machine, make_capsule({{type_a, 2, 1, firmware}}), {}, &trace).status);
  EXPECT_TRUE(trace.flash["a"].empty());
}

TEST_F(UpdaterTest, PlanWritesNothing) {
  Machine machine = bank_machine();
  Trace trace;
  UpdateOutcome outcome;
  power_on(
      machine, {},
      [&](Updater& updater) {
        const Bytes capsule = make_capsule({{type_a, 2, 1, firmware_of(2)}});
        outcome = updater.plan(capsule::MemorySource(capsule));
      },
      &trace);
  EXPECT_EQ(EfiStatus::success, outcome.status) << outcome.reason;
  EXPECT_EQ(1U, outcome.payloads.at(0).bank);
  EXPECT_EQ(8U, outcome.payloads.at(0).blocks.count());
  EXPECT_EQ(0U, trace.variables);
  for (const auto& [device, operations] : trace.flash) EXPECT_TRUE(operations.empty()) << device;
  EXPECT_FALSE(std::filesystem::exists(machine.state_folder));
}

TEST_F(UpdaterTest, TrialsAreCountedAcceptedAndReverted) {
  const Bytes capsule =
      make_capsule({{type_a, 2, 1, firmware_of(2)}},
                   capsule::flags::persist_across_reset | capsule::flags::os_accepts);
  const auto active = [](const Machine& machine) {
    return capsule::parse_fwu_metadata(machine.media.at("m0").content)->active_index;
  };
  const auto boot = [](Machine& machine) {
    bool is_reverted = false;
    power_on(machine, {}, [&](Updater& updater) { is_reverted = updater.count_boot().value(); });
    return is_reverted;
  };
  Machine machine = bank_machine();
  ASSERT_EQ(EfiStatus::success, apply_capsule(machine, capsule).status);
  EXPECT_EQ(1U, active(machine));
  EXPECT_EQ(2U, machine.fmp_state(type_a)->version);
  // The bank that runs is not written before the other has been booted.
  EXPECT_THAT(apply_capsule(machine, make_capsule({{type_a, 3, 1, firmware_of(3)}})).reason,
              HasSubstr("has to be booted first"));
  EXPECT_FALSE(boot(machine));
  // No other update while it is on trial.
  EXPECT_THAT(apply_capsule(machine, make_capsule({{type_a, 3, 1, firmware_of(3)}})).reason,
              HasSubstr("on trial"));
  {
    Machine accepted = machine;
    EXPECT_EQ(EfiStatus::success,
              apply_capsule(accepted, simple_capsule(capsule::guids::accept_capsule, type_a.bytes))
                  .status);
    for (int i = 0; i < 5; ++i) EXPECT_FALSE(boot(accepted));
    EXPECT_EQ(1U, active(accepted));
    EXPECT_EQ(EfiStatus::aborted,
              apply_capsule(accepted, simple_capsule(capsule::guids::revert_capsule)).status);
    EXPECT_EQ(EfiStatus::success,
              apply_capsule(accepted, make_capsule({{type_a, 3, 1, firmware_of(3)}})).status);
    EXPECT_EQ(0U, active(accepted));
  }
  {
    Machine reverted = machine;
    EXPECT_EQ(EfiStatus::success,
              apply_capsule(reverted, simple_capsule(capsule::guids::revert_capsule)).status);
    EXPECT_EQ(0U, active(reverted));
    EXPECT_EQ(1U, reverted.fmp_state(type_a)->version);
    EXPECT_EQ(LastAttemptStatus::unsuccessful, reverted.fmp_state(type_a)->last_attempt_status);
  }
  EXPECT_FALSE(boot(machine));
  EXPECT_TRUE(boot(machine));
  EXPECT_EQ(0U, active(machine));
  EXPECT_EQ(1U, machine.fmp_state(type_a)->version);
}

struct Refused {
  std::string name;
  Bytes capsule;
  EfiStatus status;
  std::string reason;
  LastAttemptStatus last_attempt;
};

/// A payload that is refused leaves all flash as it was, of the others too.
TEST_F(UpdaterTest, RefusedCapsulesWriteNothing) {
  const Bytes dependency = from_hex("0105000000003a6c1b9df4020e4f8a9f5b1f6d7e2b020a0d").value();
  const Bytes good = firmware_of(2);
  const std::vector<Refused> cases = {
      {"unknown type", make_capsule({{type_a, 2, 1, good}, {Guid(), 2, 1, good}}),
       EfiStatus::not_ready, "no firmware resource has image type",
       LastAttemptStatus::unsuccessful},
      {"other index", make_capsule({{type_a, 2, 1, good, {}, 2}}), EfiStatus::not_ready, "index 2",
       LastAttemptStatus::success},
      {"twice", make_capsule({{type_a, 2, 1, good}, {type_a, 2, 1, good}}),
       EfiStatus::invalid_parameter, "a second one for loader", LastAttemptStatus::invalid_format},
      {"old", make_capsule({{type_b, 2, 1, good}, {type_a, 0, 0, good}}), EfiStatus::aborted,
       "version 0x0 is below the lowest supported one, 0x1", LastAttemptStatus::version_too_low},
      {"lock-out", make_capsule({{type_a, 0xffffffff, 0xffffffff, good}}),
       EfiStatus::invalid_parameter, "LowestSupportedVersion at byte",
       LastAttemptStatus::invalid_format},
      {"above itself", make_capsule({{type_a, 2, 3, good}}), EfiStatus::invalid_parameter,
       "expected at most FwVersion", LastAttemptStatus::invalid_format},
      {"dependency", make_capsule({{type_a, 2, 1, good, dependency}}), EfiStatus::aborted,
       "do not satisfy", LastAttemptStatus::unsatisfied_dependencies},
      {"too large", make_capsule({{type_a, 2, 1, firmware_of(2, bank_size + 1)}}),
       EfiStatus::out_of_resources, "there is room for", LastAttemptStatus::insufficient_resources},
      {"flags", make_capsule({{type_a, 2, 1, good}}, 0x20000), EfiStatus::invalid_parameter,
       "PERSIST", LastAttemptStatus::success},
      {"unknown kind", simple_capsule(type_b), EfiStatus::unsupported, "none that updates firmware",
       LastAttemptStatus::success},
      {"nothing on trial", simple_capsule(capsule::guids::revert_capsule), EfiStatus::aborted,
       "no firmware is on trial", LastAttemptStatus::success},
  };
  for (const Refused& refused : cases) {
    SCOPED_TRACE(refused.name);
    Machine machine = bank_machine();
    machine.resources[0].lowest_supported_version = 1;
    Trace trace;
    const UpdateOutcome outcome = apply_capsule(machine, refused.capsule, {}, &trace);
    EXPECT_EQ(refused.status, outcome.status);
    EXPECT_THAT(outcome.reason, HasSubstr(refused.reason));
    for (const auto& [device, operations] : trace.flash) EXPECT_TRUE(operations.empty()) << device;
    const auto state = machine.fmp_state(type_a);
    EXPECT_EQ(refused.last_attempt,
              state ? state->last_attempt_status.value() : LastAttemptStatus::success);
    EXPECT_TRUE(!std::filesystem::exists(machine.state_folder) ||
                std::filesystem::is_empty(machine.state_folder));
  }
}

TEST_F(UpdaterTest, SignedFirmwareNeedsItsOwnTypesCertificate) {
  EFISTORE_NEED_VECTORS();
  const auto load = [](const std::string& name) {
    return efistore::test::load_vector("capsule/" + name).value();
  };
  const auto verdict = [&](const std::string& name) {
    Machine machine = single_machine();
    machine.media["a"] = {Bytes(65536, std::byte{0xff}), block_size};
    machine.media["b"] = {Bytes(65536, std::byte{0xff}), block_size};
    machine.resources.push_back(resource_of(type_b, {{{.device = "b"}}}));
    machine.resources[0].form.authenticated = true;
    machine.resources[0].trusted = {crypto::Certificate::from_der(load("keys/root.der")).value()};
    machine.resources[1].form.authenticated = true;
    machine.resources[1].trusted = {
        crypto::Certificate::from_der(load("keys/selfsigned.der")).value()};
    Trace trace;
    const UpdateOutcome outcome = apply_capsule(machine, load(name), {}, &trace);
    const bool is_touched =
        std::ranges::any_of(trace.flash, [](const auto& device) { return !device.second.empty(); });
    EXPECT_EQ(outcome.status == EfiStatus::success, is_touched) << name;
    return std::string(to_string(outcome.status));
  };
  EXPECT_EQ("EFI_SUCCESS", verdict("edk2/e10-signed-chain.cap"));
  EXPECT_EQ("EFI_SUCCESS", verdict("neg/n056.cap")) << "the header's bit does not decide";
  EXPECT_EQ("EFI_SECURITY_VIOLATION", verdict("neg/n071.cap")) << "a bit of the firmware";
  EXPECT_EQ("EFI_SECURITY_VIOLATION", verdict("neg/n07c.cap")) << "another type's firmware";
  EXPECT_EQ("EFI_SECURITY_VIOLATION", verdict("edk2/e19-signed-rogue.cap"));
  EXPECT_EQ("EFI_NOT_READY", verdict("neg/n07d.cap")) << "another instance";
  EXPECT_EQ("EFI_UNSUPPORTED", verdict("edk2/e36-2drivers-signed.cap")) << "unsigned drivers";
  EXPECT_EQ("EFI_INVALID_PARAMETER", verdict("edk2/e01-unsigned.cap"));
}

TEST_F(UpdaterTest, HooksRunAroundTheWriteAndCanRefuseIt) {
  const Bytes capsule = make_capsule({{type_a, 2, 1, firmware_of(2)}});
  const auto with = [&](std::vector<std::string> before, std::vector<std::string> after) {
    Machine machine = single_machine();
    machine.resources[0].hooks = {std::move(before), std::move(after), std::chrono::seconds(1)};
    Trace trace;
    const UpdateOutcome outcome = apply_capsule(machine, capsule, {}, &trace);
    return std::pair(outcome.reason, trace.flash["a"].size());
  };
  const std::string log = (folder_.path() / "log").string();
  const std::string note = "echo \"$1 $EFISTORE_RESOURCE $EFISTORE_VERSION\" >> " + log;
  EXPECT_EQ(
      "",
      with({"/bin/sh", "-c", note, "sh", "before"}, {"/bin/sh", "-c", note, "sh", "after"}).first);
  std::ifstream file(log);
  const std::string said_by_hooks{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ("before loader 2\nafter loader 2\n", said_by_hooks);
  for (const auto& [hook, reason] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"/bin/sh", "-c", "exit 3"}, "exit status 3"},
           {{"/bin/sh", "-c", "kill -9 $$"}, "ended by signal 9"},
           {{"/bin/sh", "-c", "sleep 30 & wait"}, "not done after 1 s"},
           {{folder_ / "none"}, "No such file"}}) {
    const auto [said, operations] = with(hook, {});
    EXPECT_THAT(said, HasSubstr(reason));
    EXPECT_EQ(0U, operations);
    EXPECT_THAT(with({}, hook).first, HasSubstr(reason));
  }
}

/// What was staged is gone, or another: the write is given up, said so, and not trusted later.
TEST_F(UpdaterTest, AnUpdateThatCannotBeGoneOnWithIsReported) {
  const Bytes firmware = firmware_of(2);
  const Bytes capsule = make_capsule({{type_a, 2, 1, firmware}});
  for (const bool is_gone : {true, false}) {
    Machine machine = single_machine();
    std::filesystem::remove_all(machine.state_folder);
    // The erase of the block that is to be all erased: it reads as done, and is not.
    apply_capsule(machine, capsule, {"a", 6, Tear::unstable_later, 1});
    const auto staged = std::filesystem::directory_iterator(machine.state_folder)->path();
    if (is_gone) {
      std::filesystem::remove(staged);
    } else {
      std::filesystem::resize_file(staged, 100);
    }
    std::vector<UpdateOutcome> outcomes;
    power_on(machine, {}, [&](Updater& updater) { outcomes = updater.resume(); });
    ASSERT_EQ(1U, outcomes.size());
    EXPECT_NE(EfiStatus::success, outcomes[0].status);
    EXPECT_EQ(LastAttemptStatus::unsuccessful, machine.fmp_state(type_a)->last_attempt_status);
    EXPECT_EQ(EfiStatus::success, apply_capsule(machine, capsule).status);
    EXPECT_TRUE(machine.media.at("a").unstable.empty());
    EXPECT_EQ(firmware, machine.content("a", firmware.size()));
  }
}

/// Two of one type are told apart by their index, also in what is remembered of them.
TEST_F(UpdaterTest, ResourcesOfOneTypeHaveTheirOwnState) {
  Machine machine = single_machine();
  machine.media["b"] = {firmware_of(3, bank_size), block_size};
  machine.resources.push_back(resource_of(type_a, {{{.device = "b"}}}));
  machine.resources[1].index = 2;
  const Bytes capsule =
      make_capsule({{type_a, 5, 4, firmware_of(2)}, {type_a, 7, 1, firmware_of(6), {}, 2}});
  EXPECT_EQ(EfiStatus::success, apply_capsule(machine, capsule).status);
  EXPECT_EQ(5U, machine.fmp_state(type_a)->version);
  EXPECT_EQ(7U, capsule::parse_fmp_state(machine.variables.at({u"FmpState-02", type_a}))->version);
  EXPECT_EQ(2U, machine.variables.size());
}

/// A journal does not make a bank be what it says.
TEST_F(UpdaterTest, AJournalOfTheActiveBankIsNotBelieved) {
  const Bytes capsule = make_capsule({{type_a, 2, 1, firmware_of(2)}});
  Machine machine = bank_machine();
  std::filesystem::create_directory(machine.state_folder);
  const auto digest = stage_capsule(capsule::MemorySource(capsule), machine.state_folder).value();
  machine.variables[{u"FmpUpdate0", type_a}] =
      encode_journal({.capsule = digest, .block_size_bytes = block_size});
  std::vector<UpdateOutcome> outcomes;
  power_on(machine, {}, [&](Updater& updater) { outcomes = updater.resume(); });
  ASSERT_EQ(1U, outcomes.size());
  EXPECT_EQ(EfiStatus::security_violation, outcomes[0].status);
  EXPECT_THAT(outcomes[0].reason, HasSubstr("does not hold the firmware"));
  EXPECT_FALSE(machine.fmp_state(type_a)->version);
}

/// What fails for the moment is tried again, and nothing of it is lost.
TEST_F(UpdaterTest, AResumptionThatFailsForNowIsTriedAgain) {
  const Bytes firmware = firmware_of(2);
  const Bytes capsule = make_capsule({{type_a, 2, 1, firmware}});
  Machine machine = single_machine();
  apply_capsule(machine, capsule, {"a", 8, Tear::half, 1});
  machine.resources[0].hooks.before = {"/bin/false"};
  const auto resume = [&machine] {
    std::vector<UpdateOutcome> outcomes;
    power_on(machine, {}, [&](Updater& updater) { outcomes = updater.resume(); });
    return outcomes;
  };
  EXPECT_THAT(resume().at(0).reason, HasSubstr("exit status 1"));
  std::filesystem::rename(machine.state_folder, folder_ / "away");
  EXPECT_THAT(resume().at(0).reason, HasSubstr("No such file"));
  std::filesystem::remove_all(machine.state_folder);
  std::filesystem::rename(folder_ / "away", machine.state_folder);
  machine.resources[0].hooks = {};
  EXPECT_EQ(EfiStatus::success, resume().at(0).status);
  EXPECT_EQ(firmware, machine.content("a", firmware.size()));
  EXPECT_EQ(2U, machine.fmp_state(type_a)->version);
  EXPECT_TRUE(resume().empty());
}

/// What was written stays so, whatever becomes of the capsule's other payloads.
TEST_F(UpdaterTest, WhatIsInPlaceIsRecordedAlthoughAnotherFails) {
  Machine machine = single_machine();
  machine.media["b"] = {firmware_of(3, bank_size), block_size};
  machine.resources.push_back(resource_of(type_b, {{{.device = "b"}}}));
  machine.resources[1].hooks.before = {"/bin/false"};
  const UpdateOutcome outcome = apply_capsule(
      machine, make_capsule({{type_a, 5, 5, firmware_of(2)}, {type_b, 5, 5, firmware_of(6)}}));
  EXPECT_NE(EfiStatus::success, outcome.status);
  EXPECT_EQ(5U, machine.fmp_state(type_a)->version);
  EXPECT_EQ(5U, machine.fmp_state(type_a)->lowest_supported_version);
  EXPECT_FALSE(machine.fmp_state(type_b)->version);
}

TEST_F(UpdaterTest, FwuMetadataAndResourcesMustKnowTheSame) {
  const auto reason = [](Machine machine) {
    return apply_capsule(machine, make_capsule({{type_a, 2, 1, firmware_of(2)}})).reason;
  };
  Machine machine = bank_machine();
  machine.resources.pop_back();
  EXPECT_THAT(reason(machine), HasSubstr("have 2 image types, and 1 firmware resources"));
  machine = bank_machine();
  machine.resources.push_back(machine.resources[1]);
  machine.resources.back().index = 2;
  EXPECT_THAT(reason(machine), HasSubstr("these tell types apart only"));
}

TEST_F(UpdaterTest, OneAtATime) {
  Machine machine = single_machine();
  const auto held = StateFolder::hold(machine.state_folder);
  ASSERT_TRUE(held);
  const UpdateOutcome outcome =
      apply_capsule(machine, make_capsule({{type_a, 2, 1, firmware_of(2)}}));
  EXPECT_EQ(EfiStatus::not_ready, outcome.status);
  EXPECT_THAT(outcome.reason, HasSubstr("another update is under way"));
}

TEST_F(UpdaterTest, LeftoversGo) {
  Machine machine = single_machine();
  std::filesystem::create_directory(machine.state_folder);
  std::ofstream(machine.state_folder / ".staging-abcdef") << "x";
  std::ofstream(machine.state_folder / ("applying-" + std::string(64, '0') + ".cap")) << "x";
  std::ofstream(machine.state_folder / "other") << "x";
  apply_capsule(machine, make_capsule({{type_a, 2, 1, firmware_of(2)}}));
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(machine.state_folder)) {
    left.push_back(entry.path().filename());
  }
  EXPECT_THAT(left, ::testing::ElementsAre("other"));
}

TEST_F(UpdaterTest, EsrtShowsVersionsAndAttempts) {
  Machine machine = single_machine();
  machine.resources[0].fw_type = 1;
  const auto esrt = [&] {
    std::vector<capsule::EsrtEntry> entries;
    power_on(machine, {}, [&](Updater& updater) { entries = updater.esrt().value(); });
    return entries.at(0);
  };
  EXPECT_EQ((capsule::EsrtEntry{type_a, 1, 1, 0, 0, 0, LastAttemptStatus::success}), esrt());
  apply_capsule(machine, make_capsule({{type_a, 7, 3, firmware_of(2)}}));
  EXPECT_EQ((capsule::EsrtEntry{type_a, 1, 7, 3, 0, 7, LastAttemptStatus::success}), esrt());
  apply_capsule(machine, make_capsule({{type_a, 2, 1, firmware_of(2)}}));
  EXPECT_EQ((capsule::EsrtEntry{type_a, 1, 7, 3, 0, 2, LastAttemptStatus::version_too_low}),
            esrt());
}

}  // namespace
}  // namespace efistore::update::test
