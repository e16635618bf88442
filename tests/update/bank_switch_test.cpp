// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// A change of FWU metadata, cut at every operation and every variable, and what recovers it cut
// again: what a boot loader reads is the old or the new metadata, always.
#include "efistore/update/bank_switch.hpp"

#include <gmock/gmock.h>

#include <optional>

#include "support/tearing_device.hpp"
#include "update/update_support.hpp"

namespace efistore::update {
namespace {

using efistore::test::Medium;
using efistore::test::OperationKind;
using efistore::test::Tear;
using efistore::test::TearingDevice;
using test::Bytes;
using test::MemoryVariables;

constexpr std::uint32_t block_size = 256;

capsule::FwuMetadata metadata_with(std::uint32_t active, bool accepted) {
  capsule::FwuMetadata metadata;
  metadata.active_index = active;
  metadata.previous_index = 1 - active;
  metadata.images = {{*Guid::parse("6f5f2bd5-3e5b-4b0c-9c5d-2c9a4e4c1a01"),
                      Guid(),
                      {{Guid(), true}, {Guid(), true}}}};
  metadata.images[0].banks[active].accepted = accepted;
  metadata.bank_states[active] =
      accepted ? capsule::BankState::accepted : capsule::BankState::valid;
  return metadata;
}

/// All that outlives a power cut.
struct Machine {
  Medium first{Bytes(512, std::byte{0xff}), block_size};
  Medium second{Bytes(512, std::byte{0xff}), block_size};
  MemoryVariables::Map variables;

