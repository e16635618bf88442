// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/variable/uefi_abi.hpp"

#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using variable::efi_query_variable_info;
using variable::Limits;
using variable::Phase;
using variable::VariableInfo;

constexpr std::uint32_t hardware_storage = 0x400;
constexpr std::uint32_t common_space = store_capacity - hardware_storage;
constexpr std::uint32_t header = 60;

class QueryVariableInfo : public ServicesTest {
 protected:
  QueryVariableInfo() { start({.options = {.limits = distinct_limits()}}); }

  EfiStatus query(std::uint32_t attributes) const { return services().query(attributes).status(); }
  VariableInfo info(std::uint32_t attributes) const {
    const auto answer = services().query(attributes);
    EXPECT_TRUE(answer) << attributes;
    return answer.value_or(VariableInfo{});
  }
};

TEST_F(QueryVariableInfo, NullPointersAreInvalidParameter) {
  std::uint64_t value = 0;
  EXPECT_EQ(efi_query_variable_info(services(), nv_bs_rt, nullptr, &value, &value),
            EfiStatus::invalid_parameter);
  EXPECT_EQ(efi_query_variable_info(services(), nv_bs_rt, &value, nullptr, &value),
            EfiStatus::invalid_parameter);
  EXPECT_EQ(efi_query_variable_info(services(), nv_bs_rt, &value, &value, nullptr),
            EfiStatus::invalid_parameter);
}

TEST_F(QueryVariableInfo, GivesThreeFigures) {
  std::uint64_t storage = 0;
  std::uint64_t remaining = 0;
  std::uint64_t size = 0;
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(efi_query_variable_info(services(), nv_bs_rt, &storage, &remaining, &size),
            EfiStatus::success);
  EXPECT_EQ(storage, common_space);
  EXPECT_EQ(remaining, common_space - padded_size(u"A", 1));
  EXPECT_EQ(size, 0x200 - header);
}

TEST_F(QueryVariableInfo, ErrorLeavesTheFiguresAlone) {
  std::uint64_t value = 77;
  EXPECT_EQ(efi_query_variable_info(services(), nv, &value, &value, &value),
            EfiStatus::invalid_parameter);
  EXPECT_EQ(value, 77U);
}

TEST_F(QueryVariableInfo, NoAttributesAreInvalidParameter) {
  EXPECT_EQ(query(0), EfiStatus::invalid_parameter);
}

TEST_F(QueryVariableInfo, CountedAuthenticationIsUnsupportedBeforeAllElse) {
  EXPECT_EQ(query(nv_bs_rt | aw), EfiStatus::unsupported);
  EXPECT_EQ(query(rt | aw), EfiStatus::unsupported);
  EXPECT_EQ(query(aw), EfiStatus::unsupported);
}

TEST_F(QueryVariableInfo, NoKnownAttributeIsUnsupported) {
  EXPECT_EQ(query(0x80), EfiStatus::unsupported);
  EXPECT_EQ(query(0x80000000), EfiStatus::unsupported);
}

TEST_F(QueryVariableInfo, UnknownAttributesBesideKnownOnesAreIgnored) {
  EXPECT_EQ(info(nv_bs_rt | 0x80).maximum_storage_size, common_space);
  EXPECT_EQ(query(nv | 0x80), EfiStatus::invalid_parameter);
}

TEST_F(QueryVariableInfo, NonVolatileAloneIsInvalidParameter) {
  EXPECT_EQ(query(nv), EfiStatus::invalid_parameter);
}

TEST_F(QueryVariableInfo, RuntimeWithoutBootServiceAccessIsInvalidParameter) {
  EXPECT_EQ(query(rt), EfiStatus::invalid_parameter);
  EXPECT_EQ(query(nv | rt), EfiStatus::invalid_parameter);
}

TEST_F(QueryVariableInfo, HardwareErrorWithoutNonVolatileIsInvalidParameter) {
  EXPECT_EQ(query(bs_rt | hr), EfiStatus::invalid_parameter);
  EXPECT_EQ(query(hr), EfiStatus::invalid_parameter);
}

TEST_F(QueryVariableInfo, AtRuntimeWithoutRuntimeAccessIsInvalidParameter) {
  services().exit_boot_services();
  EXPECT_EQ(query(nv_bs), EfiStatus::invalid_parameter);
  EXPECT_EQ(query(ap), EfiStatus::invalid_parameter);
  EXPECT_EQ(query(nv_bs_rt), EfiStatus::success);
}

TEST_F(QueryVariableInfo, AppendAloneIsSuccessAndMeansTheVolatileStore) {
  EXPECT_EQ(info(ap).maximum_storage_size, 0x800 - 28U);
}

TEST_F(QueryVariableInfo, TimeBasedAuthenticationInNormalFormatIsUnsupported) {
  EXPECT_EQ(query(nv_bs_rt | at), EfiStatus::success);
  start({.format = store::RecordFormat::normal});
  EXPECT_EQ(query(nv_bs_rt | at), EfiStatus::unsupported);
}

TEST_F(QueryVariableInfo, HardwareErrorWithoutStorageIsUnsupported) {
  start();
  EXPECT_EQ(query(error_record), EfiStatus::unsupported);
}

TEST_F(QueryVariableInfo, MaximumVariableSizeIsTheLimitWithoutTheHeader) {
  EXPECT_EQ(info(nv_bs_rt).maximum_variable_size, 0x200 - header);
  EXPECT_EQ(info(nv_bs_rt | at).maximum_variable_size, 0x280 - header);
  EXPECT_EQ(info(bs_rt).maximum_variable_size, 0x180 - header);
  EXPECT_EQ(info(error_record).maximum_variable_size, 0x300 - header);
}

