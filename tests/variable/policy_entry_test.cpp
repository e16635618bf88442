// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// VARIABLE_POLICY_ENTRY: bytes in and out, each rule of its structure.
#include <gmock/gmock.h>

#include "efistore/variable/policy.hpp"

#include "store/store_fixture.hpp"

namespace efistore::test {
namespace {

using testing::HasSubstr;
using variable::Policy;
using variable::PolicyLock;
using variable::PolicyState;

constexpr std::size_t size_field = 4;
constexpr std::size_t name_offset_field = 6;
constexpr std::size_t max_size_field = 28;
constexpr std::size_t lock_field = 40;

const std::string vendor_hex = "443322116655887799aabbccddeeff00";

/// "Boot##" with everything set but a state.
const Policy numbered{.name = u"Boot##",
                      .guid = vendor,
                      .min_size_bytes = 4,
                      .max_size_bytes = 0x1000,
                      .attributes_must_have = 7,
                      .attributes_cant_have = 0x40,
                      .lock = PolicyLock::on_create};
const Policy on_state{.name = u"A",
                      .guid = vendor,
                      .lock = PolicyLock::on_var_state,
                      .state = PolicyState{.name = u"St", .guid = vendor, .value = 0x5a}};

Bytes bytes_from(const Policy& policy) {
  return variable::encode_policy(policy).value();
}

Result<Policy> parse(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  return variable::read_policy(reader);
}

void put_u16(Bytes& bytes, std::size_t at, std::uint16_t value) {
  ByteWriter(std::span(bytes).subspan(at)).u16(value);
}

class PolicyEntry : public testing::Test {
 protected:
  /// Holds that the entry is refused with a message that has all of `parts`.
  static void refused(const Bytes& bytes, std::initializer_list<const char*> parts) {
    const auto parsed = parse(bytes);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, Errc::invalid_argument);
    for (const char* part : parts) EXPECT_THAT(parsed.error().message, HasSubstr(part));
  }
};

TEST_F(PolicyEntry, HasEdk2sBytes) {
  EXPECT_EQ(to_hex(bytes_from(numbered)),
            "00000100"
            "3a00"
            "2c00" +
                vendor_hex +
                "04000000"
                "00100000"
                "07000000"
                "40000000"
                "02"
                "000000"
                "42006f006f0074002300230000"
                "00");
  EXPECT_EQ(to_hex(bytes_from(on_state)),
            "00000100"
            "4800"
            "4400" +
                vendor_hex +
                "00000000"
                "ffffffff"
                "00000000"
                "00000000"
                "03"
                "000000" +
                vendor_hex +
                "5a"
                "00"
                "530074000000"
                "41000000");
  EXPECT_EQ(to_hex(bytes_from({.guid = vendor})),
            "00000100"
            "2c00"
            "2c00" +
                vendor_hex +
                "00000000"
                "ffffffff"
                "00000000"
                "00000000"
                "00"
                "000000");
}

TEST_F(PolicyEntry, ComesBackTheSame) {
  Policy odd = on_state;
  odd.reserved = {std::byte{1}, std::byte{2}, std::byte{3}};
  odd.state->padding = 9;
  odd.state->name.clear();
  Policy nameless = on_state;
  nameless.name.reset();
  Policy empty_name = numbered;
  empty_name.name = u"";
  Policy surrogate = numbered;
  surrogate.name = u"\xd800";
  for (const Policy& policy :
       {numbered, on_state, Policy{.guid = vendor}, odd, nameless, empty_name, surrogate}) {
    const Bytes bytes = bytes_from(policy);
    const auto parsed = parse(bytes);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(*parsed, policy);
    EXPECT_EQ(bytes_from(*parsed), bytes);
  }
}

TEST_F(PolicyEntry, EveryShorterOneIsRefused) {
  for (const Policy& policy : {numbered, on_state}) {
    const Bytes bytes = bytes_from(policy);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(parse(std::span(bytes).first(size))) << size;
      if (size < 44) continue;
      // The same with a Size that fits.
      Bytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      put_u16(cut, size_field, static_cast<std::uint16_t>(size));
      // Up to the name it is one for the whole namespace.
      const bool whole = size == (policy.state ? 68 : 44);
      EXPECT_EQ(parse(cut).has_value(), whole) << size;
    }
  }
  refused(Bytes(43), {"the entry at offset 0", "43 bytes", "at least 44"});
}

TEST_F(PolicyEntry, OtherVersionsAreRefused) {
  Bytes bytes = bytes_from(numbered);
  bytes[0] = std::byte{1};
  refused(bytes, {"Version at offset 0", "0x10001", "0x10000"});
}

TEST_F(PolicyEntry, SizeIsThatOfTheEntryAndWhatFollowsIsLeft) {
  Bytes bytes = bytes_from(numbered);
  bytes.resize(bytes.size() + 3, std::byte{0xee});
  ByteReader reader(bytes);
  EXPECT_EQ(variable::read_policy(reader).value(), numbered);
  EXPECT_EQ(reader.remaining(), 3U);
  put_u16(bytes, size_field, static_cast<std::uint16_t>(bytes.size() + 1));
  refused(bytes, {"Size at offset 4", "62", "from 44 to 61"});
  put_u16(bytes, size_field, 43);
  refused(bytes, {"Size at offset 4", "43", "from 44"});
}