  static Machine with(const capsule::FwuMetadata& metadata) {
    Machine machine;
    const Bytes bytes = capsule::encode_fwu_metadata(metadata);
    std::ranges::copy(bytes, machine.first.content.begin());
    std::ranges::copy(bytes, machine.second.content.begin());
    return machine;
  }
};

/// What a boot loader takes: the first copy that is valid. Reads as the power has just come on.
std::optional<std::uint32_t> booted(Machine& machine, std::uint64_t seed) {
  for (Medium* medium : {&machine.first, &machine.second}) {
    Medium now = *medium;
    TearingDevice device(now, seed);
    Bytes bytes(512);
    EXPECT_TRUE(device.read(0, bytes));
    if (const auto metadata = capsule::parse_fwu_metadata(bytes)) return metadata->active_index;
  }
  return std::nullopt;
}

struct PowerCut {
  int where = 0;  ///< 1 first copy, 2 second copy, 3 variables
  std::uint64_t operation = 0;
  Tear tear = Tear::before;
  std::uint64_t seed = 0;
};

struct Counts {
  std::vector<OperationKind> first;
  std::vector<OperationKind> second;
  std::uint64_t variables = 0;
};

/// Opens and, if asked to, changes. Whether the power went.
bool run(Machine& machine, const std::optional<capsule::FwuMetadata>& change, const PowerCut& cut,
         Counts* counts = nullptr) {
  TearingDevice first(machine.first, cut.seed);
  TearingDevice second(machine.second, cut.seed + 1);
  MemoryVariables variables;
  variables.map() = machine.variables;
  if (cut.where == 1) first.cut_at({cut.operation, cut.tear, cut.seed});
  if (cut.where == 2) second.cut_at({cut.operation, cut.tear, cut.seed});
  if (cut.where == 3) variables.cut_at(cut.operation, cut.tear == Tear::after);
  auto banks = BankSwitch::open(first, second, variables, u"0");
  if (banks && change) (void)banks->change(*change);
  machine.variables = variables.map();
  if (counts != nullptr) {
    for (const auto& operation : first.operations()) counts->first.push_back(operation.kind);
    for (const auto& operation : second.operations()) counts->second.push_back(operation.kind);
    counts->variables = variables.changes();
  }
  return first.is_cut() || second.is_cut() || variables.is_cut();
}

std::vector<PowerCut> all_cuts(const Counts& counts, std::uint64_t seeds) {
  std::vector<PowerCut> cuts;
  const auto of_flash = [&](int where, const std::vector<OperationKind>& kinds) {
    for (std::uint64_t operation = 1; operation <= kinds.size(); ++operation) {
      const auto add = [&](const auto& tears) {
        for (const Tear tear : tears) {
          const std::uint64_t most = efistore::test::is_random(tear) ? seeds : 1;
          for (std::uint64_t seed = 0; seed < most; ++seed) {
            cuts.push_back({where, operation, tear, seed});
          }
        }
      };
      if (kinds[operation - 1] == OperationKind::erase) {
        add(efistore::test::erase_tears);
      } else {
        add(efistore::test::program_tears);
      }
    }
  };
  of_flash(1, counts.first);
  of_flash(2, counts.second);
  for (std::uint64_t operation = 1; operation <= counts.variables; ++operation) {
    cuts.push_back({3, operation, Tear::before, 0});
    cuts.push_back({3, operation, Tear::after, 0});
  }
  return cuts;
}

void expect_settled(Machine& machine, std::uint32_t old_index, std::uint32_t new_index,
                    std::optional<std::uint32_t> booted_before) {
  ASSERT_FALSE(run(machine, std::nullopt, {}));
  const auto settled = booted(machine, 5);
  ASSERT_TRUE(settled == old_index || settled == new_index);
  // Never back from what a boot loader has seen.
  if (booted_before == new_index) {
    EXPECT_EQ(new_index, settled);
  }
  EXPECT_TRUE(machine.variables.empty());
  EXPECT_TRUE(machine.first.unstable.empty());
  for (std::uint64_t seed = 6; seed < 9; ++seed) EXPECT_EQ(settled, booted(machine, seed));
}

TEST(BankSwitch, IsOldOrNewAtEveryCut) {
  const auto before = metadata_with(0, true);
  const auto after = metadata_with(1, false);
  Counts counts;
  {
    Machine machine = Machine::with(before);
    ASSERT_FALSE(run(machine, after, {}, &counts));
    EXPECT_EQ(1U, booted(machine, 0));
    EXPECT_EQ(machine.first.content, machine.second.content);
  }
  std::uint64_t tried = 0;
  for (const PowerCut& cut : all_cuts(counts, 6)) {
    SCOPED_TRACE(::testing::Message() << cut.where << " " << cut.operation << " "
                                      << to_string(cut.tear) << " " << cut.seed);
    Machine machine = Machine::with(before);
    ASSERT_TRUE(run(machine, after, cut));
    const auto seen = booted(machine, cut.seed + 3);
    ASSERT_TRUE(seen == 0U || seen == 1U);
    Counts again;
    {
      Machine probe = machine;
      ASSERT_FALSE(run(probe, std::nullopt, {}, &again));
    }
    for (const PowerCut& second : all_cuts(again, 2)) {
      Machine torn = machine;
      (void)run(torn, std::nullopt, second);
      const auto seen_again = booted(torn, second.seed + 4);
      ASSERT_TRUE(seen_again == 0U || seen_again == 1U)
          << second.where << " " << second.operation << " " << to_string(second.tear);
      expect_settled(torn, 0, 1, seen_again);
      ++tried;
    }
    expect_settled(machine, 0, 1, seen);
    ++tried;
  }
  EXPECT_LT(500U, tried);
}

TEST(BankSwitch, ATornCopyIsMendedBeforeTheOtherIsWritten) {
  Machine machine = Machine::with(metadata_with(0, true));
  machine.second.content[20] ^= std::byte{1};
  Counts counts;
  {
    Machine probe = machine;
    ASSERT_FALSE(run(probe, metadata_with(1, true), {}, &counts));
  }
  for (const PowerCut& cut : all_cuts(counts, 2)) {
    Machine torn = machine;
    (void)run(torn, metadata_with(1, true), cut);
    EXPECT_TRUE(booted(torn, 1)) << cut.where << " " << cut.operation << " " << to_string(cut.tear);
  }
}

/// A change that somebody else has gone over, as a boot loader does that goes back, is not made
/// again.
TEST(BankSwitch, AStaleChangeIsForgotten) {
  Machine machine = Machine::with(metadata_with(0, true));
  // Cut when only the variable was left to be removed.
  ASSERT_TRUE(run(machine, metadata_with(1, false), {3, 2, Tear::before, 0}));
  EXPECT_EQ(1U, booted(machine, 0));
  ASSERT_FALSE(machine.variables.empty());
  auto reverted = metadata_with(0, true);
  reverted.previous_index = 0;
  const Bytes bytes = capsule::encode_fwu_metadata(reverted);
  std::ranges::copy(bytes, machine.first.content.begin());
  std::ranges::copy(bytes, machine.second.content.begin());
  ASSERT_FALSE(run(machine, std::nullopt, {}));
  EXPECT_EQ(0U, booted(machine, 0));
  EXPECT_TRUE(machine.variables.empty());
}

TEST(BankSwitch, OneValidCopyIsEnough) {
  for (const bool first_is_torn : {false, true}) {
    Machine machine = Machine::with(metadata_with(1, true));
    (first_is_torn ? machine.first : machine.second).content[9] ^= std::byte{1};
    ASSERT_FALSE(run(machine, metadata_with(0, true), {}));
    EXPECT_EQ(0U, booted(machine, 0));
    EXPECT_EQ(machine.first.content, machine.second.content);
  }
}

TEST(BankSwitch, WithoutAValidCopyNothingIsWritten) {
  Machine machine = Machine::with(metadata_with(0, true));
  machine.first.content[9] ^= std::byte{1};
  machine.second.content[9] ^= std::byte{1};
  TearingDevice first(machine.first);
  TearingDevice second(machine.second);
  MemoryVariables variables;
  const auto banks = BankSwitch::open(first, second, variables, u"0");
  ASSERT_FALSE(banks);
  EXPECT_EQ(Errc::damaged, banks.error().code);
  EXPECT_TRUE(first.operations().empty());
  // What is remembered and is no metadata is forgotten, and nothing else.
  variables.map()[{u"FwuMetadata0", guids::update_state}] = Bytes(7);
  EXPECT_FALSE(BankSwitch::open(first, second, variables, u"0"));
  EXPECT_TRUE(variables.map().empty());
  EXPECT_TRUE(first.operations().empty());
  machine = Machine();
  EXPECT_EQ(Errc::blank, BankSwitch::open(first, second, variables, u"0").error().code);
}

}  // namespace
}  // namespace efistore::update
