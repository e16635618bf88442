// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/variable/examine.hpp"

#include <gmock/gmock.h>

#include <random>

#include "efistore/flash/memory_device.hpp"
#include "efistore/variable/certificate_database.hpp"

#include "store/store_fixture.hpp"

namespace efistore::test {
namespace {

using store::Severity;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using variable::examine_variables;
using variable::Limits;
using variable::parse_certificate_database;

constexpr std::uint32_t authenticated = 0x27;

/// A node of certdb.
Bytes node(std::u16string_view name, std::string_view certificate = "signer") {
  Bytes bytes(28 + 2 * name.size() + certificate.size());
  ByteWriter writer(bytes);
  writer.bytes(vendor.bytes);
  writer.u32(static_cast<std::uint32_t>(bytes.size()));
  writer.u32(static_cast<std::uint32_t>(name.size()));
  writer.u32(static_cast<std::uint32_t>(certificate.size()));
  for (const char16_t c : name) writer.u16(c);
  writer.bytes(as_bytes(certificate));
  return bytes;
}

Bytes database(const std::vector<Bytes>& nodes) {
  Bytes bytes(4);
  for (const Bytes& one : nodes) bytes.insert(bytes.end(), one.begin(), one.end());
  ByteWriter(bytes).u32(static_cast<std::uint32_t>(bytes.size()));
  return bytes;
}

class ExamineVariables : public testing::Test {
 protected:
  void put(std::u16string_view name, std::uint32_t attributes, const Bytes& data = bytes_of("x"),
           const Guid& guid = vendor) {
    ASSERT_TRUE(store_.put({name, guid, attributes, data}));
  }
  void put_database(const Bytes& data) {
    put(u"certdb", authenticated, data, variable::certificate_database_guid);
  }
  std::vector<store::Finding> findings() const { return examine_variables(store_, limits_); }
  std::string only(Severity severity) const {
    const auto found = findings();
    if (found.size() != 1) return std::to_string(found.size()) + " findings";
    EXPECT_EQ(found.front().severity, severity);
    return found.front().what;
  }

