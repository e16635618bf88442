// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Who may change PK, KEK and the databases.
#include "support/vectors.hpp"
#include "variable/signed_fixture.hpp"

namespace efistore::test {
namespace {

using variable::Phase;

constexpr Guid global = guids::global_variable;

class Authority : public SignedTest {};

class EnrolledAuthority : public SignedTest {
 protected:
  EnrolledAuthority() { enroll(); }
};

TEST_F(Authority, InSetupModeKeysNeedNoSignature) {
  enroll();
  EXPECT_EQ(get_global(u"PK"), key_list(signer("PK")));
  EXPECT_EQ(get_global(u"KEK"), key_list(signer("KEK")));
  EXPECT_EQ(get(u"db", databases), key_list(signer("db")));
}

TEST_F(Authority, InSetupModeTimesMayGoBack) {
  ASSERT_EQ(set_unsigned(u"db", databases, hash_list(1), 9), EfiStatus::success);
  EXPECT_EQ(set_unsigned(u"db", databases, hash_list(2), 8), EfiStatus::success);
  EXPECT_EQ(services().get(u"db", databases)->time, at_second(8));
}

TEST_F(Authority, ASelfSignedPlatformKeyCanBeAskedFor) {
  start({.options = {.require_self_signed_pk = true}});
  const std::string key = key_list(signer("PK"));
  EXPECT_EQ(set_unsigned(u"PK", global, key, 1), EfiStatus::security_violation);
  EXPECT_EQ(set_signed(signer("other"), u"PK", global, key, 1), EfiStatus::security_violation);
  EXPECT_EQ(set_signed(signer("PK"), u"PK", global, key, 1), EfiStatus::success);
}

TEST_F(Authority, KeysWithoutTimeBasedAuthenticationAreInvalidParameter) {
  EXPECT_EQ(set_global(u"PK", nv_bs_rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"dbx", nv_bs_rt | ap, "1", databases), EfiStatus::invalid_parameter);
  // Before EndOfDxe no property is checked, and the rule stands all the same.
  start({.options = {.phase = Phase::boot_early}});
  EXPECT_EQ(set_global(u"KEK", nv_bs_rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"db", bs_rt | at, unsigned_auth2("1"), databases), EfiStatus::invalid_parameter);
}

TEST_F(Authority, MalformedListsAreInvalidParameter) {
  for (const auto* name : {u"db", u"dbx", u"dbt", u"dbr"}) {
    EXPECT_EQ(set_unsigned(name, databases, "1", 1), EfiStatus::invalid_parameter);
  }
  std::string longer = key_list(signer("PK"));
  longer += '\0';
  EXPECT_EQ(set_unsigned(u"PK", global, longer, 1), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_unsigned(u"PK", global, key_list(signer("PK")) + key_list(signer("KEK")), 1),
            EfiStatus::invalid_parameter);
  EXPECT_TRUE(writes().empty());
}

TEST_F(Authority, KeyNamesInOtherNamespacesAreOrdinary) {
  EXPECT_EQ(set(u"PK", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"db", nv_bs_rt, "1"), EfiStatus::success);
}

TEST_F(Authority, NormalFormatKnowsNoKeys) {
  start({.options = {.phase = Phase::boot_early}, .format = store::RecordFormat::normal});
  EXPECT_EQ(set_global(u"PK", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"CustomMode", nv_bs, "1", custom_mode), EfiStatus::success);
}

TEST_F(Authority, CertificateDatabasesAreWriteProtected) {
  EXPECT_EQ(set(u"certdb", key_attributes, unsigned_auth2("1234"), certificates),
            EfiStatus::write_protected);
  EXPECT_EQ(set(u"certdbv", bs_rt | at, unsigned_auth2("1234"), certificates),
            EfiStatus::write_protected);
  EXPECT_EQ(set(u"certdb", 0, "", certificates), EfiStatus::write_protected);
}

TEST_F(EnrolledAuthority, ThePlatformKeySignsForAll) {
  const Signer& pk = signer("PK");
  EXPECT_EQ(set_signed(pk, u"KEK", global, key_list(signer("KEK 2")), 2), EfiStatus::success);
  for (const auto* name : {u"db", u"dbx", u"dbt", u"dbr"}) {
    EXPECT_EQ(set_signed(pk, name, databases, hash_list(7), 2), EfiStatus::success);
    EXPECT_EQ(get(name, databases), hash_list(7));
  }
  EXPECT_EQ(set_signed(pk, u"PK", global, key_list(signer("PK 2")), 2), EfiStatus::success);
  EXPECT_EQ(set_signed(pk, u"PK", global, "", 3), EfiStatus::security_violation);
  EXPECT_EQ(set_signed(signer("PK 2"), u"PK", global, "", 3), EfiStatus::success);
}

TEST_F(EnrolledAuthority, KeyExchangeKeysSignForTheDatabasesOnly) {
  const Signer& kek = signer("KEK");
  for (const auto* name : {u"db", u"dbx", u"dbt", u"dbr"}) {
    EXPECT_EQ(set_signed(kek, name, databases, hash_list(7), 2), EfiStatus::success);
  }
  EXPECT_EQ(set_signed(kek, u"KEK", global, key_list(signer("KEK 2")), 2),
            EfiStatus::security_violation);
  EXPECT_EQ(set_signed(kek, u"PK", global, "", 2), EfiStatus::security_violation);
}

TEST_F(EnrolledAuthority, NobodyElseSigns) {
  for (const auto* other : {"db", "other"}) {
    const Signer& by = signer(other);
    EXPECT_EQ(set_signed(by, u"PK", global, "", 2), EfiStatus::security_violation);
    EXPECT_EQ(set_signed(by, u"KEK", global, "", 2), EfiStatus::security_violation);
    EXPECT_EQ(set_signed(by, u"db", databases, "", 2), EfiStatus::security_violation);
    EXPECT_EQ(set_signed(by, u"dbx", databases, hash_list(1), 2, key_attributes | ap),
              EfiStatus::security_violation);
  }
  EXPECT_EQ(set_unsigned(u"PK", global, "", 2), EfiStatus::security_violation);
  EXPECT_EQ(set_unsigned(u"db", databases, hash_list(1), 2), EfiStatus::security_violation);
  EXPECT_TRUE(writes().empty());
}

TEST_F(EnrolledAuthority, WhatIsSignedIsNameGuidAttributesTimeAndPayload) {
  const Signer& pk = signer("PK");
  const std::string payload = hash_list(7);
  const ToSign right{u"dbx", databases, key_attributes, at_second(2), payload};
  auto other = [&](auto change) {
    ToSign changed = right;
    change(changed);
    // Signed as `changed`, asked for as `right`.
    std::string data = signed_by(pk, changed);
    const auto time = at_second(2);
    std::copy_n(reinterpret_cast<const char*>(time.bytes.data()), 16, data.begin());
    data.replace(data.size() - changed.payload.size(), changed.payload.size(), payload);
    return set(u"dbx", key_attributes, data, databases);
  };
  EXPECT_EQ(other([](ToSign& s) { s.name = u"dby"; }), EfiStatus::security_violation);
  EXPECT_EQ(other([](ToSign& s) { s.name = u"db"; }), EfiStatus::security_violation);
  EXPECT_EQ(other([](ToSign& s) { s.guid = global; }), EfiStatus::security_violation);
  EXPECT_EQ(other([](ToSign& s) { s.attributes |= ap; }), EfiStatus::security_violation);
  EXPECT_EQ(other([](ToSign& s) { s.time = at_second(3); }), EfiStatus::security_violation);
  const std::string foreign = hash_list(8);
  EXPECT_EQ(other([&](ToSign& s) { s.payload = foreign; }), EfiStatus::security_violation);
  EXPECT_EQ(other([](ToSign&) {}), EfiStatus::success);
}

TEST_F(EnrolledAuthority, AnOldRequestIsNotCarriedOutAgain) {
  const Signer& pk = signer("PK");
  ASSERT_EQ(set_signed(pk, u"dbx", databases, hash_list(7), 5), EfiStatus::success);
  EXPECT_EQ(set_signed(pk, u"dbx", databases, hash_list(8), 5), EfiStatus::security_violation);
  EXPECT_EQ(set_signed(pk, u"dbx", databases, hash_list(8), 4), EfiStatus::security_violation);
  EXPECT_EQ(set_signed(pk, u"dbx", databases, "", 5), EfiStatus::security_violation);
  EXPECT_EQ(set_signed(pk, u"dbx", databases, hash_list(8), 6), EfiStatus::success);
}

TEST_F(EnrolledAuthority, WhatIsAppendedComesInAnyOrderAndTheLaterTimeStays) {
  const Signer& kek = signer("KEK");
  ASSERT_EQ(set_signed(kek, u"dbx", databases, hash_list(1), 5), EfiStatus::success);
  ASSERT_EQ(set_signed(kek, u"dbx", databases, hash_list(2), 4, key_attributes | ap),
            EfiStatus::success);
  EXPECT_EQ(services().get(u"dbx", databases)->time, at_second(5));
  ASSERT_EQ(set_signed(kek, u"dbx", databases, hash_list(3), 6, key_attributes | ap),
            EfiStatus::success);
  EXPECT_EQ(services().get(u"dbx", databases)->time, at_second(6));
  EXPECT_EQ(get(u"dbx", databases), hash_list(1) + hash_list(2) + hash_list(3));
}

TEST_F(EnrolledAuthority, WhatIsThereAlreadyIsNotAppended) {
  const Signer& kek = signer("KEK");
  ASSERT_EQ(set_signed(kek, u"dbx", databases, hash_list(1), 5), EfiStatus::success);
  ASSERT_EQ(set_signed(kek, u"dbx", databases, hash_list(2) + hash_list(1), 6, key_attributes | ap),
            EfiStatus::success);
  EXPECT_EQ(get(u"dbx", databases), hash_list(1) + hash_list(2));
  ASSERT_EQ(set_signed(kek, u"dbx", databases, hash_list(1), 7, key_attributes | ap),
            EfiStatus::success);
  EXPECT_EQ(get(u"dbx", databases), hash_list(1) + hash_list(2));
}

TEST_F(EnrolledAuthority, ASecondPlatformKeyIsNotAppended) {
  EXPECT_EQ(
      set_signed(signer("PK"), u"PK", global, key_list(signer("PK 2")), 2, key_attributes | ap),
      EfiStatus::invalid_parameter);
  EXPECT_EQ(get_global(u"PK"), key_list(signer("PK")));
}

TEST_F(EnrolledAuthority, ReservedFieldsOfTheTimeAreZero) {
  const std::string good =
      signed_by(signer("PK"), {u"dbx", databases, key_attributes, at_second(2), hash_list(1)});
  for (const std::size_t field : {7U, 8U, 11U, 12U, 13U, 14U, 15U}) {
    std::string bad = good;
    bad[field] = 1;
    EXPECT_EQ(set(u"dbx", key_attributes, bad, databases), EfiStatus::security_violation) << field;
  }
  EXPECT_EQ(set(u"dbx", key_attributes, good, databases), EfiStatus::success);
}

TEST_F(EnrolledAuthority, EveryByteOfTheDescriptorAndOfTheSignatureCounts) {
  const std::string good =
      signed_by(signer("PK"), {u"dbx", databases, key_attributes, at_second(2), hash_list(1)});
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x01);
    EXPECT_NE(set(u"dbx", key_attributes, bad, databases), EfiStatus::success) << at;
    if (HasFailure()) break;
  }
  EXPECT_TRUE(writes().empty());
  EXPECT_EQ(set(u"dbx", key_attributes, good, databases), EfiStatus::success);
}

