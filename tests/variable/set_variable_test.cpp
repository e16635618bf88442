// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// SetVariable's checks of the request, one by one and in their order.
#include <string>

#include "efistore/variable/uefi_abi.hpp"

#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using variable::efi_set_variable;
using variable::Phase;

constexpr Guid error_guid = guids::hardware_error_variable;

std::string filled(std::size_t size) {
  return std::string(size, 'x');
}

class SetVariable : public ServicesTest {
 protected:
  SetVariable() { start({.options = {.limits = distinct_limits()}}); }
};

/// A store in the normal format, which has no authenticated variables.
class SetVariableInNormalFormat : public ServicesTest {
 protected:
  SetVariableInNormalFormat() {
    start({.options = {.limits = distinct_limits()}, .format = store::RecordFormat::normal});
  }
};

TEST_F(SetVariable, NullNameIsInvalidParameter) {
  EXPECT_EQ(efi_set_variable(services(), nullptr, &vendor, nv_bs_rt, 1, "1"),
            EfiStatus::invalid_parameter);
}

TEST_F(SetVariable, EmptyNameIsInvalidParameter) {
  EXPECT_EQ(efi_set_variable(services(), u"", &vendor, nv_bs_rt, 1, "1"),
            EfiStatus::invalid_parameter);
}

TEST_F(SetVariable, NullGuidIsInvalidParameter) {
  EXPECT_EQ(efi_set_variable(services(), u"A", nullptr, nv_bs_rt, 1, "1"),
            EfiStatus::invalid_parameter);
}

TEST_F(SetVariable, NullDataOfSizeOneIsInvalidParameter) {
  EXPECT_EQ(efi_set_variable(services(), u"A", &vendor, nv_bs_rt, 1, nullptr),
            EfiStatus::invalid_parameter);
}

TEST_F(SetVariable, NullDataOfSizeZeroDeletes) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(efi_set_variable(services(), u"A", &vendor, nv_bs_rt, 0, nullptr), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "EFI_NOT_FOUND");
}

TEST_F(SetVariable, NulInsideTheNameIsInvalidParameter) {
  EXPECT_EQ(set(std::u16string_view(u"A\0B", 3), nv_bs_rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(std::u16string_view(u"A\0", 2), nv_bs_rt, "1"), EfiStatus::invalid_parameter);
}

TEST_F(SetVariable, LoneSurrogateIsANameLikeAnyOther) {
  const std::u16string name{u'A', char16_t{0xd800}};
  EXPECT_EQ(set(name, nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(get(name), "1");
}

TEST_F(SetVariable, EveryUnsupportedAttributeBitIsInvalidParameter) {
  for (unsigned bit = 7; bit < 32; ++bit) {
    EXPECT_EQ(set(u"A", nv_bs_rt | (1U << bit), "1"), EfiStatus::invalid_parameter) << bit;
  }
}

TEST_F(SetVariable, RuntimeAccessWithoutBootServiceAccessIsInvalidParameter) {
  EXPECT_EQ(set(u"A", rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", nv | rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", nv | rt | at, "1"), EfiStatus::invalid_parameter);
}

TEST_F(SetVariable, RuntimeWithoutBootServiceAccessAndCountedAuthenticationIsUnsupported) {
  EXPECT_EQ(set(u"A", rt | aw, "1"), EfiStatus::unsupported);
  EXPECT_EQ(set(u"A", nv | rt | aw | at, "1"), EfiStatus::unsupported);
}

TEST_F(SetVariable, NonVolatileAloneIsInvalidParameter) {
  EXPECT_EQ(set(u"A", nv, "1"), EfiStatus::invalid_parameter);
  // With nothing else set it is no deletion either.
  EXPECT_EQ(set(u"A", nv, ""), EfiStatus::invalid_parameter);
}

TEST_F(SetVariable, NonVolatileAloneWithCountedAuthenticationIsUnsupported) {
  EXPECT_EQ(set(u"A", nv | aw, "1"), EfiStatus::unsupported);
}

TEST_F(SetVariable, CountedAuthenticationIsUnsupported) {
  EXPECT_EQ(set(u"A", nv_bs_rt | aw, "1"), EfiStatus::unsupported);
  EXPECT_EQ(set(u"A", nv_bs_rt | aw, filled(280)), EfiStatus::unsupported);
}

TEST_F(SetVariable, BothAuthenticationsAreUnsupported) {
  EXPECT_EQ(set(u"A", nv_bs_rt | aw | at, unsigned_auth2("1")), EfiStatus::unsupported);
}

TEST_F(SetVariableInNormalFormat, AuthenticationIsInvalidParameter) {
  EXPECT_EQ(set(u"A", nv_bs_rt | at, unsigned_auth2("1")), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", nv_bs_rt | aw, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", nv_bs_rt | aw | at, "1"), EfiStatus::invalid_parameter);
}

TEST_F(SetVariableInNormalFormat, CombinationOfAttributesIsCheckedBeforeAuthentication) {
  EXPECT_EQ(set(u"A", rt | aw, "1"), EfiStatus::unsupported);
}

TEST_F(SetVariable, HardwareErrorRecordWithoutStorageIsInvalidParameter) {
  start();
  EXPECT_EQ(set(u"HwErrRec0000", error_record, "1", error_guid), EfiStatus::invalid_parameter);
}

TEST_F(SetVariable, HardwareErrorRecordWithStorageIsStored) {
  EXPECT_EQ(set(u"HwErrRec0000", error_record, "1", error_guid), EfiStatus::success);
  EXPECT_EQ(get(u"HwErrRec0000", error_guid), "1");
}

TEST_F(SetVariable, HardwareErrorRecordWithoutNonVolatileIsCaughtByContentChecksOnly) {
  EXPECT_EQ(set(u"HwErrRec0000", bs_rt | hr, "1", error_guid), EfiStatus::invalid_parameter);
  start({.options = {.limits = distinct_limits(), .phase = Phase::boot_early}});
  EXPECT_EQ(set(u"HwErrRec0000", bs_rt | hr, "1", error_guid), EfiStatus::success);
  EXPECT_TRUE(writes().empty());
}

TEST_F(SetVariable, DescriptorShorterThan40BytesIsSecurityViolation) {
  const std::string descriptor = unsigned_auth2("");
  EXPECT_EQ(set(u"A", nv_bs_rt | at, ""), EfiStatus::security_violation);
  EXPECT_EQ(set(u"A", nv_bs_rt | at, descriptor.substr(0, 39)), EfiStatus::security_violation);
}

TEST_F(SetVariable, CertificateLengthBelow24IsSecurityViolation) {
  // Read-only, so that WRITE_PROTECTED shows where the descriptor's sizes are in order.
  std::string descriptor = unsigned_auth2("");
  EXPECT_EQ(set_global(u"SetupMode", bs_rt | at, descriptor), EfiStatus::write_protected);
  descriptor[16] = 23;
  EXPECT_EQ(set_global(u"SetupMode", bs_rt | at, descriptor), EfiStatus::security_violation);
}

TEST_F(SetVariable, CertificateLengthBeyondTheDataIsSecurityViolation) {
  std::string descriptor = unsigned_auth2("abc");
  descriptor[16] = 24 + 3;
  EXPECT_EQ(set_global(u"SetupMode", bs_rt | at, descriptor), EfiStatus::write_protected);
  descriptor[16] = 24 + 4;
  EXPECT_EQ(set_global(u"SetupMode", bs_rt | at, descriptor), EfiStatus::security_violation);
  descriptor.replace(16, 4, "\xff\xff\xff\xff");
  EXPECT_EQ(set_global(u"SetupMode", bs_rt | at, descriptor), EfiStatus::security_violation);
}

TEST_F(SetVariable, NonVolatileLimitIsExact) {
  // 60 bytes of header and 4 of name.
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(0x200 - 64)), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(0x200 - 63)), EfiStatus::invalid_parameter);
}

