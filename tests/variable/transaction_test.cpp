// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Several variables at once: all of them or none.
#include "variable/signed_fixture.hpp"

namespace efistore::test {
namespace {

using variable::SetRequest;

class Transaction : public SignedTest {
 protected:
  EfiStatus set_all(std::vector<SetRequest> requests) {
    auto done = services().set_all(requests);
    reason_ = done ? "" : done.error().reason;
    return done.status();
  }
  static SetRequest plain(std::u16string_view name, std::string_view data,
                          std::uint32_t attributes = nv_bs_rt) {
    return {.name = name, .guid = vendor, .attributes = attributes, .data = as_bytes(data)};
  }
  const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};

TEST_F(Transaction, AllAreMade) {
  ASSERT_EQ(set(u"B", nv_bs_rt, "old"), EfiStatus::success);
  ASSERT_EQ(set(u"C", nv_bs_rt, "3"), EfiStatus::success);
  ASSERT_EQ(set_all({plain(u"A", "1"), plain(u"B", "2"), plain(u"C", "", 0), plain(u"V", "v", bs)}),
            EfiStatus::success);
  EXPECT_EQ(listing(), "V=v A=1 B=2");
  restart();
  EXPECT_EQ(listing(), "A=1 B=2");
}

TEST_F(Transaction, OneThatIsRefusedUndoesAll) {
  ASSERT_EQ(set(u"B", nv_bs_rt, "old"), EfiStatus::success);
  const Bytes before = image();
  EXPECT_EQ(set_all({plain(u"A", "1"), plain(u"V", "v", bs), plain(u"B", "2"),
                     plain(u"C", "", nv_bs_rt)}),
            EfiStatus::not_found);
  EXPECT_EQ(reason(), "change 4 of 4, C-11223344-5566-7788-99aa-bbccddeeff00: refused");
  EXPECT_EQ(listing(), "B=old");
  EXPECT_EQ(image(), before);
}

TEST_F(Transaction, EachSeesThoseBeforeIt) {
  ASSERT_EQ(set_all({plain(u"A", "1"), plain(u"A", "2", nv_bs_rt | ap), plain(u"B", "x"),
                     plain(u"B", "", nv_bs_rt)}),
            EfiStatus::success);
  EXPECT_EQ(listing(), "A=12");
}

TEST_F(Transaction, OneChangeIsWrittenAsAlone) {
  ASSERT_EQ(set_all({plain(u"A", "1")}), EfiStatus::success);
  EXPECT_EQ(writes().size(), 2U);
  ASSERT_EQ(set_all({plain(u"A", "1")}), EfiStatus::success);
  EXPECT_TRUE(writes().empty());
  EXPECT_EQ(set_all({}), EfiStatus::success);
}

TEST_F(Transaction, KeysAreEnrolledTogetherAndAfterThePlatformKeyASignatureIsDue) {
  const std::string db = not_signed(at_second(1), key_list(signer("db")));
  const std::string kek = not_signed(at_second(1), key_list(signer("KEK")));
  const std::string pk = not_signed(at_second(1), key_list(signer("PK")));
  auto key = [](std::u16string_view name, const Guid& guid, const std::string& data) {
    return SetRequest{
        .name = name, .guid = guid, .attributes = key_attributes, .data = as_bytes(data)};
  };
  const auto set_db = key(u"db", databases, db);
  const auto set_kek = key(u"KEK", guids::global_variable, kek);
  const auto set_pk = key(u"PK", guids::global_variable, pk);
  EXPECT_EQ(set_all({set_db, set_pk, set_kek}), EfiStatus::security_violation);
  EXPECT_EQ(listing(), "");
  ASSERT_EQ(set_all({set_db, set_kek, set_pk}), EfiStatus::success);
  restart();
  EXPECT_EQ(services().secure_boot_mode(), variable::SecureBootMode::user);
  EXPECT_EQ(get_global(u"KEK"), key_list(signer("KEK")));
}

TEST_F(Transaction, WhatDoesNotFitIsOutOfResourcesAndSaysSoInVarErrorFlag) {
  ASSERT_TRUE(services().end_of_dxe());
  restart();
  ASSERT_TRUE(services().end_of_dxe());
  const std::string large(900, 'x');
  EXPECT_EQ(set_all({plain(u"A", large), plain(u"B", large), plain(u"C", large), plain(u"D", large),
                     plain(u"E", large)}),
            EfiStatus::out_of_resources);
  EXPECT_EQ(get(u"A"), "EFI_NOT_FOUND");
  const Guid flag = *Guid::parse("04b37fe8-f6ae-480b-bdd5-37d98c5e89aa");
  EXPECT_EQ(get(u"VarErrorFlag", flag), "\xef");
}

TEST_F(Transaction, AGuessedKeyOfTheMemoryOverwriteLockIsSpent) {
  const Guid lock = *Guid::parse("bb983ccf-151d-40e1-a07b-4a17be168292");
  const auto* const name = u"MemoryOverwriteRequestControlLock";
  const auto with = [&](std::string_view key) {
    return SetRequest{.name = name, .guid = lock, .attributes = nv_bs_rt, .data = as_bytes(key)};
  };
  ASSERT_EQ(set_all({with("12345678")}), EfiStatus::success);
  EXPECT_EQ(set_all({with("87654321")}), EfiStatus::access_denied);
  EXPECT_EQ(set_all({with("12345678")}), EfiStatus::access_denied);
}

TEST_F(Transaction, RequestsMayPointIntoTheStore) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  const auto a = services().get(u"A", vendor).value();
  ASSERT_EQ(set_all({{.name = u"B", .guid = vendor, .attributes = nv_bs_rt, .data = a.data},
                     plain(u"A", "2"),
                     {.name = u"C", .guid = vendor, .attributes = nv_bs_rt, .data = a.data}}),
            EfiStatus::success);
  EXPECT_EQ(listing(), "B=1 A=2 C=1");
}

}  // namespace
}  // namespace efistore::test