TEST_F(PolicyEntry, MaximumSizeOfZeroIsRefused) {
  Bytes bytes = bytes_from(numbered);
  ByteWriter(std::span(bytes).subspan(max_size_field)).u32(0);
  refused(bytes, {"MaxSize at offset 28", "at least 1"});
}

TEST_F(PolicyEntry, UnknownLockTypesAreRefused) {
  Bytes bytes = bytes_from(numbered);
  bytes[lock_field] = std::byte{4};
  refused(bytes, {"LockPolicyType at offset 40", "4", "from 0 to 3"});
}

TEST_F(PolicyEntry, OffsetToNameIsBehindTheFixedPartOrTheState) {
  Bytes bytes = bytes_from(numbered);
  put_u16(bytes, name_offset_field, 46);
  refused(bytes, {"OffsetToName at offset 6", "46", "expected 44"});
  put_u16(bytes, name_offset_field, 42);
  refused(bytes, {"OffsetToName at offset 6", "42", "expected 44"});
  put_u16(bytes, name_offset_field, 0xffff);
  refused(bytes, {"OffsetToName at offset 6", "65535", "at most Size, 58"});
  bytes = bytes_from(on_state);
  put_u16(bytes, name_offset_field, 62);
  refused(bytes, {"OffsetToName at offset 6", "62", "at least 64"});
  put_u16(bytes, name_offset_field, 67);
  refused(bytes, {"the state variable's Name at offset 62", "5 bytes"});
  put_u16(bytes, name_offset_field, 66);
  refused(bytes, {"the state variable's Name at offset 62", "no NUL"});
  put_u16(bytes, name_offset_field, 72);
  refused(bytes, {"the state variable's Name at offset 62", "NUL at offset 66", "at 70"});
}

TEST_F(PolicyEntry, NameEndsWithItsOnlyNulAtTheEndOfTheEntry) {
  Bytes bytes = bytes_from(numbered);
  bytes[56] = std::byte{'x'};
  refused(bytes, {"Name at offset 44", "no NUL"});
  bytes[56] = std::byte{0};
  bytes[50] = std::byte{0};
  refused(bytes, {"Name at offset 44", "NUL at offset 50", "at 56"});
  bytes = bytes_from(numbered);
  bytes.push_back({});
  put_u16(bytes, size_field, 59);
  refused(bytes, {"Name at offset 44", "15 bytes"});
}

TEST_F(PolicyEntry, MoreThan255WildcardsAreRefused) {
  Policy policy{.name = std::u16string(255, u'#'), .guid = vendor};
  const Bytes most = bytes_from(policy);
  EXPECT_TRUE(parse(most));
  Bytes more(most.begin(), most.end() - 2);
  for (const char c : {'#', '\0', '\0', '\0'}) more.push_back(static_cast<std::byte>(c));
  put_u16(more, size_field, static_cast<std::uint16_t>(more.size()));
  refused(more, {"Name at offset 44", "256 wildcards", "at most 255"});
  policy.name->push_back(u'#');
  EXPECT_FALSE(variable::encode_policy(policy));
}

TEST_F(PolicyEntry, WhatHasNoBytesIsNotEncoded) {
  Policy policy = numbered;
  policy.name = std::u16string(u"A\0B", 3);
  EXPECT_FALSE(variable::encode_policy(policy)) << "a NUL in the name";
  policy = on_state;
  policy.state->name = std::u16string(u"A\0", 2);
  EXPECT_FALSE(variable::encode_policy(policy)) << "a NUL in the state variable's name";
  policy = numbered;
  policy.max_size_bytes = 0;
  EXPECT_FALSE(variable::encode_policy(policy)) << "a maximum of 0";
  policy = numbered;
  policy.lock = PolicyLock::on_var_state;
  EXPECT_FALSE(variable::encode_policy(policy)) << "no state";
  policy = on_state;
  policy.lock = PolicyLock::now;
  EXPECT_FALSE(variable::encode_policy(policy)) << "a state without its lock";
  policy = numbered;
  policy.name = std::u16string((65535 - 44) / 2 - 1, u'x');
  EXPECT_TRUE(variable::encode_policy(policy));
  policy.name->push_back(u'x');
  EXPECT_FALSE(variable::encode_policy(policy)) << "more than Size can say";
}

TEST_F(PolicyEntry, ListsAreEntriesBackToBack) {
  Bytes bytes = bytes_from(numbered);
  const Bytes second = bytes_from(on_state);
  bytes.insert(bytes.end(), second.begin(), second.end());
  EXPECT_EQ(variable::read_policies(bytes).value(), (std::vector{numbered, on_state}));
  EXPECT_TRUE(variable::read_policies({})->empty());
  bytes.back() = std::byte{1};
  const auto broken = variable::read_policies(bytes);
  ASSERT_FALSE(broken);
  EXPECT_THAT(broken.error().message, HasSubstr("entry 1 at 58: Name at offset 68: no NUL"));
}

TEST_F(PolicyEntry, ListsHaveALimit) {
  const Bytes one = bytes_from({.guid = vendor});
  Bytes bytes;
  for (std::size_t i = 0; i <= variable::max_policies; ++i) {
    if (i == variable::max_policies) {
      EXPECT_TRUE(variable::read_policies(bytes));
    }
    bytes.insert(bytes.end(), one.begin(), one.end());
  }
  EXPECT_THAT(variable::read_policies(bytes).error().message, HasSubstr("more than 1024"));
}

}  // namespace
}  // namespace efistore::test
