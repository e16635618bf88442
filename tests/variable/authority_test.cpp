// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What needs a signature, or somebody at the machine, is refused; nothing is changed by asking.
#include "efistore/variable/services.hpp"

#include "support/vectors.hpp"
#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using variable::Phase;

constexpr std::uint32_t key_attributes = nv_bs_rt | at;
constexpr Guid databases = guids::image_security_database;
constexpr Guid custom_mode = *Guid::parse("c076ec0c-7028-4399-a072-71ee5c448b9f");
constexpr Guid secure_boot_enable = *Guid::parse("f0a30bc7-af08-4556-99c4-001009c93a44");
constexpr Guid certificates = *Guid::parse("d9bee56e-75dc-49d9-b4d7-b534210f637a");

class Authority : public ServicesTest {
 protected:
  Authority() { start(); }
};

/// A store whose platform, exchange and database keys are enrolled.
class EnrolledAuthority : public ServicesTest {
 protected:
  void SetUp() override {
    EFISTORE_NEED_VECTORS();
    start_from(load_vector("store/v01-ovmf4m-redhat-ms.fd.xz").value());
    before_ = image();
  }
  void TearDown() override {
    if (!before_.empty()) {
      EXPECT_EQ(image(), before_);
    }
  }

 private:
  Bytes before_;
};

TEST_F(Authority, NewTimeBasedVariableIsSecurityViolation) {
  EXPECT_EQ(set(u"A", key_attributes, unsigned_auth2("1")), EfiStatus::security_violation);
  EXPECT_EQ(get(u"A"), "EFI_NOT_FOUND");
}

TEST_F(Authority, AppendWithSignatureIsSecurityViolation) {
  EXPECT_EQ(set(u"A", key_attributes | ap, unsigned_auth2("1")), EfiStatus::security_violation);
  EXPECT_EQ(set(u"db", key_attributes | ap, unsigned_auth2("1"), databases),
            EfiStatus::security_violation);
}

TEST_F(Authority, KeysInSetupModeAreSecurityViolation) {
  for (const auto* name : {u"PK", u"KEK"}) {
    EXPECT_EQ(set_global(name, key_attributes, unsigned_auth2("1")), EfiStatus::security_violation);
  }
  for (const auto* name : {u"db", u"dbx", u"dbt"}) {
    EXPECT_EQ(set(name, key_attributes, unsigned_auth2("1"), databases),
              EfiStatus::security_violation);
  }
}

TEST_F(Authority, KeysWithoutTimeBasedAuthenticationAreInvalidParameter) {
  EXPECT_EQ(set_global(u"PK", nv_bs_rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"dbx", nv_bs_rt | ap, "1", databases), EfiStatus::invalid_parameter);
  // Before EndOfDxe no property is checked, and the rule stands all the same.
  start({.options = {.phase = Phase::boot_early}});
  EXPECT_EQ(set_global(u"KEK", nv_bs_rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"db", bs_rt | at, unsigned_auth2("1"), databases), EfiStatus::invalid_parameter);
}

TEST_F(Authority, KeyNamesInOtherNamespacesAreOrdinary) {
  EXPECT_EQ(set(u"PK", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"db", nv_bs_rt, "1"), EfiStatus::success);
}

TEST_F(Authority, CustomModeAndSecureBootEnableAreSecurityViolation) {
  EXPECT_EQ(set(u"CustomMode", nv_bs, "1", custom_mode), EfiStatus::security_violation);
  EXPECT_EQ(set(u"SecureBootEnable", nv_bs, "1", secure_boot_enable),
            EfiStatus::security_violation);
  EXPECT_EQ(set(u"SecureBootEnable", nv_bs, "1"), EfiStatus::success);
}

TEST_F(Authority, NormalFormatKnowsNoKeys) {
  start({.options = {.phase = Phase::boot_early}, .format = store::RecordFormat::normal});
  EXPECT_EQ(set_global(u"PK", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"CustomMode", nv_bs, "1", custom_mode), EfiStatus::success);
}

