// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Authenticated variables that are no keys: who signed one first may change it.
#include "efistore/variable/certificate_database.hpp"

#include "variable/signed_fixture.hpp"

namespace efistore::test {
namespace {

using variable::Phase;

class PrivateAuthority : public SignedTest {
 protected:
  EfiStatus set_a(const Signer& by, std::string_view payload, std::uint8_t second,
                  std::uint32_t attributes = key_attributes) {
    return set_signed(by, u"A", vendor, payload, second, attributes);
  }
  /// Names of certdb's nodes.
  std::string nodes(std::u16string_view database = u"certdb") const {
    const auto found = services().get(database, certificates);
    if (!found) return "none";
    std::string text;
    const auto nodes = variable::parse_certificate_database(found->data).value();
    for (const auto& node : nodes) {
      for (const char16_t c : node.name) text += static_cast<char>(c);
      text += ' ';
    }
    return text;
  }
  void be_at_the_machine() { restart({.physically_present = true}); }
};

TEST_F(PrivateAuthority, WhoeverSignsFirstOwnsIt) {
  ASSERT_EQ(set_a(signer("first"), "1", 1), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "1");
  EXPECT_EQ(services().get(u"A", vendor)->attributes, key_attributes);
  EXPECT_EQ(services().get(u"A", vendor)->time, at_second(1));
  EXPECT_EQ(nodes(), "A ");
  EXPECT_EQ(set_a(signer("other"), "2", 2), EfiStatus::security_violation);
  EXPECT_EQ(set_a(signer("first"), "2", 2), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "2");
}

TEST_F(PrivateAuthority, ANameOfTheSameSignerIsNotEnough) {
  ASSERT_EQ(set_a(signer("first"), "1", 1), EfiStatus::success);
  auto key = crypto::PrivateKey::generate(crypto::KeyKind::ec_p256).value();
  auto certificate =
      crypto::make_self_signed(key, {.common_name = "first", .days = 10, .ca = true}).value();
  const Signer namesake{std::move(key), std::move(certificate)};
  EXPECT_EQ(set_a(namesake, "2", 2), EfiStatus::security_violation);
}

TEST_F(PrivateAuthority, WithoutSignatureNobodyCreatesOne) {
  EXPECT_EQ(set_unsigned(u"A", vendor, "1", 1), EfiStatus::security_violation);
  EXPECT_EQ(get(u"A"), "EFI_NOT_FOUND");
  EXPECT_TRUE(writes().empty());
}

/// Of the certificate in between not every byte counts: who creates a variable may have any.
TEST_F(PrivateAuthority, DescriptorAndPayloadAreSigned) {
  const std::string good =
      signed_by(signer("first"), {u"A", vendor, key_attributes, at_second(1), "payload"});
  constexpr std::size_t descriptor_size = 40;
  for (std::size_t at = 0; at < good.size(); ++at) {
    if (at >= descriptor_size && at < good.size() - std::string_view("payload").size()) continue;
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x01);
    EXPECT_EQ(set(u"A", key_attributes, bad), EfiStatus::security_violation) << at;
  }
  EXPECT_EQ(get(u"A"), "EFI_NOT_FOUND");
  EXPECT_TRUE(writes().empty());
  EXPECT_EQ(set(u"A", key_attributes, good), EfiStatus::success);
}

TEST_F(PrivateAuthority, VariableAndNodeComeAndGoTogether) {
  ASSERT_EQ(set_a(signer("first"), "1", 1), EfiStatus::success);
  ASSERT_EQ(set_signed(signer("second"), u"B", vendor, "1", 1), EfiStatus::success);
  EXPECT_EQ(nodes(), "A B ");
  EXPECT_EQ(set_a(signer("second"), "", 2), EfiStatus::security_violation);
  EXPECT_EQ(set_a(signer("first"), "", 1), EfiStatus::security_violation);
  ASSERT_EQ(set_a(signer("first"), "", 2), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "EFI_NOT_FOUND");
  EXPECT_EQ(nodes(), "B ");
  // Gone is gone: another may sign first now, at any time.
  EXPECT_EQ(set_a(signer("other"), "1", 1), EfiStatus::success);
}

TEST_F(PrivateAuthority, AnUpdateIsOneRecordsWrites) {
  ASSERT_EQ(set_a(signer("first"), "1", 1), EfiStatus::success);
  writes();
  ASSERT_EQ(set_a(signer("first"), "1", 2), EfiStatus::success);
  EXPECT_EQ(writes().size(), 4U);
}

TEST_F(PrivateAuthority, TimesOnlyGrow) {
  ASSERT_EQ(set_a(signer("first"), "1", 5), EfiStatus::success);
  EXPECT_EQ(set_a(signer("first"), "2", 5), EfiStatus::security_violation);
  EXPECT_EQ(set_a(signer("first"), "2", 4), EfiStatus::security_violation);
  ASSERT_EQ(set_a(signer("first"), "2", 3, key_attributes | ap), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "12");
  EXPECT_EQ(services().get(u"A", vendor)->time, at_second(5));
}

TEST_F(PrivateAuthority, AppendCreates) {
  ASSERT_EQ(set_a(signer("first"), "1", 5, key_attributes | ap), EfiStatus::success);
  EXPECT_EQ(nodes(), "A ");
  EXPECT_EQ(services().get(u"A", vendor)->attributes, key_attributes);
}

TEST_F(PrivateAuthority, DeletionOfWhatIsNotThereIsNotFound) {
  EXPECT_EQ(set_a(signer("first"), "", 1), EfiStatus::not_found);
  EXPECT_EQ(set_a(signer("first"), "", 1, key_attributes | ap), EfiStatus::success);
  EXPECT_EQ(nodes(), "none");
}

TEST_F(PrivateAuthority, PlainWriteIsInvalidParameterAndPlainDeletionWriteProtected) {
  ASSERT_EQ(set_a(signer("first"), "1", 1), EfiStatus::success);
  writes();
  EXPECT_EQ(set(u"A", nv_bs_rt, "2"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", nv_bs_rt, ""), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", 0, ""), EfiStatus::write_protected);
  EXPECT_TRUE(writes().empty());
}

TEST_F(PrivateAuthority, SomebodyAtTheMachineDeletes) {
  ASSERT_EQ(set_a(signer("first"), "1", 1), EfiStatus::success);
  be_at_the_machine();
  EXPECT_EQ(set_unsigned(u"A", vendor, "2", 2), EfiStatus::security_violation);
  ASSERT_EQ(set_unsigned(u"A", vendor, "", 2), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "EFI_NOT_FOUND");
  EXPECT_EQ(nodes(), "");
}

TEST_F(PrivateAuthority, VolatileOnesHaveADatabaseOfTheirOwn) {
  const std::uint32_t attributes = bs_rt | at;
  ASSERT_EQ(set_a(signer("first"), "1", 1, attributes), EfiStatus::success);
  EXPECT_EQ(nodes(u"certdbv"), "A ");
  EXPECT_EQ(nodes(), "none");
  EXPECT_EQ(set_a(signer("other"), "2", 2, attributes), EfiStatus::security_violation);
  EXPECT_EQ(set_a(signer("first"), "2", 2, attributes), EfiStatus::success);
  EXPECT_EQ(set_a(signer("first"), "", 3, attributes), EfiStatus::success);
  EXPECT_EQ(nodes(u"certdbv"), "");
  EXPECT_TRUE(writes().empty());
}

TEST_F(PrivateAuthority, StartingForgetsNodesWithoutVariable) {
  ASSERT_EQ(set_a(signer("first"), "1", 1), EfiStatus::success);
  ASSERT_EQ(set_signed(signer("first"), u"B", vendor, "1", 1), EfiStatus::success);
  auto device = std::make_unique<flash::MemoryDevice>(image(), 0x1000);
  auto* const memory = device.get();
  auto store = store::VariableStore::open(std::move(device)).value();
  ASSERT_TRUE(store.remove(*store.find(u"A", vendor)));
  start_from(image_of(*memory));
  EXPECT_EQ(nodes(), "A B ");
  ASSERT_TRUE(services().start_secure_boot());
  EXPECT_EQ(nodes(), "B ");
}

/// A variable whose signer certdb does not know: an image can bring it.
TEST_F(PrivateAuthority, WithoutNodeNobodyChangesIt) {
  Bytes planted = blank_image(small_layout());
  const auto record = store::encode_record(store::RecordFormat::authenticated,
                                           {u"A", vendor, key_attributes, as_bytes("1")},
                                           store::RecordState::added);
  std::copy(record.begin(), record.end(), planted.begin() + first_record);
  start_from(std::move(planted));
  EXPECT_EQ(listing(), "A=1");
  EXPECT_EQ(set_a(signer("first"), "2", 2), EfiStatus::security_violation);
  EXPECT_EQ(set_a(signer("first"), "", 2), EfiStatus::security_violation);
  EXPECT_TRUE(writes().empty());
  ASSERT_TRUE(services().reclaim());
  EXPECT_EQ(services().get(u"A", vendor)->attributes, key_attributes);
}

/// Plants certdb with the given data behind a variable that "first" signed.
TEST_F(PrivateAuthority, WholeCertificatesOfOlderFirmwareCount) {
  ASSERT_EQ(set_a(signer("first"), "1", 1), EfiStatus::success);
  const auto der = signer("first").certificate.der();
  Bytes stack(5);
  stack[0] = std::byte{1};
  ByteWriter writer(std::span<std::byte>(stack).subspan(1));
  writer.u32(static_cast<std::uint32_t>(der.size()));
  stack.insert(stack.end(), der.begin(), der.end());
  const variable::CertificateNode node{.name = u"A", .guid = vendor, .certificate = stack};
  const auto data = variable::make_certificate_database(std::span(&node, 1));

  auto device = std::make_unique<flash::MemoryDevice>(image(), 0x1000);
  auto* const memory = device.get();
  auto store = store::VariableStore::open(std::move(device)).value();
  ASSERT_TRUE(store.put({u"certdb", certificates, key_attributes, data}));
  start_from(image_of(*memory));
  EXPECT_EQ(set_a(signer("other"), "2", 2), EfiStatus::security_violation);
  EXPECT_EQ(set_a(signer("first"), "2", 2), EfiStatus::success);
}

TEST_F(PrivateAuthority, ADamagedDatabaseLetsNobodyChangeAnything) {
  ASSERT_EQ(set_a(signer("first"), "1", 1), EfiStatus::success);
  auto device = std::make_unique<flash::MemoryDevice>(image(), 0x1000);
  auto* const memory = device.get();
  auto store = store::VariableStore::open(std::move(device)).value();
  ASSERT_TRUE(store.put({u"certdb", certificates, key_attributes, as_bytes("12345")}));
  start_from(image_of(*memory));
  ASSERT_TRUE(services().start_secure_boot());
  EXPECT_EQ(set_a(signer("first"), "2", 2), EfiStatus::security_violation);
  EXPECT_EQ(set_signed(signer("first"), u"B", vendor, "1", 1), EfiStatus::security_violation);
  EXPECT_EQ(get(u"certdb", certificates), "12345");
}

TEST_F(PrivateAuthority, WithoutRoomForTheSignerThereIsNoVariable) {
  std::u16string name = u"000";
  EfiStatus status = EfiStatus::success;
  int made = 0;
  for (; status == EfiStatus::success && made < 200; ++made) {
    name[1] = static_cast<char16_t>(u'0' + made / 10);
    name[2] = static_cast<char16_t>(u'0' + made % 10);
    status = set_signed(signer("first"), name, vendor, "1", 1);
  }
  EXPECT_EQ(status, EfiStatus::out_of_resources);
  EXPECT_EQ(get(name), "EFI_NOT_FOUND");
  name[1] = static_cast<char16_t>(u'0' + (made - 2) / 10);
  name[2] = static_cast<char16_t>(u'0' + (made - 2) % 10);
  EXPECT_EQ(get(name), "1");
}

TEST_F(PrivateAuthority, AtRuntimeTheyAreCreatedChangedAndDeleted) {
  restart({.phase = Phase::runtime});
  ASSERT_EQ(set_a(signer("first"), "1", 1), EfiStatus::success);
  ASSERT_EQ(set_a(signer("first"), "2", 2), EfiStatus::success);
  ASSERT_EQ(set_a(signer("first"), "", 3), EfiStatus::success);
  EXPECT_EQ(nodes(), "");
}

}  // namespace
}  // namespace efistore::test