TEST_F(SetVariable, VolatileLimitIsExact) {
  EXPECT_EQ(set(u"A", bs_rt, filled(0x180 - 64)), EfiStatus::success);
  EXPECT_EQ(set(u"A", bs_rt, filled(0x180 - 63)), EfiStatus::invalid_parameter);
}

TEST_F(SetVariable, HardwareErrorLimitIsExact) {
  // 60 bytes of header and 26 of name.
  EXPECT_EQ(set(u"HwErrRec0000", error_record, filled(0x300 - 86), error_guid), EfiStatus::success);
  EXPECT_EQ(set(u"HwErrRec0001", error_record, filled(0x300 - 85), error_guid),
            EfiStatus::invalid_parameter);
}

TEST_F(SetVariable, AuthenticatedLimitIsExactAndCountsThePayloadOnly) {
  const std::uint32_t attributes = nv_bs_rt | at;
  EXPECT_EQ(set(u"A", attributes, unsigned_auth2(filled(0x280 - 64))),
            EfiStatus::security_violation);
  EXPECT_EQ(set(u"A", attributes, unsigned_auth2(filled(0x280 - 63))),
            EfiStatus::invalid_parameter);
}

TEST_F(SetVariable, AuthenticatedHardwareErrorRecordHasTheHardwareErrorLimit) {
  const std::uint32_t attributes = error_record | at;
  EXPECT_EQ(set(u"HwErrRec0000", attributes, unsigned_auth2(filled(0x300 - 85)), error_guid),
            EfiStatus::invalid_parameter);
  start({.options = {.limits = distinct_limits(), .phase = Phase::boot_early}});
  EXPECT_EQ(set(u"HwErrRec0000", attributes, unsigned_auth2(filled(0x300 - 86)), error_guid),
            EfiStatus::security_violation);
}

TEST_F(SetVariable, LongNameCountsAsMuchAsLongData) {
  const std::u16string name((0x200 - 60) / 2 - 1, u'N');
  EXPECT_EQ(set(name, nv_bs_rt, ""), EfiStatus::not_found);
  EXPECT_EQ(set(name, nv_bs_rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(name + u'N', nv_bs_rt, ""), EfiStatus::invalid_parameter);
}

TEST_F(SetVariableInNormalFormat, LimitsCountTheSmallerHeader) {
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(0x200 - 36)), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(0x200 - 35)), EfiStatus::invalid_parameter);
}