TEST_F(EnrolledAuthority, SignedUpdateIsSecurityViolation) {
  EXPECT_EQ(set_global(u"PK", key_attributes, unsigned_auth2("1")), EfiStatus::security_violation);
  EXPECT_EQ(set(u"dbx", key_attributes | ap, unsigned_auth2("1"), databases),
            EfiStatus::security_violation);
}

TEST_F(EnrolledAuthority, SignedDeletionIsSecurityViolation) {
  EXPECT_EQ(set_global(u"PK", key_attributes, unsigned_auth2("")), EfiStatus::security_violation);
}

TEST_F(EnrolledAuthority, PlainWriteIsInvalidParameter) {
  EXPECT_EQ(set_global(u"KEK", nv_bs_rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"db", nv_bs_rt, "1", databases), EfiStatus::invalid_parameter);
}

TEST_F(EnrolledAuthority, DeletionOfKeysWithoutAttributesIsInvalidParameter) {
  EXPECT_EQ(set_global(u"PK", 0, ""), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"db", 0, "", databases), EfiStatus::invalid_parameter);
}

TEST_F(EnrolledAuthority, DeletionOfSecureBootEnableIsSecurityViolation) {
  EXPECT_EQ(set(u"SecureBootEnable", 0, "", secure_boot_enable), EfiStatus::security_violation);
}

TEST_F(EnrolledAuthority, OrdinaryVariablesBesideTheKeysAreWritable) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "1");
  SetUp();
}

/// An authenticated variable of no key's name, as an image can bring it.
class PrivateAuthority : public ServicesTest {
 protected:
  PrivateAuthority() {
    Bytes planted = blank_image(small_layout());
    const auto record = store::encode_record(store::RecordFormat::authenticated,
                                             {u"Private", vendor, key_attributes, as_bytes("1")},
                                             store::RecordState::added);
    std::copy(record.begin(), record.end(), planted.begin() + first_record);
    start_from(std::move(planted));
  }
};

TEST_F(PrivateAuthority, IsReadAndListed) {
  EXPECT_EQ(get(u"Private"), "1");
  EXPECT_EQ(listing(), "Private=1");
}

TEST_F(PrivateAuthority, PlainWriteIsInvalidParameter) {
  EXPECT_EQ(set(u"Private", nv_bs_rt, "2"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"Private", nv_bs_rt, ""), EfiStatus::invalid_parameter);
  EXPECT_TRUE(writes().empty());
}

TEST_F(PrivateAuthority, DeletionWithoutAttributesIsWriteProtected) {
  EXPECT_EQ(set(u"Private", 0, ""), EfiStatus::write_protected);
  EXPECT_TRUE(writes().empty());
}

TEST_F(PrivateAuthority, SignedWriteIsSecurityViolation) {
  EXPECT_EQ(set(u"Private", key_attributes, unsigned_auth2("2")), EfiStatus::security_violation);
  EXPECT_EQ(set(u"Private", key_attributes, unsigned_auth2("")), EfiStatus::security_violation);
  EXPECT_TRUE(writes().empty());
}

TEST_F(PrivateAuthority, SurvivesReclaimWithItsAttributes) {
  ASSERT_TRUE(services().reclaim());
  EXPECT_EQ(services().get(u"Private", vendor)->attributes, key_attributes);
}

TEST_F(Authority, CertificateDatabasesAreWriteProtected) {
  EXPECT_EQ(set(u"certdb", key_attributes, unsigned_auth2("1234"), certificates),
            EfiStatus::write_protected);
  EXPECT_EQ(set(u"certdbv", bs_rt | at, unsigned_auth2("1234"), certificates),
            EfiStatus::write_protected);
  EXPECT_EQ(set(u"certdb", 0, "", certificates), EfiStatus::write_protected);
}

}  // namespace
}  // namespace efistore::test
