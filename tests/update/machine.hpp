// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// A machine with flash, variables and firmware resources whose power can go at any operation, and
// capsules for it.
#pragma once

#include <gmock/gmock.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "efistore/capsule/fwu_metadata.hpp"
#include "efistore/capsule/report.hpp"
#include "efistore/update/updater.hpp"

#include "support/tearing_device.hpp"
#include "support/temporary_directory.hpp"
#include "update/update_support.hpp"

namespace efistore::update::test {

using efistore::test::Medium;
using efistore::test::OperationKind;
using efistore::test::Tear;
using efistore::test::TearingDevice;

inline constexpr std::uint32_t block_size = 256;
inline constexpr std::size_t bank_size = std::size_t{8} * block_size;
inline constexpr Guid type_a = *Guid::parse("6f5f2bd5-3e5b-4b0c-9c5d-2c9a4e4c1a01");
inline constexpr Guid type_b = *Guid::parse("9d1b6c3a-02f4-4f0e-8a9f-5b1f6d7e2b02");

/// Random bytes; of seed 2 one block is all 0xff.
Bytes firmware_of(unsigned seed, std::size_t size = bank_size - 40);

struct PayloadInput {
  Guid type_id;
  std::uint32_t version = 2;
  std::uint32_t lowest = 1;
  Bytes firmware;
  Bytes dependency{};
  std::uint8_t index = 1;
};

Bytes make_capsule(const std::vector<PayloadInput>& payloads,
                   std::uint32_t capsule_flags = 0x10000);
/// A header and what follows it.
Bytes simple_capsule(const Guid& guid, std::span<const std::byte> body = {});

struct PowerCut {
  std::string device{};  ///< empty: the variables
  std::uint64_t operation = 0;
  Tear tear = Tear::before;
  std::uint64_t seed = 0;
};

/// What a run did, for cuts to be made of.
struct Trace {
  std::map<std::string, std::vector<OperationKind>> flash;
  std::uint64_t variables = 0;
};

/// All that outlives a power cut, and the resources.
struct Machine {
  std::map<std::string, Medium> media;
  MemoryVariables::Map variables;
  std::filesystem::path state_folder;
  std::vector<Resource> resources;

  Bytes content(const std::string& device, std::size_t size) const {
    const Bytes& all = media.at(device).content;
    return {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(size)};
  }
  std::optional<capsule::FmpState> fmp_state(const Guid& type_id) const {
    const auto found = variables.find({u"FmpState", type_id});
    if (found == variables.end()) return std::nullopt;
    return capsule::parse_fmp_state(found->second).value();
  }
};

/// One time that the power is on; whether it went.
bool power_on(Machine& machine, const PowerCut& cut, const std::function<void(Updater&)>& action,
              Trace* trace = nullptr);
UpdateOutcome apply_capsule(Machine& machine, const Bytes& capsule, const PowerCut& cut = {},
                            Trace* trace = nullptr);
/// Each operation of each device in each tear, and each change of a variable made or not.
std::vector<PowerCut> all_cuts(const Trace& trace, std::uint64_t seeds);
/// Unsigned, running version 1; with several banks, metadata on "m0" and "m1".
Resource resource_of(const Guid& type_id, std::vector<Target> banks);

class UpdaterTest : public ::testing::Test {
 protected:
  Machine single_machine() {
    Machine machine;
    machine.state_folder = folder_.path() / "state";
    machine.media["a"] = {firmware_of(1, bank_size), block_size};
    machine.resources = {resource_of(type_a, {{{.device = "a"}}})};
    return machine;
  }
  Machine bank_machine() {
    Machine machine;
    machine.state_folder = folder_.path() / "state";
    machine.media["a0"] = {firmware_of(1, bank_size), block_size};
    machine.media["a1"] = {firmware_of(9, bank_size), block_size};
    machine.media["b0"] = {firmware_of(11, bank_size), block_size};
    machine.media["b1"] = {firmware_of(19, bank_size), block_size};
    capsule::FwuMetadata metadata;
    metadata.previous_index = 1;
    for (const Guid& type_id : {type_a, type_b}) {
      metadata.images.push_back({type_id, Guid(), {{Guid(), true}, {Guid(), true}}});
    }
    metadata.bank_states = {capsule::BankState::accepted, capsule::BankState::accepted,
                            capsule::BankState::invalid, capsule::BankState::invalid};
    Bytes encoded = capsule::encode_fwu_metadata(metadata);
    encoded.resize(2 * block_size, std::byte{0xff});
    machine.media["m0"] = {encoded, block_size};
    machine.media["m1"] = {encoded, block_size};
    machine.resources = {resource_of(type_a, {{{.device = "a0"}}, {{.device = "a1"}}}),
                         resource_of(type_b, {{{.device = "b0"}}, {{.device = "b1"}}})};
    return machine;
  }

  efistore::test::TemporaryDirectory folder_;
};

}  // namespace efistore::update::test
