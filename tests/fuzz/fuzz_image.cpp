// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// A volume of any bytes: examined, opened for writing, listed, changed, compacted and opened again;
// and a copy of it repaired.
//
// The input's first byte seeds the changes; the rest is the image, filled up with erased bytes to
// three blocks of 4 KiB, the smallest volume there is.
#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/flash/memory_device.hpp"
#include "efistore/store/examine.hpp"
#include "efistore/store/repair.hpp"
#include "efistore/store/variable_store.hpp"

#include "target.hpp"

namespace efistore::fuzz {
namespace {

using store::Examination;
using store::Record;
using store::RecordContent;
using store::Variable;
using store::VariableStore;

constexpr std::uint32_t block_size_bytes = 0x1000;
constexpr std::size_t image_size_bytes = 3 * block_size_bytes;
constexpr unsigned changes = 12;

using Key = std::pair<std::u16string, Guid>;
using Oracle = std::map<Key, Variable>;

std::unique_ptr<flash::MemoryDevice> device_of(std::span<const std::byte> image) {
  return std::make_unique<flash::MemoryDevice>(std::vector(image.begin(), image.end()),
                                               block_size_bytes);
}

std::span<const std::byte> content_of(const VariableStore& opened) {
  return static_cast<const flash::MemoryDevice&>(opened.device()).content();
}

/// Damage findings of the image; checks that the regions cover it and that looking changes nothing.
Result<std::size_t> examine_damage(std::span<const std::byte> image) {
  const auto device = device_of(image);
  const Result<Examination> examination = store::examine(*device);
  require(std::ranges::equal(device->content(), image), "examine() changes nothing");
  if (!examination) return tl::unexpected(examination.error());
  std::uint64_t end = 0;
  for (const store::Region& region : examination->regions) {
    require(region.where.offset == end && region.where.size != 0, "regions follow one another");
    end = region.where.end();
  }
  require(end == examination->layout.volume_size_bytes, "regions cover the volume");
  const auto damages =
      std::ranges::count(examination->findings, store::Severity::damage, &store::Finding::severity);
  require((damages != 0) == examination->damaged(), "damaged() says what the findings say");
  return static_cast<std::size_t>(damages);
}

/// The live variables, by name; checks that list, look-up and figures agree.
Oracle list(const VariableStore& opened) {
  Oracle variables;
  std::uint32_t live = 0;
  for (const Record* record = opened.first(); record != nullptr; record = opened.next(*record)) {
    require(!record->name.empty() && record->name.find(u'\0') == std::u16string::npos,
            "a name is not empty and holds no NUL");
    require(opened.find(record->name, record->guid) == record, "what is listed is found");
    require(variables.emplace(Key{record->name, record->guid}, record->to_variable()).second,
            "no name is listed twice");
    live += static_cast<std::uint32_t>(store::align_record(record->size));
  }
  require(opened.usage().live_records == variables.size(), "live records are counted");
  require(opened.usage().live == live, "live bytes are counted");
  require(opened.usage().used <= opened.usage().capacity, "used bytes are within the capacity");
  return variables;
}

/// A store that must not be written says so and stays as it is.
void check_damaged(VariableStore& opened, const RecordContent& content) {
  const std::vector<std::byte> before(content_of(opened).begin(), content_of(opened).end());
  const Status put = opened.put(content);
  require(!put && put.error().code == Errc::damaged, "a damaged store refuses changes");
  const Status reclaimed = opened.reclaim();
  require(!reclaimed && reclaimed.error().code == Errc::damaged,
          "a damaged store refuses reclaims");
  require(std::ranges::equal(content_of(opened), before), "a refused change changes nothing");
}

/// A variable that is there, a new one, or one of a few that come back.
Variable next_variable(std::minstd_rand& random, const Oracle& oracle, store::RecordFormat format) {
  Variable variable;
  if (!oracle.empty() && random() % 2 == 0) {
    variable = std::next(oracle.begin(), static_cast<long>(random() % oracle.size()))->second;
  } else {
    variable.name = std::u16string(1 + random() % 3, static_cast<char16_t>(u'a' + random() % 4));
  }
  variable.attributes = random() % 8;
  variable.data.assign(random() % (random() % 8 == 0 ? 2000 : 100),
                       static_cast<std::byte>(random() % 256));
  if (format == store::RecordFormat::authenticated) variable.monotonic_count = random();
  return variable;
}

void put(VariableStore& opened, Oracle& oracle, const Variable& variable) {
  const RecordContent content(variable);
  Status done = opened.put(content);
  if (!done) {
    require(done.error().code == Errc::no_space, "the only reason not to put is space");
    done = opened.reclaim_with(content);
    require(done || done.error().code == Errc::no_space, "the only reason not to put is space");
  }
  if (done) oracle[{variable.name, variable.guid}] = variable;
}

void change(VariableStore& opened, Oracle& oracle, std::minstd_rand& random) {
  const Variable variable = next_variable(random, oracle, opened.format());
  switch (random() % 8) {
    case 0:
      require(opened.reclaim().has_value(), "a reclaim succeeds");
      require(opened.usage().dead_records == 0, "a reclaim leaves nothing dead");
      break;
    case 1: {
      std::vector<Variable> all;
      for (const auto& [key, value] : oracle) all.push_back(value);
      require(opened.replace_all(all).has_value(), "what is there fits");
      break;
    }
    case 2:
    case 3:
      if (const Record* record = opened.find(variable.name, variable.guid); record != nullptr) {
        oracle.erase({record->name, record->guid});
        require(opened.remove(*record).has_value(), "a live record can be removed");
      }
      break;
    default:
      put(opened, oracle, variable);
  }
}

/// What lies in flash is undamaged, clean, and shows the variables of `oracle`.
void check_outcome(const VariableStore& opened, const Oracle& oracle, std::size_t damage_before) {
  const std::vector<std::byte> after(content_of(opened).begin(), content_of(opened).end());
  const Result<std::size_t> damage = examine_damage(after);
  require(damage && *damage <= damage_before, "changes cause no damage");
  const auto reopened = VariableStore::open(device_of(after));
  require(reopened.has_value(), "what was written can be opened");
  require(!reopened->report().reclaimed, "changes leave no residue");
  require(list(*reopened) == oracle, "the variables are there after reopening");
}

/// Every record of the image goes, those that others override too.
void check_remove_all(std::span<const std::byte> image, std::size_t damage) {
  auto opened = VariableStore::open(device_of(image));
  require(opened.has_value(), "what was opened once can be opened again");
  while (const Record* record = opened->first()) {
    require(opened->remove(*record).has_value(), "a live record can be removed");
  }
  check_outcome(*opened, {}, damage);
}

/// A repair fails and says so, or leaves a store that opens undamaged with what it had listed.
void check_repair(std::span<const std::byte> image) {
  const auto device = device_of(image);
  std::size_t kept = 0;
  const auto report =
      store::repair(*device, {.keep = [&](std::span<const std::byte> bytes) -> Status {
        require(std::ranges::equal(bytes, image), "the image is kept as it was");
        ++kept;
        return {};
      }});
  if (kept == 0) {
    require(std::ranges::equal(device->content(), image), "nothing is changed that is not kept");
  }
  if (!report) return;
  require(kept == (report->actions.empty() ? 0U : 1U), "what is changed is kept");
  require(!report->after.damaged(), "what was repaired is not damaged");
  const auto opened = VariableStore::open(device_of(device->content()));
  require(opened.has_value(), "what was repaired can be opened");
  require(!opened->report().damaged, "what was repaired opens undamaged");
  list(*opened);
}

void check(std::span<const std::byte> image, unsigned seed) {
  const Result<std::size_t> damage = examine_damage(image);
  auto opened = VariableStore::open(device_of(image));
  if (!opened) return;
  require(damage.has_value(), "what can be opened can be examined");
  Oracle oracle = list(*opened);
  std::minstd_rand random(seed);
  if (opened->report().damaged) {
    const Variable variable = next_variable(random, oracle, opened->format());
    check_damaged(*opened, RecordContent(variable));
    return;
  }
  // A write is under way that only the firmware can finish, or there is nothing to rewrite with.
  if (opened->read_only() || opened->layout().ftw_working.size == 0) return;
  for (unsigned i = 0; i < changes; ++i) {
    change(*opened, oracle, random);
    require(list(*opened) == oracle, "the variables are those that were put");
  }
  check_outcome(*opened, oracle, *damage);
  check_remove_all(image, *damage);
}

}  // namespace
}  // namespace efistore::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace efistore::fuzz;
  if (size == 0 || size > 1 + image_size_bytes) return 0;
  std::vector<std::byte> image(image_size_bytes, std::byte{0xff});
  std::ranges::copy(std::as_bytes(std::span(data, size)).subspan(1), image.begin());
  check(image, 1U + data[0]);
  check_repair(image);
  return 0;
}
