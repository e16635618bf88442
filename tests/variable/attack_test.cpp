// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What somebody tries who may not change keys or modes, and what a failure must not leave behind.
#include <algorithm>
#include <map>
#include <random>

#include "efistore/base/bytes.hpp"
#include "efistore/variable/certificate_database.hpp"
#include "efistore/variable/policy.hpp"
#include "efistore/variable/write_budget.hpp"

#include "support/faulty_device.hpp"
#include "variable/signed_fixture.hpp"

namespace efistore::test {
namespace {

using namespace std::string_literals;
using variable::Phase;
using variable::SecureBootMode;
using variable::SetRequest;

constexpr Guid global = guids::global_variable;
constexpr Guid mor_lock = *Guid::parse("bb983ccf-151d-40e1-a07b-4a17be168292");
constexpr Guid modes_kept = *Guid::parse("9467a289-f4e1-44dd-a3c5-72b39df9280a");
constexpr std::uint32_t nv_bs_at = nv_bs | at;

class Attack : public SignedTest {
 protected:
  void boot_again(const variable::Options& options = {}) {
    restart(options);
    ASSERT_TRUE(services().start_secure_boot());
  }
};

// EDK2's InCustomMode() looks CustomMode up as the caller's phase sees it; it is no RT variable.
TEST_F(Attack, CustomModeIsOverAtRuntime) {
  enroll();
  boot_again({.physically_present = true});
  ASSERT_EQ(set(u"CustomMode", nv_bs, "\1", custom_mode), EfiStatus::success);
  services().exit_boot_services();
  EXPECT_EQ(set_unsigned(u"db", databases, hash_list(1), 2), EfiStatus::security_violation);
  EXPECT_EQ(set_unsigned(u"PK", global, "", 2), EfiStatus::security_violation);
}

TEST_F(Attack, CustomModeOfAnEarlierBootEndsAlsoIfTheFlashIsReadyLater) {
  enroll();
  boot_again({.physically_present = true});
  ASSERT_EQ(set(u"CustomMode", nv_bs, "\1", custom_mode), EfiStatus::success);
  boot_again({.physically_present = true, .write_ready = false});
  services().write_ready();
  EXPECT_EQ(set_unsigned(u"db", databases, hash_list(1), 2), EfiStatus::security_violation);
}

TEST_F(Attack, LeavingDeployedModeNeedsAFlashThatIsReady) {
  enroll();
  boot_again();
  ASSERT_EQ(set_global(u"DeployedMode", bs_rt, "\1"), EfiStatus::success);
  boot_again({.physically_present = true, .write_ready = false});
  writes();
  EXPECT_EQ(set_global(u"DeployedMode", bs_rt, "\0"s), EfiStatus::not_available_yet);
  EXPECT_TRUE(writes().empty());
}

// EDK2: NeedPhysicallyPresent() comes before the signature of a private variable.
TEST_F(Attack, ASignatureIsNoPresenceForCustomMode) {
  restart({.phase = Phase::boot_early});
  EXPECT_EQ(set_signed(signer("evil"), u"CustomMode", custom_mode, "\1", 1, nv_bs_at),
            EfiStatus::security_violation);
}
TEST_F(Attack, ASignatureIsNoPresenceForSecureBootEnable) {
  enroll();
  // As of a store whose PK was enrolled at runtime: no SecureBootEnable yet.
  start();
  services().exit_boot_services();
  enroll();
  restart({.phase = Phase::boot_early});
  EXPECT_EQ(set_signed(signer("evil"), u"SecureBootEnable", secure_boot_enable, "\0"s, 1, nv_bs_at),
            EfiStatus::security_violation);
  boot_again();
  EXPECT_EQ(get_global(u"SecureBoot"), "\1");
}

// EDK2 has created them by then, with AT.
TEST_F(Attack, NobodyPlantsTheLibrarysVariablesBeforeEndOfDxe) {
  restart({.phase = Phase::boot_early});
  ASSERT_TRUE(services().start_secure_boot());
  EXPECT_NE(set(u"certdb", nv_bs_rt, "\xff\xff\xff\xff", certificates), EfiStatus::success);
  EXPECT_NE(set(u"VendorKeysNv", nv_bs, "\0"s, vendor_keys), EfiStatus::success);
  EXPECT_NE(set(u"AuditModeNv", nv_bs, "\1", modes_kept), EfiStatus::success);
  EXPECT_NE(set(u"DeployedModeNv", nv_bs, "\1", modes_kept), EfiStatus::success);
}
TEST_F(Attack, APlantedCertdbBeforeEndOfDxeBlocksEveryPrivateVariable) {
  restart({.phase = Phase::boot_early});
  ASSERT_TRUE(services().start_secure_boot());
  static_cast<void>(set(u"certdb", bs_rt, "\xff\xff\xff\xff", certificates));
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_EQ(set_signed(signer("first"), u"A", vendor, "1", 1), EfiStatus::success);
}

// AuditModeNv that is left beside a platform key (firmware that does not know it enrolled one).
TEST_F(Attack, AStaleAuditModeDoesNotComeBackWithTheKeyGone) {
  boot_again();
  ASSERT_EQ(set_global(u"AuditMode", bs_rt, "\1"), EfiStatus::success);
  {
    // EDK2 enrolls PK.
    auto opened =
        store::VariableStore::open(std::make_unique<flash::MemoryDevice>(image(), 0x1000));
    ASSERT_TRUE(opened);
    const std::string pk = key_list(signer("PK"));
    store::RecordContent content(u"PK", global, key_attributes, as_bytes(pk));
    content.time = at_second(1);
    ASSERT_TRUE(opened->put(content));
    const auto& device = dynamic_cast<const flash::MemoryDevice&>(opened->device());
    start_from({device.content().begin(), device.content().end()});
  }
  ASSERT_TRUE(services().start_secure_boot());
  ASSERT_EQ(services().secure_boot_mode(), SecureBootMode::user);
  ASSERT_EQ(set_signed(signer("PK"), u"PK", global, "", 2), EfiStatus::success);
  EXPECT_EQ(services().secure_boot_mode(), SecureBootMode::setup);
}

TEST_F(Attack, AnUnlockThatIsUndoneDoesNotSpendTheKey) {
  ASSERT_EQ(set(u"MemoryOverwriteRequestControlLock", nv_bs_rt, "12345678", mor_lock),
            EfiStatus::success);
  const std::string key = "12345678";
  const std::array requests{
      SetRequest{.name = u"MemoryOverwriteRequestControlLock",
                 .guid = mor_lock,
                 .attributes = nv_bs_rt,
                 .data = as_bytes(key)},
      SetRequest{.name = u"A", .guid = vendor, .attributes = nv_bs_rt, .data = {}}};
  ASSERT_EQ(services().set_all(requests).status(), EfiStatus::not_found);
  EXPECT_EQ(set(u"MemoryOverwriteRequestControlLock", nv_bs_rt, key, mor_lock), EfiStatus::success);
}

TEST_F(Attack, AWholeRewriteIsChargedAsOne) {
  auto budget =
      variable::WriteBudget::create({.bytes_per_hour = 1, .burst_bytes = 0x7fffffff}).value();
  const auto owner = [&](std::string_view payload, std::uint8_t second) {
    const std::string data =
        signed_by(signer("first"), {u"A", vendor, key_attributes, at_second(second), payload});
    const std::uint64_t before = services().store().written_record_bytes();
    EXPECT_TRUE(services().set(
        {.name = u"A", .guid = vendor, .attributes = key_attributes, .data = as_bytes(data)}));
    return variable::wear_cost(services().store().written_record_bytes() - before,
                               services().store().usage());
  };
  writes();
  const std::uint64_t created = owner("1", 1);
  std::size_t erases = 0;
  for (const auto& one : writes()) erases += one.starts_with("E") ? 1U : 0U;
  EXPECT_GE(erases, 1U);
  EXPECT_GE(created, std::uint64_t{store_capacity}) << "creation, erases: " << erases;
  const std::uint64_t deleted = owner("", 2);
  erases = 0;
  for (const auto& one : writes()) erases += one.starts_with("E") ? 1U : 0U;
  EXPECT_GE(deleted, std::uint64_t{store_capacity}) << "deletion, erases: " << erases;
}

TEST_F(Attack, APolicyThatLocksPkHoldsAgainstAuditModeToo) {
  enroll();
  variable::Policy policy{
      .name = std::u16string(u"PK"), .guid = global, .lock = variable::PolicyLock::now};
  boot_again({.policies = {policy}});
  ASSERT_EQ(set_signed(signer("PK"), u"PK", global, "", 5), EfiStatus::write_protected);
  EXPECT_EQ(set_global(u"AuditMode", bs_rt, "\1"), EfiStatus::write_protected);
  EXPECT_EQ(services().secure_boot_mode(), SecureBootMode::user);
}

TEST_F(Attack, VolatilePrivateVariablesNeedNoWritableFlash) {
  auto opened = store::VariableStore::open(std::make_unique<flash::MemoryDevice>(image(), 0x1000),
                                           {.read_only = true});
  auto created = variable::Services::create(std::move(*opened)).value();
  ASSERT_TRUE(
      created.set({.name = u"V", .guid = vendor, .attributes = bs_rt, .data = as_bytes("1"s)}));
  const std::uint32_t attributes = bs_rt | at;
  const std::string data =
      signed_by(signer("first"), {u"A", vendor, attributes, at_second(1), "1"});
  EXPECT_EQ(
      created.set({.name = u"A", .guid = vendor, .attributes = attributes, .data = as_bytes(data)})
          .status(),
      EfiStatus::success);
  ASSERT_TRUE(created.start_secure_boot());
  const std::string zero(1, '\0');
  EXPECT_EQ(
      created
          .set({.name = u"AuditMode", .guid = global, .attributes = bs_rt, .data = as_bytes(zero)})
          .status(),
      EfiStatus::success)
      << "the mode in force set again writes nothing";
}

// Whatever operation of the flash fails: what SetupMode says, what secure_boot_mode() says and what
// the next boot says go together, or at least DEVICE_ERROR leaves the old value.
TEST_F(Attack, AFailingFlashLeavesMemoryAndModesConsistent) {
  enroll();
  boot_again();
  ASSERT_EQ(set_global(u"DeployedMode", bs_rt, "\1"), EfiStatus::success);
  const Bytes before = image();
  const std::string data =
      signed_by(signer("PK"), {u"PK", global, key_attributes, at_second(9), ""});
  for (const auto operation : {FlashOperation::program, FlashOperation::erase}) {
    for (std::uint64_t nth = 1;; ++nth) {
      auto faulty = std::make_unique<FaultyDevice>(
          std::make_unique<flash::MemoryDevice>(Bytes(before), 0x1000));
      FaultyDevice* const device = faulty.get();
      auto served =
          variable::Services::create(store::VariableStore::open(std::move(faulty)).value()).value();
      ASSERT_TRUE(served.start_secure_boot());
      device->arm({.operation = operation, .nth = nth});
      const auto done = served.set(
          {.name = u"PK", .guid = global, .attributes = key_attributes, .data = as_bytes(data)});
      if (device->faults() == 0) break;
      const bool setup_shown = served.get(u"SetupMode", global)->data[0] == std::byte{1};
      const bool setup = served.secure_boot_mode() == SecureBootMode::setup;
      EXPECT_EQ(setup_shown, setup) << "operation " << static_cast<int>(operation) << " " << nth
                                    << ", status " << to_string(done.status());
      // From where the new content is whole in the spare on, it is what counts.
      const bool has_key = served.get(u"PK", global).has_value();
      EXPECT_EQ(has_key, !setup) << nth;
      EXPECT_EQ(served.get(u"SecureBootEnable", secure_boot_enable).has_value(), has_key) << nth;
    }
  }
}

struct Op {
  std::u16string name;
  Guid guid;
  std::uint32_t attributes;
  std::string data;
};
SetRequest request_of(const Op& op) {
  return {.name = op.name, .guid = op.guid, .attributes = op.attributes, .data = as_bytes(op.data)};
}

class Differential : public testing::Test {
 protected:
  struct Served {
    flash::MemoryDevice* memory;
    variable::Services services;
  };
  static Served serve(const variable::Options& options) {
    auto memory = std::make_unique<flash::MemoryDevice>(
        blank_image(small_layout(store::RecordFormat::authenticated)), 0x1000);
    auto* const at = memory.get();
    return {at, variable::Services::create(store::VariableStore::open(std::move(memory)).value(),
                                           options)
                    .value()};
  }
  static std::string content(const variable::Services& services) {
    std::map<std::string, std::string> all;
    std::u16string name;
    Guid guid;
    while (const auto next = services.get_next(name, guid)) {
      name = next->name;
      guid = next->guid;
      all[to_string(guid) + std::string(name.begin(), name.end())] =
          std::to_string(next->attributes) + to_hex(next->data);
    }
    std::string text;
    for (const auto& [key, value] : all) text += key + "=" + value + "\n";
    return text;
  }
  Op random_op() {
    const auto pick = [&](unsigned n) { return static_cast<unsigned>(random_() % n); };
    static const Guid hr_guid = guids::hardware_error_variable;
    Op op;
    const bool error = pick(6) == 0;
    op.guid = error ? hr_guid : vendor;
    op.name = error ? std::u16string(u"HwErrRec000") + static_cast<char16_t>(u'0' + pick(4))
                    : std::u16string(1, static_cast<char16_t>(u'A' + pick(6)));
    op.attributes = error ? error_record : pick(5) == 0 ? bs_rt : nv_bs_rt;
    if (pick(6) == 0) op.attributes |= ap;
    if (pick(8) != 0) op.data = std::string(pick(300), static_cast<char>('a' + pick(26)));
    return op;
  }
  std::mt19937 random_{42};
};

TEST_F(Differential, SetAllOfOneIsWrittenAsSet) {
  int differ = 0;
  for (int round = 0; round < 60 && differ < 3; ++round) {
    variable::Limits limits = distinct_limits();
    limits.boottime_reserved_size = (round % 3 == 0) ? 0x200 : 0;
    const variable::Options options{.limits = limits, .strict_runtime = round % 4 == 0};
    auto one = serve(options);
    auto all = serve(options);
    for (int i = 0; i < 60; ++i) {
      if (i == 30 && round % 2 == 0) {
        one.services.exit_boot_services();
        all.services.exit_boot_services();
      }
      const Op op = random_op();
      // Appending nothing: SPEC says that set_all() writes nothing then.
      if (op.data.empty() && (op.attributes & ap) != 0) continue;
      const auto request = request_of(op);
      const auto a = one.services.set(request).status();
      const auto b = all.services.set_all(std::span(&request, 1)).status();
      EXPECT_EQ(a, b) << "round " << round << " step " << i;
      const bool same = std::ranges::equal(one.memory->content(), all.memory->content());
      EXPECT_TRUE(same) << "round " << round << " step " << i << " " << to_string(a)
                        << " attributes " << op.attributes << " size " << op.data.size();
      if (!same || a != b) {
        ++differ;
        break;
      }
    }
  }
}

// adopt() puts a single change without the quota for which the staged copy reclaimed.
TEST_F(Differential, ATransactionOfOneLeavesTheHardwareErrorStorageAlone) {
  auto served = serve({.limits = distinct_limits(), .strict_runtime = true});
  const std::uint32_t common = store_capacity - 0x400;
  for (int i = 0; i < 40; ++i) {
    const Op op{u"A", vendor, nv_bs_rt, std::string(300, static_cast<char>('a' + i % 26))};
    const auto request = request_of(op);
    ASSERT_TRUE(served.services.set_all(std::span(&request, 1)));
    const auto& usage = served.services.store().usage();
    ASSERT_LE(usage.used - usage.hardware_error_used, common) << "step " << i;
  }
}
TEST_F(Differential, AfterTransactionsHardwareErrorsFitAtStrictRuntime) {
  auto served = serve({.limits = distinct_limits(), .strict_runtime = true});
  for (int i = 0; i < 10; ++i) {
    const Op op{u"A", vendor, nv_bs_rt, std::string(300, static_cast<char>('a' + i))};
    const auto request = request_of(op);
    ASSERT_TRUE(served.services.set_all(std::span(&request, 1)));
  }
  served.services.exit_boot_services();
  const Op op{u"HwErrRec0000", guids::hardware_error_variable, error_record, std::string(500, 'x')};
  EXPECT_EQ(served.services.set(request_of(op)).status(), EfiStatus::success)
      << "used " << served.services.store().usage().used;
}

TEST_F(Differential, SetAllOfSeveralHasTheContentOfSets) {
  int differ = 0;
  for (int round = 0; round < 150 && differ < 3; ++round) {
    variable::Limits limits = distinct_limits();
    // At strict runtime a rewrite of several makes room that single writes do not have.
    const variable::Options options{.limits = limits};
    auto one = serve(options);
    auto all = serve(options);
    for (int i = 0; i < 20; ++i) {
      if (i == 10 && round % 2 == 0) {
        one.services.exit_boot_services();
        all.services.exit_boot_services();
      }
      std::vector<Op> ops;
      for (unsigned n = 1 + static_cast<unsigned>(random_() % 5); n > 0; --n)
        ops.push_back(random_op());
      std::vector<SetRequest> requests;
      for (const Op& op : ops) requests.push_back(request_of(op));
      const std::string before = content(all.services);
      const auto b = all.services.set_all(requests);
      if (!b) {
        EXPECT_EQ(content(all.services), before) << "round " << round << " step " << i;
        continue;
      }
      for (const auto& r : requests) static_cast<void>(one.services.set(r));
      const bool same = content(one.services) == content(all.services);
      if (b && !same) {
        ++differ;
        ADD_FAILURE() << "round " << round << " step " << i << "\n"
                      << content(one.services) << "\n"
                      << content(all.services);
        break;
      }
      auto again = store::VariableStore::open(std::make_unique<flash::MemoryDevice>(
          Bytes{all.memory->content().begin(), all.memory->content().end()}, 0x1000));
      ASSERT_TRUE(again);
      EXPECT_FALSE(again->report().damaged);
      for (const auto* r = all.services.store().first(); r; r = all.services.store().next(*r)) {
        const auto* found = again->find(r->name, r->guid);
        ASSERT_NE(found, nullptr);
        EXPECT_TRUE(equal_bytes(found->data, r->data));
      }
    }
  }
}

}  // namespace
}  // namespace efistore::test
