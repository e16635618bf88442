// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include <string>

#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using variable::Limits;
using variable::Phase;

constexpr Guid flag_guid = *Guid::parse("04b37fe8-f6ae-480b-bdd5-37d98c5e89aa");
constexpr std::uint32_t user_space = 0x400;

Limits limits() {
  return {.max_variable_size = 0x1000,
          .max_authenticated_size = 0x1000,
          .max_volatile_size = 0x1000,
          .max_hardware_error_size = 0x1000,
          .hardware_error_storage_size = 0x100,
          .max_user_non_volatile_size = user_space,
          .volatile_store_size = 0x100};
}

Limits limits_without_user_quota() {
  Limits unlimited = limits();
  unlimited.max_user_non_volatile_size = 0;
  return unlimited;
}

class VarErrorFlag : public ServicesTest {
 protected:
  VarErrorFlag() { begin({.limits = limits(), .phase = Phase::boot_early}); }

  /// A fresh store; its first record is the flag.
  void begin(const variable::Options& options) {
    start({.options = options});
    ASSERT_TRUE(services().end_of_dxe());
    writes();
  }
  /// Its value in hex, or the status' name.
  std::string flag() const {
    const std::string value = get(u"VarErrorFlag", flag_guid);
    return value.size() == 1 ? to_hex(as_bytes(value)) : value;
  }
  EfiStatus set_system(std::size_t size) {
    return set_global(u"BootOrder", nv_bs_rt, std::string(size, 'x'));
  }
  EfiStatus set_user(std::size_t size) { return set(u"A", nv_bs_rt, std::string(size, 'x')); }
};

TEST_F(VarErrorFlag, EndOfDxeCreatesItWithoutErrors) {
  EXPECT_EQ(flag(), "ff");
  EXPECT_EQ(services().get(u"VarErrorFlag", flag_guid)->attributes, nv_bs_rt);
}

TEST_F(VarErrorFlag, DoesNotExistBeforeEndOfDxe) {
  start({.options = {.limits = limits(), .phase = Phase::boot_early}});
  EXPECT_EQ(flag(), "EFI_NOT_FOUND");
  EXPECT_EQ(set_system(0xf00), EfiStatus::out_of_resources);
  EXPECT_EQ(flag(), "EFI_NOT_FOUND");
}

TEST_F(VarErrorFlag, ErrorsBeforeEndOfDxeAppearWithIt) {
  start({.options = {.limits = limits(), .phase = Phase::boot_early}});
  ASSERT_EQ(set_system(0xf00), EfiStatus::out_of_resources);
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_EQ(flag(), "ef");
}

TEST_F(VarErrorFlag, LackOfCommonSpaceIsASystemErrorProgrammedInPlace) {
  EXPECT_EQ(set_system(0xf00), EfiStatus::out_of_resources);
  EXPECT_EQ(flag(), "ef");
  // Header of 60 bytes, name of 26.
  EXPECT_EQ(writes(), std::vector<std::string>{fmt::format("P {:x} ef", first_record + 86)});
}

TEST_F(VarErrorFlag, SameErrorAgainIsNoWrite) {
  ASSERT_EQ(set_system(0xf00), EfiStatus::out_of_resources);
  writes();
  ASSERT_EQ(set_system(0xf00), EfiStatus::out_of_resources);
  EXPECT_TRUE(writes().empty());
}

TEST_F(VarErrorFlag, LackOfUserSpaceIsAUserError) {
  EXPECT_EQ(set_user(user_space), EfiStatus::out_of_resources);
  EXPECT_EQ(flag(), "fe");
  EXPECT_EQ(writes().size(), 1U);
}

TEST_F(VarErrorFlag, LackOfBothIsBoth) {
  EXPECT_EQ(set_user(0xf00), EfiStatus::out_of_resources);
  EXPECT_EQ(flag(), "ee");
}

TEST_F(VarErrorFlag, WithoutUserQuotaThereIsNoUserError) {
  begin({.limits = limits_without_user_quota(), .phase = Phase::boot_early});
  EXPECT_EQ(set_user(0xf00), EfiStatus::out_of_resources);
  EXPECT_EQ(flag(), "ef");
  begin(
      {.limits = limits_without_user_quota(), .phase = Phase::boot_early, .strict_runtime = true});
  services().exit_boot_services();
  EXPECT_EQ(set_user(0xf00), EfiStatus::out_of_resources);
  EXPECT_EQ(flag(), "ef");
}

TEST_F(VarErrorFlag, AtStrictRuntimeErrorsAreNotedToo) {
  begin({.limits = limits(), .phase = Phase::boot_early, .strict_runtime = true});
  services().exit_boot_services();
  EXPECT_EQ(set_user(user_space), EfiStatus::out_of_resources);
  EXPECT_EQ(flag(), "fe");
  EXPECT_EQ(set_system(0xf00), EfiStatus::out_of_resources);
  EXPECT_EQ(flag(), "ee");
}

TEST_F(VarErrorFlag, FullHardwareErrorStorageIsNoError) {
  EXPECT_EQ(
      set(u"HwErrRec0000", error_record, std::string(0x100, 'x'), guids::hardware_error_variable),
      EfiStatus::out_of_resources);
  EXPECT_EQ(flag(), "ff");
}

TEST_F(VarErrorFlag, FullVolatileStoreIsNoError) {
  EXPECT_EQ(set(u"A", bs, std::string(0x100, 'x')), EfiStatus::out_of_resources);
  EXPECT_EQ(flag(), "ff");
}

TEST_F(VarErrorFlag, SurvivesUntilTheNextEndOfDxe) {
  ASSERT_EQ(set_system(0xf00), EfiStatus::out_of_resources);
  restart({.limits = limits(), .phase = Phase::boot_early});
  EXPECT_EQ(flag(), "ef");
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_EQ(flag(), "ff");
}

TEST_F(VarErrorFlag, SecondEndOfDxeIsNoWrite) {
  ASSERT_EQ(set_system(0xf00), EfiStatus::out_of_resources);
  writes();
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_TRUE(writes().empty());
  EXPECT_EQ(flag(), "ef");
}

TEST_F(VarErrorFlag, TakesThePlaceOfAVolatileVariableOfItsName) {
  start({.options = {.limits = limits(), .phase = Phase::boot_early}});
  ASSERT_EQ(set(u"VarErrorFlag", bs, "volatile", flag_guid), EfiStatus::success);
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_EQ(flag(), "ff");
  EXPECT_EQ(services().get(u"VarErrorFlag", flag_guid)->attributes, nv_bs_rt);
}

TEST_F(VarErrorFlag, OtherSizesThanOneByteAreReplaced) {
  start({.options = {.limits = limits(), .phase = Phase::boot_early}});
  ASSERT_EQ(set(u"VarErrorFlag", nv_bs_rt, "12", flag_guid), EfiStatus::success);
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_EQ(flag(), "ff");
}

}  // namespace
}  // namespace efistore::test
