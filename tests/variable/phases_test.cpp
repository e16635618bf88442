// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The events of a boot: the flash becomes writable, EndOfDxe, ReadyToBoot, ExitBootServices.
#include <algorithm>

#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using variable::Limits;
using variable::Phase;

class WriteReady : public ServicesTest {
 protected:
  WriteReady() {
    start();
    EXPECT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
    restart({.write_ready = false});
  }
};

TEST_F(WriteReady, BeforeItNonVolatileChangesAreNotAvailableYet) {
  EXPECT_EQ(set(u"B", nv_bs_rt, "1"), EfiStatus::not_available_yet);
  EXPECT_EQ(set(u"A", nv_bs_rt, "2"), EfiStatus::not_available_yet);
  EXPECT_EQ(set(u"A", nv_bs_rt | ap, "2"), EfiStatus::not_available_yet);
  EXPECT_EQ(set(u"A", nv_bs_rt, ""), EfiStatus::not_available_yet);
  EXPECT_EQ(set(u"A", 0, ""), EfiStatus::not_available_yet);
  EXPECT_TRUE(writes().empty());
}

TEST_F(WriteReady, BeforeItRequestsThatChangeNothingAreNotAvailableYetEither) {
  EXPECT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::not_available_yet);
  EXPECT_EQ(set(u"B", nv_bs_rt, ""), EfiStatus::not_available_yet);
  EXPECT_EQ(set(u"B", nv_bs_rt | ap, ""), EfiStatus::not_available_yet);
}

TEST_F(WriteReady, BeforeItReadingAndVolatileVariablesWork) {
  EXPECT_EQ(get(u"A"), "1");
  EXPECT_EQ(set(u"V", bs_rt, "2"), EfiStatus::success);
  EXPECT_EQ(set(u"V", bs_rt | ap, "3"), EfiStatus::success);
  EXPECT_EQ(listing(), "V=23 A=1");
  EXPECT_EQ(set(u"V", 0, ""), EfiStatus::success);
  EXPECT_EQ(set(u"V", 0, ""), EfiStatus::not_found);
  EXPECT_TRUE(services().query(nv_bs_rt));
}

