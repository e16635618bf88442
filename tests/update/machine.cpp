// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "update/machine.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <utility>

#include "efistore/base/bytes.hpp"
#include "efistore/capsule/capsule_header.hpp"
#include "efistore/capsule/source.hpp"

#include "support/decorator.hpp"

namespace efistore::update::test {

namespace {

struct PowerOff {};

void put(Bytes& bytes, std::span<const std::byte> more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

template <typename T>
void put_number(Bytes& bytes, T value) {
  std::array<std::byte, sizeof value> raw;
  ByteWriter(raw).write(value);
  put(bytes, raw);
}

}  // namespace

Bytes firmware_of(unsigned seed, std::size_t size) {
  std::mt19937 random(seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  // A block that is all erased can look done when its erase was cut.
  if (seed == 2)
    std::fill(bytes.begin() + 3 * block_size, bytes.begin() + 4 * block_size, std::byte{0xff});
  return bytes;
}

Bytes make_capsule(const std::vector<PayloadInput>& payloads, std::uint32_t capsule_flags) {
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

Bytes simple_capsule(const Guid& guid, std::span<const std::byte> body) {
  Bytes bytes;
  put(bytes, guid.bytes);
  put_number<std::uint32_t>(bytes, 28);
  put_number<std::uint32_t>(bytes, 0);
  put_number(bytes, static_cast<std::uint32_t>(28 + body.size()));
  put(bytes, body);
  return bytes;
}

bool power_on(Machine& machine, const PowerCut& cut, const std::function<void(Updater&)>& action,
              Trace* trace) {
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
    Status set(std::u16string_view name, const Guid& guid,
               std::span<const std::byte> data) override {
      Status status = below_.set(name, guid, data);
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

UpdateOutcome apply_capsule(Machine& machine, const Bytes& capsule, const PowerCut& cut,
                            Trace* trace) {
  UpdateOutcome outcome;
  power_on(
      machine, cut,
      [&](Updater& updater) { outcome = updater.apply(capsule::MemorySource(capsule)); }, trace);
  return outcome;
}

std::vector<PowerCut> all_cuts(const Trace& trace, std::uint64_t seeds) {
  std::vector<PowerCut> cuts;
  for (const auto& entry : trace.flash) {
    const std::string& device = entry.first;
    const std::vector<OperationKind>& kinds = entry.second;
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

}  // namespace efistore::update::test
