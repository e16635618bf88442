// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Space: the four quotas, the volatile store, and when a reclaim makes room.
#include <algorithm>

#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using variable::Limits;
using variable::Phase;

constexpr std::uint32_t hardware_storage = 0x400;
constexpr std::uint32_t common_space = store_capacity - hardware_storage;
/// Header, name of one character, NUL.
constexpr std::uint32_t overhead = 64;
/// The same for "HwErrRec0000".
constexpr std::uint32_t error_overhead = 86;

std::string filled(std::size_t size, char with = 'x') {
  return std::string(size, with);
}

Limits wide_limits() {
  return {.max_variable_size = 0x1000,
          .max_authenticated_size = 0x1000,
          .max_volatile_size = 0x1000,
          .max_hardware_error_size = 0x1000,
          .hardware_error_storage_size = hardware_storage,
          .volatile_store_size = 0x800};
}

class Quota : public ServicesTest {
 protected:
  Quota() { start({.options = {.limits = wide_limits()}}); }

  EfiStatus set_error(std::u16string_view name, std::size_t size) {
    return set(name, error_record, filled(size), guids::hardware_error_variable);
  }
  bool erased() {
    const auto done = writes();
    return std::ranges::any_of(done, [](const std::string& w) { return w.starts_with('E'); });
  }
  /// Leaves `bytes` of the common space to dead records; the first time, and from empty.
  void waste(std::uint32_t bytes) {
    ASSERT_EQ(set(u"W", nv_bs_rt, filled(bytes - overhead)), EfiStatus::success);
    ASSERT_EQ(set(u"W", nv_bs_rt, ""), EfiStatus::success);
    writes();
  }
};

TEST_F(Quota, CommonSpaceIsTheStoreWithoutTheHardwareErrorStorage) {
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(common_space - overhead + 1)), EfiStatus::out_of_resources);
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(common_space - overhead)), EfiStatus::success);
  EXPECT_EQ(set(u"B", nv_bs_rt, "1"), EfiStatus::out_of_resources);
}

TEST_F(Quota, WithoutHardwareErrorStorageTheStoreFillsToItsLastByte) {
  Limits limits = wide_limits();
  limits.hardware_error_storage_size = 0;
  start({.options = {.limits = limits}});
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(store_capacity - overhead + 1)),
            EfiStatus::out_of_resources);
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(store_capacity - overhead)), EfiStatus::success);
  restart({.limits = limits});
  EXPECT_EQ(get(u"A").size(), store_capacity - overhead);
}

TEST_F(Quota, NormalFormatFillsToItsLastByteAsWell) {
  Limits limits = wide_limits();
  limits.hardware_error_storage_size = 0;
  start({.options = {.limits = limits}, .format = store::RecordFormat::normal});
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(store_capacity - 36 + 1)), EfiStatus::out_of_resources);
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(store_capacity - 36)), EfiStatus::success);
}

TEST_F(Quota, CheckComparesTheBareSizeAndAccountingAddsThePaddedOne) {
  Limits limits = wide_limits();
  limits.hardware_error_storage_size = hardware_storage + 1;
  start({.options = {.limits = limits}});
  // Common space is one byte short of a multiple of 4, and so is this record.
  const std::uint32_t most = common_space - 1 - overhead;
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(most)), EfiStatus::success);
  EXPECT_EQ(services().store().usage().used, common_space);
  // A reclaim would have to fit the padded record.
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(most, 'y')), EfiStatus::out_of_resources);
}

TEST_F(Quota, HardwareErrorStorageIsExact) {
  EXPECT_EQ(set_error(u"HwErrRec0000", hardware_storage - error_overhead + 1),
            EfiStatus::out_of_resources);
  EXPECT_EQ(set_error(u"HwErrRec0000", hardware_storage - error_overhead), EfiStatus::success);
  EXPECT_EQ(set_error(u"HwErrRec0001", 1), EfiStatus::out_of_resources);
}

TEST_F(Quota, HardwareErrorsAndOthersDoNotTakeEachOthersSpace) {
  ASSERT_EQ(set_error(u"HwErrRec0000", hardware_storage - error_overhead), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(common_space - overhead)), EfiStatus::success);
  ASSERT_EQ(set(u"A", nv_bs_rt, ""), EfiStatus::success);
  ASSERT_EQ(set(u"A", nv_bs_rt, filled(common_space - overhead)), EfiStatus::success);
  EXPECT_EQ(set_error(u"HwErrRec0001", 1), EfiStatus::out_of_resources);
}