TEST_F(WriteReady, BeforeItMalformedRequestsAreToldSo) {
  EXPECT_EQ(set(u"A", nv, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", nv_bs, "1"), EfiStatus::invalid_parameter);
}

TEST_F(WriteReady, FromItOnChangesWork) {
  services().write_ready();
  EXPECT_EQ(set(u"A", nv_bs_rt, "2"), EfiStatus::success);
}

TEST_F(WriteReady, BeforeItNothingReclaims) {
  EXPECT_EQ(services().reclaim().status(), EfiStatus::not_available_yet);
  EXPECT_TRUE(writes().empty());
}

TEST_F(WriteReady, BeforeItReadyToBootIsNotAvailableYetAndNotDone) {
  Limits limits;
  limits.max_variable_size = limits.max_authenticated_size = 0x1000;
  restart();
  ASSERT_EQ(set(u"A", nv_bs_rt, "2"), EfiStatus::success);
  restart({.limits = limits, .write_ready = false});
  EXPECT_EQ(services().ready_to_boot().status(), EfiStatus::not_available_yet);
  EXPECT_TRUE(writes().empty());
  services().write_ready();
  EXPECT_TRUE(services().ready_to_boot());
  EXPECT_FALSE(writes().empty());
}

class EndOfDxe : public ServicesTest {};

TEST_F(EndOfDxe, BeginsTheBootPhase) {
  start({.options = {.phase = Phase::boot_early}});
  EXPECT_EQ(services().phase(), Phase::boot_early);
  EXPECT_TRUE(services().end_of_dxe());
  EXPECT_EQ(services().phase(), Phase::boot);
}

TEST_F(EndOfDxe, WithoutWritableFlashIsNotAvailableYetAndCanBeRepeated) {
  start({.options = {.phase = Phase::boot_early, .write_ready = false}});
  EXPECT_EQ(services().end_of_dxe().status(), EfiStatus::not_available_yet);
  // Checks begin all the same.
  EXPECT_EQ(set_global(u"Foo", bs, "1"), EfiStatus::invalid_parameter);
  services().write_ready();
  EXPECT_TRUE(services().end_of_dxe());
}

TEST_F(EndOfDxe, AtRuntimeIsUnsupported) {
  start({.options = {.phase = Phase::runtime}});
  EXPECT_EQ(services().end_of_dxe().status(), EfiStatus::unsupported);
  EXPECT_TRUE(writes().empty());
  EXPECT_EQ(services().phase(), Phase::runtime);
}

class ReadyToBoot : public ServicesTest {
 protected:
  ReadyToBoot() { start({.options = {.limits = distinct_limits()}}); }

  /// Leaves `bytes` to dead records.
  void waste(std::uint32_t bytes, bool errors = false) {
    while (bytes != 0) {
      // No rest is smaller than a record with its header.
      const std::uint32_t size = bytes > 0x180 ? 0x100 : bytes;
      const std::u16string_view name = errors ? u"HwErrRec0000" : u"A";
      const Guid guid = errors ? guids::hardware_error_variable : vendor;
      const std::uint32_t attributes = errors ? error_record : nv_bs_rt;
      const std::size_t overhead = 60 + 2 * (name.size() + 1);
      ASSERT_EQ(set(name, attributes, std::string(size - overhead, 'x'), guid), EfiStatus::success);
      ASSERT_EQ(set(name, attributes, "", guid), EfiStatus::success);
      bytes -= size;
    }
    writes();
  }
  bool erased() {
    const auto done = writes();
    return std::ranges::any_of(done, [](const std::string& w) { return w.starts_with('E'); });
  }

  static constexpr std::uint32_t common_space = store_capacity - 0x400;
  /// The larger of the maxima for variables in flash: that of authenticated ones.
  static constexpr std::uint32_t largest = 0x280;
};

TEST_F(ReadyToBoot, ReclaimsWhereLessThanTheLargestVariableFits) {
  waste(common_space - largest + 4);
  EXPECT_TRUE(services().ready_to_boot());
  EXPECT_TRUE(erased());
  EXPECT_EQ(services().store().usage().dead_records, 0U);
}

TEST_F(ReadyToBoot, DoesNothingWhereTheLargestVariableFits) {
  waste(common_space - largest);
  EXPECT_TRUE(services().ready_to_boot());
  EXPECT_TRUE(writes().empty());
}

TEST_F(ReadyToBoot, LeavesTheBoottimeReserveOutOfAccount) {
  Limits limits = distinct_limits();
  limits.boottime_reserved_size = 4;
  start({.options = {.limits = limits}});
  waste(common_space - largest);
  EXPECT_TRUE(services().ready_to_boot());
  EXPECT_TRUE(erased());
}

TEST_F(ReadyToBoot, ReclaimsWhereLessThanTheLargestHardwareErrorFits) {
  waste(0x400 - 0x300, true);
  EXPECT_TRUE(services().ready_to_boot());
  EXPECT_FALSE(erased());
  start({.options = {.limits = distinct_limits()}});
  waste(0x400 - 0x300 + 4, true);
  EXPECT_TRUE(services().ready_to_boot());
  EXPECT_TRUE(erased());
}

TEST_F(ReadyToBoot, IsDoneOnceABoot) {
  EXPECT_TRUE(services().ready_to_boot());
  waste(common_space - largest + 4);
  EXPECT_TRUE(services().ready_to_boot());
  EXPECT_TRUE(writes().empty());
}

class Idle : public ReadyToBoot {
 protected:
  /// Whether there was a reclaim; none where that is an error.
  bool reclaims() {
    const auto done = services().reclaim_when_idle();
    EXPECT_TRUE(done);
    EXPECT_EQ(done.value_or(false), erased());
    return done.value_or(false);
  }
};

TEST_F(Idle, ReclaimsWhereDeadRecordsHoldHalfOfTheSpace) {
  waste(store_capacity / 2 - 4);
  EXPECT_FALSE(reclaims());
  start({.options = {.limits = distinct_limits()}});
  waste(store_capacity / 2);
  EXPECT_TRUE(reclaims());
  EXPECT_EQ(services().store().usage().dead_records, 0U);
  EXPECT_FALSE(reclaims()) << "nothing is dead any more";
}

TEST_F(Idle, TheThresholdCanBeSet) {
  start({.options = {.limits = distinct_limits(), .idle_reclaim_percent = 10}});
  waste(store_capacity / 10 + 4);
  EXPECT_TRUE(reclaims());
}

TEST_F(Idle, AtStrictRuntimeNothingIsReclaimed) {
  start({.options = {.limits = distinct_limits(), .strict_runtime = true}});
  waste(store_capacity / 2);
  services().exit_boot_services();
  EXPECT_FALSE(reclaims());
}

TEST_F(Idle, BeforeTheFlashIsReadyNothingIsReclaimed) {
  waste(store_capacity / 2);
  restart({.limits = distinct_limits(), .write_ready = false});
  EXPECT_FALSE(reclaims());
}

TEST_F(ReadyToBoot, DoesTheWorkOfEndOfDxeFirst) {
  start({.options = {.phase = Phase::boot_early}});
  EXPECT_TRUE(services().ready_to_boot());
  EXPECT_EQ(services().phase(), Phase::boot);
  EXPECT_NE(listing().find("VarErrorFlag"), std::string::npos);
}

TEST_F(ReadyToBoot, AtRuntimeIsUnsupported) {
  services().exit_boot_services();
  EXPECT_EQ(services().ready_to_boot().status(), EfiStatus::unsupported);
}

class ExitBootServices : public ServicesTest {};

TEST_F(ExitBootServices, BeginsRuntimeFromEveryPhase) {
  for (const Phase phase : {Phase::boot_early, Phase::boot, Phase::runtime}) {
    start({.options = {.phase = phase}});
    services().exit_boot_services();
    EXPECT_EQ(services().phase(), Phase::runtime);
  }
}

TEST_F(ExitBootServices, LeavesBootOnlyVariablesInFlash) {
  start();
  ASSERT_EQ(set(u"A", nv_bs, "1"), EfiStatus::success);
  services().exit_boot_services();
  EXPECT_EQ(listing(), "");
  restart();
  EXPECT_EQ(listing(), "A=1");
}

}  // namespace
}  // namespace efistore::test