  store::VariableStore store_ =
      store::VariableStore::open(device_of(blank_image(store::Layout::ovmf_4m()))).value();
  Limits limits_ = Limits::for_layout(store_.layout());
};

TEST_F(ExamineVariables, OrdinaryOnesAreFine) {
  put(u"Boot0000", 7);
  put(u"PK", authenticated, bytes_of("x"), guids::global_variable);
  put(u"db", authenticated, bytes_of("x"), guids::image_security_database);
  put(u"VendorKeysNv", 0x23, bytes_of("x"), *Guid::parse("9073e4e0-60ec-4b6e-9903-4c223c260f3c"));
  put_database(database({}));
  EXPECT_THAT(findings(), IsEmpty());
}

TEST_F(ExamineVariables, TooLargeOnesAreWarnedOf) {
  const std::uint32_t fixed = 60 + 4;
  put(u"A", 7, Bytes(limits_.max_variable_size - fixed));
  EXPECT_THAT(findings(), IsEmpty());
  put(u"B", 7, Bytes(limits_.max_variable_size - fixed + 1));
  EXPECT_THAT(only(Severity::warning), HasSubstr("takes 33793 bytes"));
  limits_.max_variable_size += 1;
  EXPECT_THAT(findings(), IsEmpty());
}

TEST_F(ExamineVariables, HardwareErrorRecordsHaveTheirShare) {
  put(u"HwErrRec0000", 0xf, Bytes(100), guids::hardware_error_variable);
  EXPECT_THAT(only(Severity::warning), HasSubstr("0 are set aside"));
  limits_.hardware_error_storage_size = 0x1000;
  EXPECT_THAT(findings(), IsEmpty());
  limits_.hardware_error_storage_size = store_.usage().capacity - 8;
  put(u"A", 7);
  EXPECT_THAT(only(Severity::warning), HasSubstr("no variable can be added"));
}

TEST_F(ExamineVariables, EveryPrivateVariableHasItsNode) {
  put(u"Mine", authenticated);
  EXPECT_THAT(only(Severity::warning), HasSubstr("certdb does not tell by whom"));
  put_database(database({node(u"Mine")}));
  EXPECT_THAT(findings(), IsEmpty());
}

TEST_F(ExamineVariables, ANodeWithoutItsVariableIsANote) {
  put_database(database({node(u"Gone")}));
  EXPECT_THAT(only(Severity::note), HasSubstr("Gone-11223344"));
}

TEST_F(ExamineVariables, ANodeForAnOrdinaryVariableIsAWarning) {
  put(u"Plain", 7);
  put_database(database({node(u"Plain")}));
  EXPECT_THAT(only(Severity::warning), HasSubstr("no private authenticated variable"));
}

TEST_F(ExamineVariables, TwoNodesForAVariableAreAWarning) {
  put(u"Mine", authenticated);
  put_database(database({node(u"Mine"), node(u"Mine")}));
  EXPECT_THAT(only(Severity::warning), HasSubstr("two nodes"));
}

TEST_F(ExamineVariables, ADatabaseThatCannotBeReadIsDamage) {
  put(u"Mine", authenticated);
  Bytes data = database({node(u"Mine")});
  data[0] ^= std::byte{1};
  put_database(data);
  EXPECT_THAT(only(Severity::damage), HasSubstr("the total is"));
}

TEST(CertificateDatabase, NodesAreReadInTheirOrder) {
  const Bytes data = database({node(u"One", ""), node(u"Two", "hash")});
  const auto nodes = parse_certificate_database(data);
  ASSERT_TRUE(nodes) << nodes.error().message;
  ASSERT_EQ(nodes->size(), 2U);
  EXPECT_EQ((*nodes)[0].name, u"One");
  EXPECT_EQ((*nodes)[0].guid, vendor);
  EXPECT_EQ((*nodes)[0].offset, 4U);
  EXPECT_THAT((*nodes)[0].certificate, IsEmpty());
  EXPECT_EQ((*nodes)[1].offset, 4U + (*nodes)[0].size);
  EXPECT_TRUE(equal_bytes((*nodes)[1].certificate, as_bytes("hash")));
}

TEST(CertificateDatabase, EveryWrongSizeIsRefused) {
  const Bytes whole = database({node(u"One"), node(u"Two")});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    Bytes cut(whole.begin(), whole.begin() + static_cast<long>(size));
    EXPECT_FALSE(parse_certificate_database(cut)) << size;
    if (size < 4) continue;
    // The total is right, and the nodes are cut.
    ByteWriter(cut).u32(static_cast<std::uint32_t>(size));
    const bool whole_nodes = size == 4 || size == 4 + node(u"One").size();
    EXPECT_EQ(parse_certificate_database(cut).has_value(), whole_nodes) << size;
  }
  // NodeSize, NameSize and CertDataSize of the first node, each with every bit turned.
  for (std::size_t bit = (4 + 16) * 8; bit < (4 + 28) * 8; ++bit) {
    Bytes wrong = whole;
    wrong[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    const auto nodes = parse_certificate_database(wrong);
    ASSERT_FALSE(nodes) << bit;
    EXPECT_EQ(nodes.error().code, Errc::damaged);
    EXPECT_THAT(nodes.error().message, HasSubstr("byte 4"));
  }
}

TEST(CertificateDatabase, ANameIsNotEmptyAndHoldsNoNul) {
  EXPECT_FALSE(parse_certificate_database(database({node(u"")})));
  EXPECT_FALSE(parse_certificate_database(database({node(std::u16string_view(u"A\0B", 3))})));
}

TEST(CertificateDatabase, AnyBytesAreSurvived) {
  std::mt19937 random(1);
  std::size_t read = 0;
  for (int round = 0; round < 20000; ++round) {
    Bytes data = database({node(u"One"), node(u"Longer name"), node(u"x", "")});
    const auto changes = random() % 6;
    for (unsigned i = 0; i < changes; ++i)
      data[random() % data.size()] = static_cast<std::byte>(random() % 4);
    if (parse_certificate_database(data)) ++read;
  }
  EXPECT_GT(read, 1000U);
}

}  // namespace
}  // namespace efistore::test
