// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Capsules applied to a machine whose power goes at every operation of its flash and every change
// of its variables, in every way that flash tears.
#include "efistore/update/updater.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>

#include "efistore/capsule/capsule_header.hpp"
#include "efistore/capsule/fwu_metadata.hpp"

#include "support/borrowed_device.hpp"
#include "support/tearing_device.hpp"
#include "support/temporary_directory.hpp"
#include "support/vectors.hpp"
#include "update/update_support.hpp"

namespace efistore::update {
namespace {

using capsule::LastAttemptStatus;
using efistore::test::Medium;
using efistore::test::OperationKind;
using efistore::test::Tear;
using efistore::test::TearingDevice;
using test::Bytes;
using test::MemoryVariables;
using ::testing::HasSubstr;

constexpr std::uint32_t block_size = 256;
constexpr std::size_t bank_size = std::size_t{8} * block_size;
const Guid type_a = *Guid::parse("6f5f2bd5-3e5b-4b0c-9c5d-2c9a4e4c1a01");
const Guid type_b = *Guid::parse("9d1b6c3a-02f4-4f0e-8a9f-5b1f6d7e2b02");

Bytes firmware_of(unsigned seed, std::size_t size = bank_size - 40) {
  std::mt19937 random(seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  // A block that is all erased can look done when its erase was cut.
  if (seed == 2)
    std::fill(bytes.begin() + 3 * block_size, bytes.begin() + 4 * block_size, std::byte{0xff});
  return bytes;
}

void put(Bytes& bytes, std::span<const std::byte> more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}
template <typename T>
void put_number(Bytes& bytes, T value) {
  std::array<std::byte, sizeof value> raw;
  ByteWriter(raw).write(value);
  put(bytes, raw);
}

struct PayloadInput {
  Guid type_id;
  std::uint32_t version = 2;
  std::uint32_t lowest = 1;
  Bytes firmware;
  Bytes dependency{};
  std::uint8_t index = 1;
};

Bytes make_capsule(const std::vector<PayloadInput>& payloads,
                   std::uint32_t capsule_flags = 0x10000) {
  Bytes body;
  put_number<std::uint32_t>(body, 1);
  put_number<std::uint16_t>(body, 0);
  put_number(body, static_cast<std::uint16_t>(payloads.size()));
  Bytes items;
  for (const PayloadInput& payload : payloads) {
    put_number<std::uint64_t>(body, 8 + 8 * payloads.size() + items.size());
    put_number<std::uint32_t>(items, 3);
    put(items, payload.type_id.bytes);
    put_number<std::uint32_t>(items, payload.index);
    put_number(items, static_cast<std::uint32_t>(payload.dependency.size() + 16 +
                                                 payload.firmware.size()));
    put_number<std::uint32_t>(items, 0);
    put_number<std::uint64_t>(items, 0);
    put_number<std::uint64_t>(items, 0);
    put(items, payload.dependency);
    put_number<std::uint32_t>(items, 0x3153534d);
    put_number<std::uint32_t>(items, 16);
    put_number(items, payload.version);
    put_number(items, payload.lowest);
    put(items, payload.firmware);
  }
  put(body, items);
  Bytes bytes;
  put(bytes, capsule::guids::fmp_capsule.bytes);
  put_number<std::uint32_t>(bytes, 28);
  put_number(bytes, capsule_flags);
  put_number(bytes, static_cast<std::uint32_t>(28 + body.size()));
  put(bytes, body);
  return bytes;
}

Bytes simple_capsule(const Guid& guid, std::span<const std::byte> body = {}) {
  Bytes bytes;
  put(bytes, guid.bytes);
  put_number<std::uint32_t>(bytes, 28);
  put_number<std::uint32_t>(bytes, 0);
  put_number(bytes, static_cast<std::uint32_t>(28 + body.size()));
  put(bytes, body);
  return bytes;
}

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

struct PowerOff {};

/// One time that the power is on; whether it went.
template <typename Action>
bool power_on(Machine& machine, const PowerCut& cut, const Action& action, Trace* trace = nullptr) {
  std::map<std::string, std::unique_ptr<TearingDevice>> devices;
  for (auto& [name, medium] : machine.media) {
    devices[name] = std::make_unique<TearingDevice>(medium, cut.seed);
  }
  MemoryVariables variables;
  variables.map() = machine.variables;
  if (cut.operation != 0 && cut.device.empty()) {
    variables.cut_at(cut.operation, cut.tear == Tear::after);
  } else if (cut.operation != 0) {
    devices.at(cut.device)->cut_at({cut.operation, cut.tear, cut.seed});
  }
  // The process ends with the power, so nothing that it does afterwards counts.
  class Powered final : public efistore::test::Decorator {
   public:
    explicit Powered(TearingDevice& device) : Decorator(device), device_(device) {}
    Status read(std::uint64_t offset, std::span<std::byte> out) override {
      return device_.read(offset, out);
    }
    Status program(std::uint64_t offset, std::span<const std::byte> data) override {
      return end_with_power(device_.program(offset, data));
    }
    Status erase(flash::Range blocks) override { return end_with_power(device_.erase(blocks)); }
    Status sync() override { return device_.sync(); }

   private:
    Status end_with_power(Status status) {
      if (device_.is_cut()) throw PowerOff();
      return status;
    }
    TearingDevice& device_;
  };
  class PoweredVariables final : public Variables {
   public:
    explicit PoweredVariables(MemoryVariables& below) : below_(below) {}
    Result<std::optional<Bytes>> get(std::u16string_view name, const Guid& guid) override {
      return below_.get(name, guid);
    }
    Status set(std::u16string_view name, const Guid& guid, std::uint32_t attributes,
               std::span<const std::byte> data) override {
      Status status = below_.set(name, guid, attributes, data);
      if (below_.is_cut()) throw PowerOff();
      return status;
    }

   private:
    MemoryVariables& below_;
  };
  PoweredVariables powered(variables);
  Updater updater({.resources = machine.resources,
                   .variables = powered,
                   .state_folder = machine.state_folder,
                   .open_device = [&](const std::string& name,
                                      flash::OpenMode) -> Result<std::unique_ptr<flash::Device>> {
                     const auto found = devices.find(name);
                     if (found == devices.end()) return fail(Errc::not_found, name);
                     return std::make_unique<Powered>(*found->second);
                   },
                   .now = [] { return EfiTime(); }});
  bool is_off = false;
  try {
    action(updater);
  } catch (const PowerOff&) {
    is_off = true;
  }
  machine.variables = variables.map();
  if (trace != nullptr) {
    trace->variables = variables.changes();
    for (const auto& [name, device] : devices) {
      for (const auto& operation : device->operations()) {
        trace->flash[name].push_back(operation.kind);
      }
    }
  }
  return is_off;
}

UpdateOutcome apply_capsule(Machine& machine, const Bytes& capsule, const PowerCut& cut = {},
                            Trace* trace = nullptr) {
  UpdateOutcome outcome;
  power_on(
      machine, cut,
      [&](Updater& updater) { outcome = updater.apply(capsule::MemorySource(capsule)); }, trace);
  return outcome;
}

std::vector<PowerCut> all_cuts(const Trace& trace, std::uint64_t seeds) {
  std::vector<PowerCut> cuts;
  for (const auto& [device, kinds] : trace.flash) {
    for (std::uint64_t operation = 1; operation <= kinds.size(); ++operation) {
      const auto add = [&](const auto& tears) {
        for (const Tear tear : tears) {
          for (std::uint64_t seed = 0; seed < (efistore::test::is_random(tear) ? seeds : 1);
               ++seed) {
            cuts.push_back({device, operation, tear, seed});
          }
        }
      };
      if (kinds[operation - 1] == OperationKind::erase) {
        add(efistore::test::erase_tears);
      } else {
        add(efistore::test::program_tears);
      }
    }
  }
  for (std::uint64_t operation = 1; operation <= trace.variables; ++operation) {
    cuts.push_back({"", operation, Tear::before, 0});
    cuts.push_back({"", operation, Tear::after, 0});
  }
  return cuts;
}

Resource resource_of(const Guid& type_id, std::vector<Target> banks) {
  Resource resource;
  resource.type_id = type_id;
  resource.name = type_id == type_a ? "loader" : "data";
  resource.scheme = banks.size() == 1 ? Scheme::single : Scheme::ab;
  resource.banks = std::move(banks);
  resource.form.authenticated = false;
  resource.version.version = 1;
  if (resource.scheme == Scheme::ab) {
    resource.fwu = FwuLocation{.metadata = {Extent{"m0"}, Extent{"m1"}}, .max_trial_boots = 2};
  }
  return resource;
}

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
      updater.resume();
      EXPECT_FALSE(updater.count_boot().value());
    });
    expect_bootable(machine);
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
  // No other update while it is on trial.
  EXPECT_THAT(apply_capsule(machine, make_capsule({{type_a, 3, 1, firmware_of(3)}})).reason,
              HasSubstr("on trial"));
  {
    Machine accepted = machine;
    EXPECT_FALSE(boot(accepted));
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
           {{"/does/not/exist"}, "No such file"}}) {
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
}  // namespace efistore::update
