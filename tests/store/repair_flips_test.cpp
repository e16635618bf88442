// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Damage of every bit of a small store's headers, and seeded damage all over real ones. What was
// not hit must be there after the repair.
#include <gmock/gmock.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <random>

#include "efistore/base/ucs2.hpp"
#include "efistore/store/repair.hpp"
#include "efistore/store/scan.hpp"

#include "store/store_fixture.hpp"
#include "support/sample.hpp"
#include "support/vectors.hpp"

namespace efistore::test {
namespace {

using store::RecordFormat;
using store::Variable;
using store::VariableStore;

/// The live variables, by name, with where their records stand.
struct Placed {
  Variable variable;
  flash::Range record;
};
using Variables = std::map<std::string, Placed>;

Variables variables_in(const VariableStore& opened) {
  Variables variables;
  for (const auto* r = opened.first(); r != nullptr; r = opened.next(*r)) {
    variables[to_utf8(r->name) + to_string(r->guid)] = {r->to_variable(), {r->offset, r->size}};
  }
  return variables;
}

/// Repairs `image`, opens it for writing and writes; gives the variables that it had before that.
Variables repaired_variables(const Bytes& image, const std::string& damage) {
  auto device = device_of(image);
  std::size_t kept = 0;
  const auto report =
      store::repair(*device, {.take_swallowed = true, .keep = [&kept](auto) -> Status {
                                ++kept;
                                return {};
                              }});
  EXPECT_TRUE(report) << damage << ": " << report.error().message;
  if (!report) return {};
  EXPECT_EQ(kept, report->actions.empty() ? 0U : 1U) << damage;
  EXPECT_FALSE(report->after.damaged()) << damage;
  for (const auto& finding : report->after.findings) {
    if (finding.severity == store::Severity::damage)
      ADD_FAILURE() << damage << ": " << finding.where.offset << ", " << finding.what;
  }
  auto opened = VariableStore::open(std::move(device));
  EXPECT_TRUE(opened) << damage;
  if (!opened) return {};
  EXPECT_FALSE(opened->report().damaged) << damage;
  EXPECT_FALSE(opened->read_only()) << damage << opened->report().not_written_because;
  Variables variables = variables_in(*opened);
  const auto data = bytes_of("new");
  EXPECT_TRUE(opened->put({u"Probe", vendor, 7, data})) << damage;
  return variables;
}

class RepairFlips : public testing::TestWithParam<RecordFormat> {
 protected:
  /// Live and dead records, a deleted variable that came back, twins, an old transition, and a
  /// queue with writes that are done.
  Bytes make_store() {
    auto opened = VariableStore::open(device_of(blank_image(small_layout(GetParam())))).value();
    for (const std::u16string name : {u"Alpha", u"Beta", u"C", u"Delta"}) {
      const auto data = bytes_of(std::string(7 + 11 * name.size(), static_cast<char>(name[0])));
      EXPECT_TRUE(opened.put({name, vendor, 7, data}));
    }
    EXPECT_TRUE(opened.remove(*opened.find(u"Beta", vendor)));
    EXPECT_TRUE(opened.reclaim());
    const auto again = bytes_of("Beta is back");
    EXPECT_TRUE(opened.put({u"Beta", vendor, 7, again}));
    EXPECT_TRUE(opened.put({u"Alpha", vendor, 7, again}));
    EXPECT_TRUE(opened.remove(*opened.find(u"Beta", vendor)));
    const auto third = bytes_of("third");
    EXPECT_TRUE(opened.put({u"Beta", vendor, 3, third}));
    EXPECT_TRUE(opened.reclaim());
    EXPECT_TRUE(opened.put({u"C", vendor, 7, third}));
    Bytes image = image_of(static_cast<const flash::MemoryDevice&>(opened.device()));
    // An update that was cut before its last step, and one before its second.
    auto at = static_cast<std::uint32_t>(first_record + opened.usage().used);
    at = plant(image, at, u"Twin", "old value", 0x3e, GetParam());
    at = plant(image, at, u"Twin", "new", 0x3f, GetParam());
    at = plant(image, at, u"Gone", "was deleted", 0x3d, GetParam());
    plant(image, at, u"Alone", "in transition, and alone", 0x3e, GetParam());
    return image;
  }

