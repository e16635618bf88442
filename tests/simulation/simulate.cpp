// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// simulate SEED OPERATIONS LAYOUT: random operations on the variable services over flash in memory,
// each answer compared with the oracle's, each state of the store with the oracle's map. The same
// three arguments give the same run.
#include <fmt/format.h>

#include <cstdlib>
#include <random>
#include <string>

#include "efistore/flash/memory_device.hpp"
#include "efistore/store/examine.hpp"

#include "simulation/oracle.hpp"

namespace efistore::test {
namespace {

using variable::Phase;
using variable::Services;
using variable::VariableId;

struct World {
  store::Layout layout;
  variable::Limits limits;
  bool strict_runtime = false;
};

std::optional<World> world_of(std::string_view name) {
  World world;
  if (name == "ovmf-2m") {
    world.layout = store::Layout::ovmf_2m();
    world.limits = variable::Limits::for_layout(world.layout);
    world.limits.hardware_error_storage_size = 0x4000;
    world.limits.max_hardware_error_size = 0x1000;
    return world;
  }
  const bool normal = name == "small-normal";
  world.strict_runtime = name == "strict";
  if (!normal && !world.strict_runtime && name != "small-auth") return std::nullopt;
  world.layout = store::Layout::custom({.size_bytes = 0x7000,
                                        .format = normal ? store::RecordFormat::normal
                                                         : store::RecordFormat::authenticated})
                     .value();
  world.limits = variable::Limits::for_layout(world.layout);
  world.limits.max_variable_size = 0x400;
  world.limits.max_volatile_size = 0x300;
  world.limits.volatile_store_size = 0x1000;
  world.limits.hardware_error_storage_size = 0x800;
  world.limits.max_hardware_error_size = 0x200;
  return world;
}

class Simulation {
 public:
  Simulation(World world, std::uint64_t seed)
      : world_(std::move(world)),
        random_(seed),
        image_(world_.layout.volume_size_bytes, std::byte{0xff}) {}

  /// The number of the operation that went wrong, with what did; none if all went well.
  std::optional<std::string> run(std::uint64_t operations) {
    flash::MemoryDevice blank(image_, world_.layout.block_size_bytes);
    if (!store::VariableStore::format(blank, world_.layout)) return "format";
    image_.assign(blank.content().begin(), blank.content().end());
    if (!open(Phase::boot)) return failure_;
    oracle_.emplace(Oracle::Shape{.capacity = services_->store().usage().capacity,
                                  .header_size = store::record_header_size(world_.layout.format),
                                  .limits = world_.limits,
                                  .strict_runtime = world_.strict_runtime});
    for (std::uint64_t i = 0; i < operations; ++i) {
      if (!step() || (i % 64 == 0 && !compare_all()))
        return fmt::format("operation {}: {}", i, failure_);
    }
    if (!compare_all() || !reopen() || !compare_all() || !examine_image()) return failure_;
    return std::nullopt;
  }

  std::uint64_t changes() const { return changes_; }
  std::uint64_t refusals() const { return refusals_; }

 private:
  std::uint32_t pick(std::uint32_t below) { return static_cast<std::uint32_t>(random_() % below); }

  bool fail(std::string what) {
    failure_ = std::move(what);
    return false;
  }

  bool open(Phase phase) {
    auto device = std::make_unique<flash::MemoryDevice>(image_, world_.layout.block_size_bytes);
    device_ = device.get();
    auto opened = store::VariableStore::open(std::move(device));
    if (!opened) return fail("open: " + opened.error().message);
    if (opened->report().damaged || opened->report().reclaimed)
      return fail("open: store not clean");
    auto created = Services::create(
        std::move(*opened),
        {.limits = world_.limits, .phase = phase, .strict_runtime = world_.strict_runtime});
    if (!created) return fail("create: " + created.error().message);
    services_.emplace(std::move(*created));
    return true;
  }

  bool reopen() {
    image_.assign(device_->content().begin(), device_->content().end());
    services_.reset();
    const Phase phase = pick(3) == 0 ? Phase::runtime : Phase::boot;
    oracle_->reopen(phase);
    return open(phase);
  }

  VariableId random_id() {
    if (pick(8) == 0) {
      std::u16string record = u"HwErrRec000";
      record += static_cast<char16_t>(u'0' + pick(10));
      return {std::move(record), guids::hardware_error_variable};
    }
    std::u16string name = u"Variable";
    const std::uint32_t which = pick(20);
    name += static_cast<char16_t>(u'A' + which);
    // Names of many lengths, but few names, or the store would be full and stay so.
    if (which % 4 == 0) name.append(which * 3, u'\u20ac');
    Guid guid = *Guid::parse("11223344-5566-7788-99aa-bbccddeeff00");
    guid.bytes[15] = static_cast<std::byte>(pick(2));
    return {std::move(name), guid};
  }