TEST_F(Quota, HardwareErrorReclaimDropsTheOldRecord) {
  ASSERT_EQ(set_error(u"HwErrRec0000", 800), EfiStatus::success);
  writes();
  EXPECT_EQ(set_error(u"HwErrRec0000", 801), EfiStatus::success);
  EXPECT_TRUE(erased());
  EXPECT_EQ(services().store().usage().hardware_error_used, padded_size(u"HwErrRec0000", 801));
}

TEST_F(Quota, BoottimeReserveIsOutOfReachAtRuntime) {
  Limits limits = wide_limits();
  limits.boottime_reserved_size = 0x200;
  for (const bool strict : {false, true}) {
    start({.options = {.limits = limits, .strict_runtime = strict}});
    services().exit_boot_services();
    const std::uint32_t most = common_space - 0x200 - overhead;
    EXPECT_EQ(set(u"A", nv_bs_rt, filled(most + 1)), EfiStatus::out_of_resources);
    EXPECT_EQ(set(u"A", nv_bs_rt, filled(most)), EfiStatus::success);
  }
}

TEST_F(Quota, BoottimeReserveIsThereForBoot) {
  Limits limits = wide_limits();
  limits.boottime_reserved_size = 0x200;
  start({.options = {.limits = limits}});
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(common_space - overhead)), EfiStatus::success);
}

class UserQuota : public Quota {
 protected:
  static constexpr std::uint32_t user_space = 0x200;

  static Limits limits() {
    Limits limited = wide_limits();
    limited.max_user_non_volatile_size = user_space;
    return limited;
  }
  UserQuota() { start({.options = {.limits = limits()}}); }
};

TEST_F(UserQuota, IsExact) {
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(user_space - overhead + 1)), EfiStatus::out_of_resources);
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(user_space - overhead)), EfiStatus::success);
  EXPECT_EQ(set(u"B", nv_bs_rt, "1"), EfiStatus::out_of_resources);
}

TEST_F(UserQuota, VariablesWithAPropertyAreNotCounted) {
  EXPECT_EQ(set_global(u"BootOrder", nv_bs_rt, filled(user_space)), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(user_space - overhead)), EfiStatus::success);
  EXPECT_EQ(set_global(u"Timeout", nv_bs_rt, "12"), EfiStatus::success);
}

TEST_F(UserQuota, HardwareErrorsAreNotCounted) {
  EXPECT_EQ(set_error(u"HwErrRec0000", user_space), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(user_space - overhead)), EfiStatus::success);
}

TEST_F(UserQuota, BeforeEndOfDxeNobodyIsAUser) {
  start({.options = {.limits = limits(), .phase = Phase::boot_early}});
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(2 * user_space)), EfiStatus::success);
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_EQ(set(u"B", nv_bs_rt, "1"), EfiStatus::out_of_resources);
}

TEST_F(UserQuota, WhatIsThereAtStartCounts) {
  ASSERT_EQ(set(u"A", nv_bs_rt, filled(user_space - overhead)), EfiStatus::success);
  restart({.limits = limits()});
  EXPECT_EQ(set(u"B", nv_bs_rt, "1"), EfiStatus::out_of_resources);
}

TEST_F(UserQuota, DeadUserRecordsGoInAReclaim) {
  ASSERT_EQ(set(u"A", nv_bs_rt, filled(user_space - overhead)), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(user_space - overhead, 'y')), EfiStatus::success);
  EXPECT_TRUE(erased());
}

TEST_F(UserQuota, StrictRuntimeNeverReclaims) {
  start({.options = {.limits = limits(), .strict_runtime = true}});
  ASSERT_EQ(set(u"A", nv_bs_rt, filled(user_space - overhead)), EfiStatus::success);
  services().exit_boot_services();
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(user_space - overhead, 'y')), EfiStatus::out_of_resources);
  EXPECT_FALSE(erased());
}

class Reclaim : public Quota {};

TEST_F(Reclaim, AtBootTakesTheNewRecordAlong) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  waste(2800);
  EXPECT_EQ(set(u"B", nv_bs_rt, filled(200)), EfiStatus::success);
  EXPECT_TRUE(erased());
  const store::Usage& usage = services().store().usage();
  EXPECT_EQ(usage.dead_records, 0U);
  EXPECT_EQ(usage.used, padded_size(u"A", 1) + padded_size(u"B", 200));
  restart({.limits = wide_limits()});
  EXPECT_EQ(listing(), "A=1 B=" + filled(200));
}