  /// Flips each bit of `range`; all variables but the one with its live record there must survive.
  void flip_every_bit(const Bytes& image, flash::Range range) {
    const Variables before = variables_in(VariableStore::open(device_of(image)).value());
    for (std::uint64_t bit = range.offset * 8; bit < range.end() * 8; bit += sample_stride) {
      Bytes damaged = image;
      damaged[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
      const std::string damage = "bit " + std::to_string(bit % 8) + " of byte " +
                                 std::to_string(bit / 8) + " in " + std::to_string(range.offset);
      const Variables after = repaired_variables(damaged, damage);
      for (const auto& [id, placed] : before) {
        const bool hit = placed.record.offset <= bit / 8 && bit / 8 < placed.record.end();
        if (hit) continue;
        const auto found = after.find(id);
        ASSERT_NE(found, after.end()) << damage << " loses " << id;
        ASSERT_EQ(found->second.variable, placed.variable) << damage << " changes " << id;
      }
      ++flips_;
    }
  }

  void TearDown() override {
    std::cout << "repair: " << flips_ << " bits flipped " << sample_note() << "\n";
  }

  std::size_t flips_ = 0;
};

TEST_P(RepairFlips, OfTheHeadersCostNothing) {
  flip_every_bit(make_store(), {0, first_record});
  EXPECT_EQ(flips_, sampled(first_record * 8));
}

TEST_P(RepairFlips, OfRecordHeadersCostTheirOwnVariableOnly) {
  const Bytes image = make_store();
  const auto scan = store::scan_records(variables_of(image), first_record, GetParam());
  ASSERT_GE(scan.records.size(), 9U);
  for (const auto& record : scan.records)
    flip_every_bit(image, {record.offset, store::record_header_size(GetParam())});
  EXPECT_EQ(flips_, scan.records.size() *
                        sampled(std::uint64_t{8} * store::record_header_size(GetParam())));
}

TEST_P(RepairFlips, OfTheWorkingAreaCostNothing) {
  // The header, two writes that are done, and the place for the next.
  constexpr std::uint64_t size = 32 + 2 * 80 + 48;
  flip_every_bit(make_store(), {0x1000, size});
  EXPECT_EQ(flips_, sampled(size * 8));
}

INSTANTIATE_TEST_SUITE_P(Formats, RepairFlips,
                         testing::Values(RecordFormat::authenticated, RecordFormat::normal),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

/// What one round of damage does: a number of bytes, alone or in runs, become others.
struct Damage {
  const char* name;
  std::size_t runs;
  std::size_t longest;
};

class RepairDamage : public testing::TestWithParam<const char*> {};

TEST_P(RepairDamage, CostsOnlyWhatWasHit) {
  EFISTORE_NEED_VECTORS();
  const auto image = load_vector(std::string("store/") + GetParam());
  ASSERT_TRUE(image) << image.error().message;
  const Variables before =
      variables_in(VariableStore::open(device_of(*image), {.read_only = true}).value());
  // Most of a real store is free: the records and headers are hit, and now and then the rest.
  std::size_t used = 0;
  for (const auto& [id, placed] : before)
    used = std::max(used, static_cast<std::size_t>(placed.record.end()));
  std::size_t undamaged = 0;
  std::size_t survived = 0;
  std::size_t damages = 0;
  constexpr unsigned seeds = 30;
  for (const Damage& kind : {Damage{"single bytes", 1, 1},
                             {"many bytes", 40, 1},
                             {"a run", 1, 300},
                             {"runs", 5, 64},
                             {"a block", 1, 4096}}) {
    for (unsigned seed = 0; seed < seeds; seed += sample_stride) {
      ++damages;
      std::mt19937 random(seed);
      auto below = [&random](std::size_t limit) { return random() % limit; };
      Bytes damaged = *image;
      std::vector<bool> hit(damaged.size());
      for (std::size_t run = 0; run < kind.runs; ++run) {
        const std::size_t size = 1 + below(kind.longest);
        const std::size_t at = below(seed % 5 == 4 ? damaged.size() - size : used);
        const int fill = static_cast<int>(below(4));
        for (std::size_t i = at; i < std::min(at + size, damaged.size()); ++i) {
          const auto random_byte = static_cast<std::byte>(below(256));
          damaged[i] = fill == 0 ? std::byte{0} : fill == 1 ? std::byte{0xff} : random_byte;
          hit[i] = damaged[i] != (*image)[i];
        }
      }
      const std::string damage = std::string(kind.name) + ", seed " + std::to_string(seed);
      const Variables after = repaired_variables(damaged, damage);
      for (const auto& [id, placed] : before) {
        const auto from = hit.begin() + static_cast<long>(placed.record.offset);
        if (std::find(from, from + static_cast<long>(placed.record.size), true) !=
            from + static_cast<long>(placed.record.size)) {
          continue;
        }
        ++undamaged;
        const auto found = after.find(id);
        const bool there = found != after.end() && found->second.variable == placed.variable;
        survived += there ? 1U : 0U;
        EXPECT_TRUE(there) << damage << " loses " << id;
      }
    }
  }
  EXPECT_EQ(survived, undamaged);
  EXPECT_EQ(damages, 5 * sampled(seeds));
  EXPECT_GT(undamaged, damages * before.size() / 2);
  std::cout << GetParam() << ": " << survived << " of " << undamaged
            << " undamaged variables survived " << damages << " damages " << sample_note() << "\n";
}

INSTANTIATE_TEST_SUITE_P(Vectors, RepairDamage,
                         testing::Values("v03-ovmf4m-boot-entries.fd.xz",
                                         "v08-ovmf4m-edk2written-ms.fd.xz"),
                         [](const auto& tested) { return std::string(tested.param).substr(0, 3); });

}  // namespace
}  // namespace efistore::test
