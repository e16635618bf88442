// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The four modes of secure boot and the variables that show them.
#include "variable/signed_fixture.hpp"

namespace efistore::test {
namespace {

using variable::Phase;
using variable::SecureBootMode;

constexpr Guid global = guids::global_variable;

/// What a user of the firmware's setup screen may.
constexpr variable::Options at_the_machine{.physically_present = true};

class SecureBoot : public SignedTest {
 protected:
  SecureBoot() { EXPECT_TRUE(services().start_secure_boot()); }

  void boot_again(const variable::Options& options = {}) {
    restart(options);
    ASSERT_TRUE(services().start_secure_boot());
  }
  EfiStatus set_mode(std::u16string_view name, char value) {
    return set_global(name, bs_rt, std::string(1, value));
  }
  EfiStatus delete_platform_key() { return set_signed(signer("PK"), u"PK", global, "", 50); }
  EfiStatus enroll_platform_key() { return set_unsigned(u"PK", global, key_list(signer("PK")), 1); }
};

TEST_F(SecureBoot, BeforeItStartsThereAreNoVariables) {
  start();
  EXPECT_EQ(get_global(u"SetupMode"), "EFI_NOT_FOUND");
  EXPECT_EQ(services().secure_boot_mode(), SecureBootMode::setup);
}

TEST_F(SecureBoot, ABlankStoreIsInSetupModeAndNothingIsWritten) {
  EXPECT_EQ(modes(), "SetupMode=1 SecureBoot=0 AuditMode=0 DeployedMode=0 ");
  EXPECT_EQ(get_global(u"VendorKeys"), "\1");
  EXPECT_EQ(services().get(u"SetupMode", global)->attributes, bs_rt);
  EXPECT_TRUE(writes().empty());
}

TEST_F(SecureBoot, SignatureSupportListsTheTypes) {
  EXPECT_EQ(get_global(u"SignatureSupport").size() % 16, 0U);
  EXPECT_EQ(get_global(u"SignatureSupport").substr(0, 16),
            std::string("\x12\xa5\x6c\x82\x10\xcf\xc9\x4a\xb1\x87\xbe\x01\x49\x66\x31\xbd", 16));
}

TEST_F(SecureBoot, APlatformKeyMakesUserMode) {
  enroll();
  EXPECT_EQ(services().secure_boot_mode(), SecureBootMode::user);
  EXPECT_EQ(modes(), "SetupMode=0 SecureBoot=1 AuditMode=0 DeployedMode=0 ");
  EXPECT_EQ(get(u"SecureBootEnable", secure_boot_enable), "\1");
  boot_again();
  EXPECT_EQ(modes(), "SetupMode=0 SecureBoot=1 AuditMode=0 DeployedMode=0 ");
}

TEST_F(SecureBoot, DeletingThePlatformKeyMakesSetupMode) {
  enroll();
  ASSERT_EQ(delete_platform_key(), EfiStatus::success);
  EXPECT_EQ(modes(), "SetupMode=1 SecureBoot=0 AuditMode=0 DeployedMode=0 ");
  EXPECT_EQ(get(u"SecureBootEnable", secure_boot_enable), "EFI_NOT_FOUND");
  EXPECT_EQ(get_global(u"KEK"), key_list(signer("KEK")));
}

TEST_F(SecureBoot, ReplacingThePlatformKeyChangesNoMode) {
  enroll();
  ASSERT_EQ(set_signed(signer("PK"), u"PK", global, key_list(signer("PK 2")), 2),
            EfiStatus::success);
  EXPECT_EQ(modes(), "SetupMode=0 SecureBoot=1 AuditMode=0 DeployedMode=0 ");
}

TEST_F(SecureBoot, AtRuntimeSecureBootKeepsWhatItWasAtBoot) {
  restart({.phase = Phase::boot});
  ASSERT_TRUE(services().start_secure_boot());
  services().exit_boot_services();
  ASSERT_EQ(enroll_platform_key(), EfiStatus::success);
  EXPECT_EQ(modes(), "SetupMode=0 SecureBoot=0 AuditMode=0 DeployedMode=0 ");
  EXPECT_EQ(set_mode(u"AuditMode", 1), EfiStatus::write_protected);
  EXPECT_EQ(set_mode(u"DeployedMode", 1), EfiStatus::write_protected);
  boot_again();
  EXPECT_EQ(modes(), "SetupMode=0 SecureBoot=1 AuditMode=0 DeployedMode=0 ");
}

TEST_F(SecureBoot, SetupModeGoesToAuditModeAndThatToDeployedMode) {
  ASSERT_EQ(set_mode(u"AuditMode", 1), EfiStatus::success);
  EXPECT_EQ(modes(), "SetupMode=1 SecureBoot=0 AuditMode=1 DeployedMode=0 ");
  boot_again();
  EXPECT_EQ(services().secure_boot_mode(), SecureBootMode::audit);
  EXPECT_EQ(set_mode(u"AuditMode", 0), EfiStatus::write_protected);
  EXPECT_EQ(set_mode(u"DeployedMode", 1), EfiStatus::write_protected);
  ASSERT_EQ(enroll_platform_key(), EfiStatus::success);
  EXPECT_EQ(modes(), "SetupMode=0 SecureBoot=1 AuditMode=0 DeployedMode=1 ");
  boot_again();
  EXPECT_EQ(modes(), "SetupMode=0 SecureBoot=1 AuditMode=0 DeployedMode=1 ");
}

TEST_F(SecureBoot, UserModeGoesToAuditModeAndLosesThePlatformKey) {
  enroll();
  ASSERT_EQ(set_mode(u"AuditMode", 1), EfiStatus::success);
  EXPECT_EQ(get_global(u"PK"), "EFI_NOT_FOUND");
  EXPECT_EQ(modes(), "SetupMode=1 SecureBoot=0 AuditMode=1 DeployedMode=0 ");
}

TEST_F(SecureBoot, UserModeGoesToDeployedMode) {
  enroll();
  ASSERT_EQ(set_mode(u"DeployedMode", 1), EfiStatus::success);
  EXPECT_EQ(modes(), "SetupMode=0 SecureBoot=1 AuditMode=0 DeployedMode=1 ");
  EXPECT_EQ(set_mode(u"AuditMode", 1), EfiStatus::write_protected);
  EXPECT_EQ(set_mode(u"DeployedMode", 0), EfiStatus::write_protected);
  boot_again();
  EXPECT_EQ(modes(), "SetupMode=0 SecureBoot=1 AuditMode=0 DeployedMode=1 ");
}

TEST_F(SecureBoot, SomebodyAtTheMachineLeavesDeployedMode) {
  enroll();
  ASSERT_EQ(set_mode(u"DeployedMode", 1), EfiStatus::success);
  boot_again(at_the_machine);
  ASSERT_EQ(set_mode(u"DeployedMode", 0), EfiStatus::success);
  boot_again();
  EXPECT_EQ(modes(), "SetupMode=0 SecureBoot=1 AuditMode=0 DeployedMode=0 ");
}

TEST_F(SecureBoot, DeletingThePlatformKeyEndsDeployedMode) {
  enroll();
  ASSERT_EQ(set_mode(u"DeployedMode", 1), EfiStatus::success);
  ASSERT_EQ(delete_platform_key(), EfiStatus::success);
  EXPECT_EQ(modes(), "SetupMode=1 SecureBoot=0 AuditMode=0 DeployedMode=0 ");
  ASSERT_EQ(enroll_platform_key(), EfiStatus::success);
  EXPECT_EQ(services().secure_boot_mode(), SecureBootMode::user);
}

TEST_F(SecureBoot, SetupModeDoesNotGoToDeployedMode) {
  EXPECT_EQ(set_mode(u"DeployedMode", 1), EfiStatus::write_protected);
}

TEST_F(SecureBoot, ModesThatAreInForceCanBeSetAgain) {
  writes();
  EXPECT_EQ(set_mode(u"AuditMode", 0), EfiStatus::success);
  EXPECT_EQ(set_mode(u"DeployedMode", 0), EfiStatus::success);
  EXPECT_TRUE(writes().empty());
}

TEST_F(SecureBoot, ModesAreOneByteOfZeroOrOne) {
  EXPECT_EQ(set_mode(u"AuditMode", 2), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"AuditMode", bs_rt, "\1\1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"AuditMode", nv_bs_rt, "\1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"DeployedMode", bs_rt, ""), EfiStatus::write_protected);
}

TEST_F(SecureBoot, WhatIsKeptOfTheModesIsNobodysToWrite) {
  constexpr Guid kept = *Guid::parse("9467a289-f4e1-44dd-a3c5-72b39df9280a");
  enroll();
  ASSERT_EQ(set_mode(u"DeployedMode", 1), EfiStatus::success);
  EXPECT_EQ(set(u"DeployedModeNv", nv_bs | at, unsigned_auth2(""), kept),
            EfiStatus::write_protected);
  EXPECT_EQ(set(u"DeployedModeNv", 0, "", kept), EfiStatus::write_protected);
  EXPECT_EQ(set(u"AuditModeNv", nv_bs | at, unsigned_auth2("\1"), kept),
            EfiStatus::write_protected);
}

TEST_F(SecureBoot, SecureBootCanBeDisabledBySomebodyAtTheMachine) {
  enroll();
  EXPECT_EQ(set(u"SecureBootEnable", nv_bs, std::string(1, 0), secure_boot_enable),
            EfiStatus::security_violation);
  EXPECT_EQ(set(u"SecureBootEnable", 0, "", secure_boot_enable), EfiStatus::security_violation);
  boot_again(at_the_machine);
  ASSERT_EQ(set(u"SecureBootEnable", nv_bs, std::string(1, 0), secure_boot_enable),
            EfiStatus::success);
  boot_again();
  EXPECT_EQ(modes(), "SetupMode=0 SecureBoot=0 AuditMode=0 DeployedMode=0 ");
}

TEST_F(SecureBoot, CustomModeOpensTheKeysToSomebodyAtTheMachine) {
  enroll();
  EXPECT_EQ(set(u"CustomMode", nv_bs, "\1", custom_mode), EfiStatus::security_violation);
  boot_again(at_the_machine);
  EXPECT_EQ(set_unsigned(u"db", databases, hash_list(1), 2), EfiStatus::security_violation);
  ASSERT_EQ(set(u"CustomMode", nv_bs, "\1", custom_mode), EfiStatus::success);
  EXPECT_EQ(get_global(u"VendorKeys"), "\1");
  EXPECT_EQ(set_unsigned(u"db", databases, hash_list(1), 2), EfiStatus::success);
  EXPECT_EQ(get_global(u"VendorKeys"), std::string(1, 0));
  EXPECT_EQ(get(u"VendorKeysNv", vendor_keys), std::string(1, 0));
  EXPECT_EQ(set_unsigned(u"PK", global, "", 2), EfiStatus::success);
  EXPECT_EQ(modes(), "SetupMode=1 SecureBoot=0 AuditMode=0 DeployedMode=0 ");
}

TEST_F(SecureBoot, CustomModeIsNothingToWhoIsNotAtTheMachine) {
  enroll();
  boot_again(at_the_machine);
  ASSERT_EQ(set(u"CustomMode", nv_bs, "\1", custom_mode), EfiStatus::success);
  restart();
  EXPECT_EQ(set_unsigned(u"db", databases, hash_list(1), 2), EfiStatus::security_violation);
}

TEST_F(SecureBoot, CustomModeEndsWithTheBoot) {
  enroll();
  boot_again(at_the_machine);
  ASSERT_EQ(set(u"CustomMode", nv_bs, "\1", custom_mode), EfiStatus::success);
  ASSERT_EQ(set_unsigned(u"db", databases, hash_list(1), 2), EfiStatus::success);
  boot_again(at_the_machine);
  EXPECT_EQ(get(u"CustomMode", custom_mode), std::string(1, 0));
  EXPECT_EQ(set_unsigned(u"db", databases, hash_list(2), 3), EfiStatus::security_violation);
  EXPECT_EQ(get_global(u"VendorKeys"), std::string(1, 0));
}

TEST_F(SecureBoot, AStoreThatIsNotWrittenShowsItsModes) {
  enroll();
  Bytes kept = image();
  auto device = std::make_unique<flash::MemoryDevice>(kept, 0x1000);
  auto store = store::VariableStore::open(std::move(device), {.read_only = true});
  auto services = variable::Services::create(std::move(*store)).value();
  ASSERT_TRUE(services.start_secure_boot());
  EXPECT_EQ(services.get(u"SecureBoot", global)->data[0], std::byte{1});
}

TEST_F(SecureBoot, TheNormalFormatHasNone) {
  start({.format = store::RecordFormat::normal});
  ASSERT_TRUE(services().start_secure_boot());
  EXPECT_EQ(listing(), "");
}

TEST_F(SecureBoot, ADeployedStoreWithoutPlatformKeyIsInSetupMode) {
  enroll();
  ASSERT_EQ(set_mode(u"DeployedMode", 1), EfiStatus::success);
  Bytes planted = image();
  auto device = std::make_unique<flash::MemoryDevice>(std::move(planted), 0x1000);
  auto* const memory = device.get();
  auto store = store::VariableStore::open(std::move(device)).value();
  ASSERT_TRUE(store.remove(*store.find(u"PK", global)));
  start_from(image_of(*memory));
  ASSERT_TRUE(services().start_secure_boot());
  EXPECT_EQ(modes(), "SetupMode=1 SecureBoot=0 AuditMode=0 DeployedMode=0 ");
}

}  // namespace
}  // namespace efistore::test