TEST_F(QueryVariableInfo, NormalFormatHasTheSmallerHeader) {
  start({.options = {.limits = distinct_limits()}, .format = store::RecordFormat::normal});
  EXPECT_EQ(info(nv_bs_rt).maximum_variable_size, 0x200 - 32U);
}

TEST_F(QueryVariableInfo, HardwareErrorStorageIsItsOwn) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  ASSERT_EQ(set(u"HwErrRec0000", error_record, "1", guids::hardware_error_variable),
            EfiStatus::success);
  const VariableInfo errors = info(error_record);
  EXPECT_EQ(errors.maximum_storage_size, hardware_storage);
  EXPECT_EQ(errors.remaining_storage_size, hardware_storage - padded_size(u"HwErrRec0000", 1));
  EXPECT_EQ(info(nv_bs_rt).remaining_storage_size, common_space - padded_size(u"A", 1));
}

TEST_F(QueryVariableInfo, MaximumVariableSizeIsCappedByWhatRemains) {
  Limits limits = distinct_limits();
  limits.max_variable_size = 0x1000;
  start({.options = {.limits = limits}});
  ASSERT_EQ(set(u"A", nv_bs_rt, std::string(common_space - 64 - 100, 'x')), EfiStatus::success);
  EXPECT_EQ(info(nv_bs_rt).remaining_storage_size, 100U);
  EXPECT_EQ(info(nv_bs_rt).maximum_variable_size, 100 - header);
  ASSERT_EQ(set(u"A", nv_bs_rt, std::string(common_space - 64 - 56, 'x')), EfiStatus::success);
  EXPECT_EQ(info(nv_bs_rt).remaining_storage_size, 56U);
  EXPECT_EQ(info(nv_bs_rt).maximum_variable_size, 0U);
}

TEST_F(QueryVariableInfo, AtBootDeadRecordsAreFree) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  ASSERT_EQ(set(u"A", nv_bs_rt, ""), EfiStatus::success);
  ASSERT_EQ(set(u"B", bs_rt, "1"), EfiStatus::success);
  ASSERT_EQ(set(u"B", bs_rt, ""), EfiStatus::success);
  EXPECT_EQ(info(nv_bs_rt).remaining_storage_size, common_space);
  EXPECT_EQ(info(bs_rt).remaining_storage_size, 0x800 - 28U);
}

TEST_F(QueryVariableInfo, AtStrictRuntimeDeadRecordsCount) {
  start({.options = {.limits = distinct_limits(), .strict_runtime = true}});
  const Guid error_guid = guids::hardware_error_variable;
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  ASSERT_EQ(set(u"A", nv_bs_rt, ""), EfiStatus::success);
  ASSERT_EQ(set(u"HwErrRec0000", error_record, "1", error_guid), EfiStatus::success);
  ASSERT_EQ(set(u"HwErrRec0000", error_record, "", error_guid), EfiStatus::success);
  services().exit_boot_services();
  EXPECT_EQ(info(nv_bs_rt).remaining_storage_size, common_space - padded_size(u"A", 1));
  EXPECT_EQ(info(error_record).remaining_storage_size,
            hardware_storage - padded_size(u"HwErrRec0000", 1));
}

TEST_F(QueryVariableInfo, AtRuntimeDeadRecordsAreFreeWhereAReclaimCanFollow) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  ASSERT_EQ(set(u"A", nv_bs_rt, ""), EfiStatus::success);
  services().exit_boot_services();
  EXPECT_EQ(info(nv_bs_rt).remaining_storage_size, common_space);
}

TEST_F(QueryVariableInfo, AtRuntimeDeadVolatileRecordsCount) {
  ASSERT_EQ(set(u"A", bs_rt, "1"), EfiStatus::success);
  ASSERT_EQ(set(u"A", bs_rt, ""), EfiStatus::success);
  services().exit_boot_services();
  EXPECT_EQ(info(bs_rt).remaining_storage_size, 0x800 - 28U - padded_size(u"A", 1));
}

TEST_F(QueryVariableInfo, AtRuntimeTheBoottimeReserveIsGone) {
  Limits limits = distinct_limits();
  limits.boottime_reserved_size = 0x100;
  start({.options = {.limits = limits}});
  EXPECT_EQ(info(nv_bs_rt).maximum_storage_size, common_space);
  services().exit_boot_services();
  EXPECT_EQ(info(nv_bs_rt).maximum_storage_size, common_space - 0x100);
  EXPECT_EQ(info(nv_bs_rt).remaining_storage_size, common_space - 0x100);
}

TEST_F(QueryVariableInfo, NothingRemainsWhereBootUsedTheReserve) {
  Limits limits = distinct_limits();
  limits.max_variable_size = 0x1000;
  limits.boottime_reserved_size = 0x100;
  start({.options = {.limits = limits}});
  ASSERT_EQ(set(u"A", nv_bs_rt, std::string(common_space - 64 - 0x80, 'x')), EfiStatus::success);
  services().exit_boot_services();
  EXPECT_EQ(info(nv_bs_rt).remaining_storage_size, 0U);
  EXPECT_EQ(info(nv_bs_rt).maximum_variable_size, 0U);
}

}  // namespace
}  // namespace efistore::test