TEST_F(EnrolledAuthority, PlainWritesAndDeletionsAreInvalidParameter) {
  EXPECT_EQ(set_global(u"KEK", nv_bs_rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"db", nv_bs_rt, "1", databases), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"PK", 0, ""), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"db", 0, "", databases), EfiStatus::invalid_parameter);
}

TEST_F(EnrolledAuthority, AtRuntimeSignedChangesAreMade) {
  restart({.phase = Phase::runtime});
  EXPECT_EQ(set_signed(signer("KEK"), u"dbx", databases, hash_list(1), 2), EfiStatus::success);
  EXPECT_EQ(set_unsigned(u"dbx", databases, hash_list(1), 3), EfiStatus::security_violation);
}

TEST_F(EnrolledAuthority, OneDatabaseUpdateIsOneRecordsWrites) {
  ASSERT_EQ(set_signed(signer("KEK"), u"dbx", databases, hash_list(1), 2), EfiStatus::success);
  EXPECT_EQ(writes().size(), 2U);
  ASSERT_EQ(set_signed(signer("KEK"), u"dbx", databases, hash_list(2), 3), EfiStatus::success);
  EXPECT_EQ(writes().size(), 4U);
}

TEST_F(EnrolledAuthority, OrdinaryVariablesBesideTheKeysAreWritable) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "1");
}

/// Keys that Red Hat's tools enrolled.
TEST_F(Authority, KeysOfAnOvmfImageStandFirm) {
  EFISTORE_NEED_VECTORS();
  start_from(load_vector("store/v01-ovmf4m-redhat-ms.fd.xz").value());
  EXPECT_EQ(services().secure_boot_mode(), variable::SecureBootMode::user);
  EXPECT_EQ(set_unsigned(u"PK", global, "", 2), EfiStatus::security_violation);
  EXPECT_EQ(set_signed(signer("other"), u"dbx", databases, hash_list(1), 2, key_attributes | ap),
            EfiStatus::security_violation);
  EXPECT_TRUE(writes().empty());
}

}  // namespace
}  // namespace efistore::test