TEST_F(SetVariable, DeletionWithoutAccessHasTheVolatileLimit) {
  // Attributes 0 say nothing of the store, so EDK2 takes the volatile maximum.
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"A", 0, filled(0x180 - 63)), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", 0, filled(0x180 - 64)), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "EFI_NOT_FOUND");
}

TEST_F(SetVariable, OtherAttributesThanStoredAreInvalidParameter) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs, "2"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", bs_rt, "2"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", nv_bs | ap, "2"), EfiStatus::invalid_parameter);
  EXPECT_EQ(get(u"A"), "1");
}

TEST_F(SetVariable, DeletionWithOtherAttributesThanStoredIsInvalidParameter) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs, ""), EfiStatus::invalid_parameter);
  EXPECT_EQ(get(u"A"), "1");
}

TEST_F(SetVariable, AppendMayDifferFromTheStoredAttributes) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt | ap, "2"), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "12");
}

TEST_F(SetVariable, BootOnlyAtRuntimeIsWriteProtected) {
  ASSERT_EQ(set(u"A", nv_bs, "1"), EfiStatus::success);
  services().exit_boot_services();
  EXPECT_EQ(set(u"A", nv_bs, "2"), EfiStatus::write_protected);
  EXPECT_EQ(set(u"A", 0, ""), EfiStatus::write_protected);
}

// The order of the checks: what breaks two rules gets the status of the first.

class SetVariableOrder : public SetVariable {};

TEST_F(SetVariableOrder, NameBeforeAttributes) {
  EXPECT_EQ(set(u"", nv_bs_rt | aw, "1"), EfiStatus::invalid_parameter);
}

TEST_F(SetVariableOrder, UnsupportedBitBeforeCombination) {
  EXPECT_EQ(set(u"A", rt | aw | 0x80, "1"), EfiStatus::invalid_parameter);
}

TEST_F(SetVariableOrder, DescriptorBeforeSize) {
  std::string descriptor = unsigned_auth2(filled(0x1000));
  descriptor[16] = 0;
  EXPECT_EQ(set(u"A", nv_bs_rt | at, descriptor), EfiStatus::security_violation);
}

TEST_F(SetVariableOrder, SizeBeforeReadOnly) {
  EXPECT_EQ(set_global(u"SetupMode", bs_rt, filled(0x180)), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"SetupMode", bs_rt, "1"), EfiStatus::write_protected);
}

TEST_F(SetVariableOrder, SizeBeforeMemoryOverwriteLock) {
  const Guid lock = *Guid::parse("bb983ccf-151d-40e1-a07b-4a17be168292");
  EXPECT_EQ(set(u"MemoryOverwriteRequestControlLock", nv_bs_rt, filled(0x200), lock),
            EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"MemoryOverwriteRequestControlLock", nv_bs_rt, "", lock),
            EfiStatus::write_protected);
}

TEST_F(SetVariableOrder, ReadOnlyBeforeStoredAttributes) {
  start({.options = {.phase = Phase::boot_early}});
  ASSERT_EQ(set_global(u"SetupMode", bs_rt, "1"), EfiStatus::success);
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_EQ(set_global(u"SetupMode", bs, "1"), EfiStatus::write_protected);
}

TEST_F(SetVariableOrder, ContentBeforeBootOnlyAtRuntime) {
  start({.options = {.phase = Phase::boot_early}});
  ASSERT_EQ(set_global(u"Timeout", nv_bs, "12"), EfiStatus::success);
  services().exit_boot_services();
  EXPECT_EQ(set_global(u"Timeout", nv_bs, "12"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"Timeout", nv_bs_rt, "12"), EfiStatus::write_protected);
}

TEST_F(SetVariableOrder, BootOnlyAtRuntimeBeforeStoredAttributes) {
  ASSERT_EQ(set(u"A", nv_bs, "1"), EfiStatus::success);
  services().exit_boot_services();
  EXPECT_EQ(set(u"A", nv_bs_rt, "2"), EfiStatus::write_protected);
}

TEST_F(SetVariableOrder, StoredAttributesBeforeSignature) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt | at, unsigned_auth2("2")), EfiStatus::invalid_parameter);
}

TEST_F(SetVariableOrder, StoredAttributesBeforeVolatileAtRuntime) {
  ASSERT_EQ(set(u"A", bs_rt, "1"), EfiStatus::success);
  services().exit_boot_services();
  EXPECT_EQ(set(u"A", nv_bs_rt, "2"), EfiStatus::invalid_parameter);
}

TEST_F(SetVariableOrder, WriteReadyBeforeQuota) {
  variable::Limits limits = distinct_limits();
  limits.max_variable_size = 0x1000;
  start({.options = {.limits = limits, .write_ready = false}});
  EXPECT_EQ(set(u"A", nv_bs_rt, filled(3900)), EfiStatus::not_available_yet);
}

}  // namespace
}  // namespace efistore::test
