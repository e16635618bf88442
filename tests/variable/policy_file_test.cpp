// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/variable/policy_file.hpp"

#include <gmock/gmock.h>

#include "efistore/base/crc32.hpp"

#include "store/store_fixture.hpp"

namespace efistore::test {
namespace {

using testing::HasSubstr;
using variable::encode_policy_file;
using variable::Policy;
using variable::PolicyFile;
using variable::PolicyLock;
using variable::read_policy_file;

constexpr std::size_t version_offset = 8;
constexpr std::size_t sum_offset = 12;
constexpr std::size_t summed_offset = 16;

const PolicyFile two{
    .locked_in_boot = vendor,
    .policies = {{.name = u"A", .guid = vendor, .lock = PolicyLock::now}, {.guid = vendor}}};

Bytes with_sum(Bytes bytes) {
  ByteWriter(std::span(bytes).subspan(sum_offset))
      .u32(crc32(std::span(bytes).subspan(summed_offset)));
  return bytes;
}

void damaged(const Bytes& bytes, const char* problem) {
  const auto read = read_policy_file(bytes);
  ASSERT_FALSE(read) << problem;
  EXPECT_EQ(read.error().code, Errc::damaged);
  EXPECT_THAT(read.error().message, HasSubstr(problem));
}

TEST(PolicyFile, ComesBackTheSame) {
  PolicyFile unlocked = two;
  unlocked.locked_in_boot.reset();
  for (const PolicyFile& file : {PolicyFile{}, two, unlocked}) {
    const Bytes bytes = encode_policy_file(file).value();
    EXPECT_EQ(read_policy_file(bytes).value(), file);
  }
}

TEST(PolicyFile, HasItsBytes) {
  const Bytes bytes = encode_policy_file(two).value();
  EXPECT_EQ(to_hex(std::span(bytes).first(sum_offset)),
            "656669706f6c6379"
            "01000000");
  EXPECT_EQ(bytes, with_sum(bytes));
  EXPECT_EQ(Guid::from_bytes(std::span(bytes).subspan(16)), vendor);
  Bytes entries = variable::encode_policy(two.policies[0]).value();
  const Bytes second = variable::encode_policy(two.policies[1]).value();
  entries.insert(entries.end(), second.begin(), second.end());
  EXPECT_EQ(Bytes(bytes.begin() + 32, bytes.end()), entries);
}

TEST(PolicyFile, EveryOtherByteIsDamage) {
  const Bytes bytes = encode_policy_file(two).value();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    Bytes changed = bytes;
    changed[i] ^= std::byte{1};
    EXPECT_FALSE(read_policy_file(changed)) << i;
    EXPECT_FALSE(read_policy_file(std::span(bytes).first(i))) << i;
  }
}

TEST(PolicyFile, DamageIsNamedWithItsPlace) {
  const Bytes bytes = encode_policy_file(two).value();
  damaged({}, "0 bytes, expected from 32");
  damaged(Bytes(31), "31 bytes, expected from 32");
  damaged(Bytes(variable::max_policy_file_size_bytes + 1), "expected from 32 to");
  Bytes changed = bytes;
  changed[0] = std::byte{'x'};
  damaged(changed, "Magic at offset 0: expected \"efipolcy\"");
  changed = bytes;
  changed[version_offset] = std::byte{2};
  damaged(changed, "Version at offset 8: 2, expected 1");
  changed = bytes;
  changed.back() = std::byte{1};
  damaged(changed, "Crc at offset 12");
  changed = bytes;
  changed.push_back({});
  damaged(with_sum(changed), "Entries at offset 32: entry 2 at 92: the entry at offset 0: 1 bytes");
}

TEST(PolicyFile, WhatCannotBeRegisteredAsAWholeIsDamage) {
  Bytes bytes = encode_policy_file(two).value();
  const Bytes again = variable::encode_policy(two.policies[0]).value();
  bytes.insert(bytes.end(), again.begin(), again.end());
  damaged(with_sum(bytes), "Entries at offset 32: there is a policy for A-");
  PolicyFile twice = two;
  twice.policies.push_back(twice.policies.front());
  const auto encoded = encode_policy_file(twice);
  ASSERT_FALSE(encoded);
  EXPECT_EQ(encoded.error().code, Errc::invalid_argument);
}

TEST(PolicyFile, TheLargestTableFits) {
  PolicyFile file;
  constexpr std::size_t entry_size = 0x8000;
  for (char16_t i = 0; i < variable::max_policy_table_size_bytes / entry_size; ++i) {
    std::u16string name((entry_size - 44) / 2 - 1, u'x');
    name[0] = static_cast<char16_t>(u'A' + i);
    file.policies.push_back({.name = name, .guid = vendor});
  }
  const Bytes bytes = encode_policy_file(file).value();
  EXPECT_EQ(bytes.size(), variable::max_policy_file_size_bytes);
  EXPECT_EQ(read_policy_file(bytes).value(), file);
}

}  // namespace
}  // namespace efistore::test