  /// Mostly attributes that work, so that variables come to be.
  std::uint32_t random_attributes(const VariableId& id) {
    constexpr std::array<std::uint32_t, 14> choices{7, 7, 7, 7, 7, 7, 3, 3, 6, 6, 0xf, 0, 1, 0x107};
    const std::uint32_t append = pick(5) == 0 ? 0x40 : 0;
    if (id.guid == guids::hardware_error_variable && pick(4) != 0) return 0xf | append;
    if (const OracleValue* known = oracle_->get(id); known != nullptr && pick(10) != 0) {
      return known->attributes | append;
    }
    return choices[pick(choices.size())] | append;
  }

  std::vector<std::byte> random_data() {
    const std::uint32_t kind = pick(20);
    const std::uint32_t size = kind == 0   ? 0
                               : kind < 15 ? pick(100)
                                           : pick(world_.limits.max_variable_size + 8);
    std::vector<std::byte> data(size);
    for (std::byte& b : data) b = static_cast<std::byte>(random_());
    return data;
  }

  bool step() {
    const std::uint32_t what = pick(1000);
    if (what < 4) return reopen();
    if (what == 4) {
      oracle_->reclaim();
      return services_->reclaim().has_value() || fail("reclaim failed");
    }
    const VariableId id = random_id();
    if (what < 150) return compare(id);
    const std::uint32_t attributes = random_attributes(id);
    std::vector<std::byte> data;
    if (pick(6) != 0) data = random_data();
    if (const OracleValue* known = oracle_->get(id); known != nullptr && pick(20) == 0) {
      data = known->data;
    }
    const auto done =
        services_->set({.name = id.name, .guid = id.guid, .attributes = attributes, .data = data});
    const EfiStatus expected = oracle_->set(id, attributes, data);
    (expected == EfiStatus::success ? changes_ : refusals_) += 1;
    if (done.status() != expected) {
      return fail(fmt::format("set {} attributes {:#x} size {}: expected {}, got {}", to_string(id),
                              attributes, data.size(), to_string(expected),
                              to_string(done.status())));
    }
    return compare(id);
  }

  bool compare(const VariableId& id) {
    const auto found = services_->get(id.name, id.guid);
    const OracleValue* const expected = oracle_->get(id);
    if (found.has_value() != (expected != nullptr)) {
      return fail(fmt::format("get {}: presence differs", to_string(id)));
    }
    if (found && (found->attributes != expected->attributes ||
                  !std::ranges::equal(found->data, expected->data))) {
      return fail(fmt::format("get {}: content differs", to_string(id)));
    }
    return true;
  }

  bool compare_all() {
    OracleMap listed;
    VariableId at;
    while (true) {
      const auto next = services_->get_next(at.name, at.guid);
      if (!next) break;
      at = {std::u16string(next->name), next->guid};
      const OracleValue value{next->attributes, {next->data.begin(), next->data.end()}};
      if (!listed.emplace(at, value).second) return fail("listed twice: " + to_string(at));
    }
    if (listed != oracle_->visible()) return fail("the listing differs");
    const auto info = services_->query(7);
    if (!info || info->remaining_storage_size != oracle_->remaining()) {
      return fail("the remaining space differs");
    }
    return true;
  }

  bool examine_image() {
    const auto examination = store::examine(*device_);
    if (!examination) return fail("examine: " + examination.error().message);
    for (const auto& finding : examination->findings) {
      return fail("examine: " + finding.what);
    }
    return true;
  }

  World world_;
  std::mt19937_64 random_;
  std::vector<std::byte> image_;
  flash::MemoryDevice* device_ = nullptr;
  std::optional<Services> services_;
  std::optional<Oracle> oracle_;
  std::string failure_;
  std::uint64_t changes_ = 0;
  std::uint64_t refusals_ = 0;
};

}  // namespace
}  // namespace efistore::test

int main(int argc, char** argv) {
  using namespace efistore::test;
  const auto world = argc == 4 ? world_of(argv[3]) : std::nullopt;
  if (!world) {
    fmt::print(stderr, "usage: simulate SEED OPERATIONS small-auth|small-normal|ovmf-2m|strict\n");
    return 2;
  }
  Simulation simulation(*world, std::strtoull(argv[1], nullptr, 10));
  const std::uint64_t operations = std::strtoull(argv[2], nullptr, 10);
  if (const auto failure = simulation.run(operations)) {
    fmt::print("{}\nreplay: {} {} {} {}\n", *failure, argv[0], argv[1], argv[2], argv[3]);
    return 1;
  }
  fmt::print("{} operations: {} changes, {} refusals, as the oracle says\n", operations,
             simulation.changes(), simulation.refusals());
  // A run that refuses everything proves nothing.
  return simulation.changes() > operations / 4 ? 0 : 1;
}