TEST_F(Reclaim, AtBootReplacesTheUpdatedRecord) {
  ASSERT_EQ(set(u"A", nv_bs_rt, filled(2000)), EfiStatus::success);
  ASSERT_EQ(set(u"B", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(common_space - overhead - padded_size(u"B", 1))),
            EfiStatus::success);
  EXPECT_EQ(services().store().usage().used, common_space);
  EXPECT_EQ(services().store().usage().dead_records, 0U);
}

TEST_F(Reclaim, AtBootIsNotTriedWhereItCannotHelp) {
  ASSERT_EQ(set(u"A", nv_bs_rt, filled(2000)), EfiStatus::success);
  writes();
  EXPECT_EQ(set(u"B", nv_bs_rt, filled(1000)), EfiStatus::out_of_resources);
  EXPECT_TRUE(writes().empty());
  EXPECT_EQ(get(u"A").size(), 2000U);
}

TEST_F(Reclaim, FailedUpdateLeavesTheOldRecordUntouched) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  const Bytes before = image();
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(3000)), EfiStatus::out_of_resources);
  EXPECT_EQ(image(), before);
}

TEST_F(Reclaim, AtRuntimeMakesRoom) {
  waste(2900);
  services().exit_boot_services();
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(200)), EfiStatus::success);
  EXPECT_TRUE(erased());
}

TEST_F(Reclaim, AtRuntimeKeepsBootOnlyVariables) {
  ASSERT_EQ(set(u"B", nv_bs, "boot"), EfiStatus::success);
  waste(2800);
  services().exit_boot_services();
  ASSERT_EQ(set(u"A", nv_bs_rt, filled(200)), EfiStatus::success);
  ASSERT_TRUE(erased());
  restart({.limits = wide_limits()});
  EXPECT_EQ(get(u"B"), "boot");
}

TEST_F(Reclaim, AtStrictRuntimeNever) {
  start({.options = {.limits = wide_limits(), .strict_runtime = true}});
  waste(2900);
  services().exit_boot_services();
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(200)), EfiStatus::out_of_resources);
  EXPECT_TRUE(writes().empty());
  // Up to the last byte it works.
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(common_space - 2900 - overhead)), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt, ""), EfiStatus::success);
  // The next boot may reclaim again.
  restart({.limits = wide_limits(), .strict_runtime = true});
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(200)), EfiStatus::success);
}

class VolatileStore : public Quota {
 protected:
  /// 0x800 bytes with a store header of 28.
  static constexpr std::uint32_t space = 0x800 - 28;
};

TEST_F(VolatileStore, FillsToItsLastByte) {
  EXPECT_EQ(set(u"A", bs, filled(space - overhead + 1)), EfiStatus::out_of_resources);
  EXPECT_EQ(set(u"A", bs, filled(space - overhead)), EfiStatus::success);
  EXPECT_EQ(set(u"B", bs, "1"), EfiStatus::out_of_resources);
  EXPECT_EQ(set(u"C", nv_bs, "1"), EfiStatus::success);
}

TEST_F(VolatileStore, ReclaimsDeadRecords) {
  ASSERT_EQ(set(u"A", bs, filled(1000)), EfiStatus::success);
  ASSERT_EQ(set(u"B", bs_rt, "1"), EfiStatus::success);
  ASSERT_EQ(set(u"A", bs, ""), EfiStatus::success);
  EXPECT_EQ(set(u"C", bs, filled(1500)), EfiStatus::success);
  EXPECT_EQ(listing(), "B=1 C=" + filled(1500));
  EXPECT_TRUE(writes().empty());
}

TEST_F(VolatileStore, ReclaimReplacesTheUpdatedRecord) {
  ASSERT_EQ(set(u"A", bs, filled(space - overhead)), EfiStatus::success);
  EXPECT_EQ(set(u"A", bs, filled(space - overhead, 'y')), EfiStatus::success);
  EXPECT_EQ(get(u"A"), filled(space - overhead, 'y'));
}

TEST_F(VolatileStore, FailedUpdateLeavesTheOldValue) {
  ASSERT_EQ(set(u"A", bs, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"A", bs | ap, filled(space - overhead)), EfiStatus::out_of_resources);
  EXPECT_EQ(get(u"A"), "1");
}

}  // namespace
}  // namespace efistore::test
