// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The policy table by itself: its interface, which policy applies, and what that refuses.
#include "efistore/variable/policy.hpp"

#include <gtest/gtest.h>

#include <map>

#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using variable::encode_policy;
using variable::Policy;
using variable::PolicyLock;
using variable::PolicyState;
using variable::PolicyTable;

constexpr Guid other_guid = *Guid::parse("21223344-5566-7788-99aa-bbccddeeff00");

Policy named(std::u16string_view name) {
  return {.name = std::u16string(name), .guid = vendor};
}

Policy locked_now(std::u16string_view name) {
  return {.name = std::u16string(name), .guid = vendor, .lock = PolicyLock::now};
}

class PolicyTables : public testing::Test {
 protected:
  EfiStatus add(const Policy& policy) { return table_.register_policy(policy).status(); }

  /// The name of the policy that applies: "*" for a namespace's, "-" for none.
  std::u16string applies_to(std::u16string_view name, const Guid& guid = vendor) const {
    const auto info = table_.info(name, guid);
    if (!info) {
      EXPECT_EQ(info.status(), EfiStatus::not_found);
      return u"-";
    }
    return (*info)->name.value_or(u"*");
  }

  EfiStatus check(std::u16string_view name, std::size_t size = 1,
                  std::uint32_t attributes = nv_bs_rt) const {
    const auto lookup = [this](std::u16string_view wanted, const Guid& guid) {
      const auto found = variables_.find(std::u16string(wanted));
      using Data = std::optional<std::span<const std::byte>>;
      return found != variables_.end() && guid == vendor ? Data(as_bytes(found->second)) : Data();
    };
    return table_
        .check({.name = name, .guid = vendor, .attributes = attributes, .data_size = size}, lookup)
        .status();
  }

  PolicyTable table_;
  std::map<std::u16string, std::string> variables_;
};

class PolicyInterface : public PolicyTables {};

TEST_F(PolicyInterface, DumpIsAllEntriesInTheirOrder) {
  EXPECT_TRUE(table_.dump().empty());
  const Policy state{.guid = vendor,
                     .lock = PolicyLock::on_var_state,
                     .state = PolicyState{.name = u"S", .guid = other_guid, .value = 1}};
  Bytes expected;
  for (const Policy& policy : {named(u"B"), state, named(u"A")}) {
    ASSERT_EQ(add(policy), EfiStatus::success);
    const Bytes entry = encode_policy(policy).value();
    expected.insert(expected.end(), entry.begin(), entry.end());
  }
  EXPECT_EQ(table_.dump(), expected);
}

TEST_F(PolicyInterface, EntriesAreRegisteredByTheirBytes) {
  Bytes entry = encode_policy(named(u"A")).value();
  Bytes with_tail = entry;
  with_tail.push_back(std::byte{1});
  EXPECT_EQ(table_.register_entry(with_tail).status(), EfiStatus::success);
  EXPECT_EQ(table_.dump(), entry);
  EXPECT_EQ(table_.register_entry({}).status(), EfiStatus::invalid_parameter);
  entry[0] = std::byte{7};
  const auto refused = table_.register_entry(entry);
  EXPECT_EQ(refused.status(), EfiStatus::invalid_parameter);
  EXPECT_NE(refused.error().reason.find("Version at offset 0"), std::string::npos);
  EXPECT_EQ(table_.policies().size(), 1U);
}

TEST_F(PolicyInterface, MalformedPoliciesAreInvalidParameter) {
  Policy policy = named(u"A");
  policy.max_size_bytes = 0;
  EXPECT_EQ(add(policy), EfiStatus::invalid_parameter);
  EXPECT_TRUE(table_.policies().empty());
}

TEST_F(PolicyInterface, SameGuidAndNameAgainIsAlreadyStarted) {
  for (const Policy& policy : {named(u"A"), named(u"A##"), Policy{.guid = vendor}}) {
    Policy again = policy;
    again.lock = PolicyLock::now;
    EXPECT_EQ(add(policy), EfiStatus::success);
    EXPECT_EQ(add(policy), EfiStatus::already_started);
    EXPECT_EQ(add(again), EfiStatus::already_started);
    again.guid = other_guid;
    EXPECT_EQ(add(again), EfiStatus::success);
  }
  EXPECT_EQ(add(named(u"A#0")), EfiStatus::success);
  EXPECT_EQ(add(named(u"a")), EfiStatus::success);
}

TEST_F(PolicyInterface, LockedIsWriteProtectedBeforeAllElse) {
  ASSERT_EQ(add(named(u"A")), EfiStatus::success);
  EXPECT_FALSE(table_.locked());
  EXPECT_EQ(table_.lock().status(), EfiStatus::success);
  EXPECT_TRUE(table_.locked());
  EXPECT_EQ(table_.lock().status(), EfiStatus::write_protected);
  EXPECT_EQ(add(named(u"B")), EfiStatus::write_protected);
  EXPECT_EQ(add(named(u"A")), EfiStatus::write_protected);
  EXPECT_EQ(table_.register_entry({}).status(), EfiStatus::write_protected);
  EXPECT_EQ(table_.policies().size(), 1U);
  EXPECT_TRUE(table_.enabled());
}

TEST_F(PolicyInterface, LockedStillEnforces) {
  ASSERT_EQ(add(locked_now(u"A")), EfiStatus::success);
  ASSERT_TRUE(table_.lock());
  EXPECT_EQ(check(u"A"), EfiStatus::write_protected);
}

TEST_F(PolicyInterface, DisablingIsRefusedUnlessThePlatformAllowsIt) {
  EXPECT_EQ(table_.disable().status(), EfiStatus::write_protected);
  EXPECT_TRUE(table_.enabled());
  table_ = PolicyTable(true);
  EXPECT_EQ(table_.disable().status(), EfiStatus::success);
  EXPECT_FALSE(table_.enabled());
}

TEST_F(PolicyInterface, DisablingAgainIsAlreadyStartedAndWhenLockedWriteProtected) {
  table_ = PolicyTable(true);
  ASSERT_TRUE(table_.disable());
  EXPECT_EQ(table_.disable().status(), EfiStatus::already_started);
  ASSERT_TRUE(table_.lock());
  EXPECT_EQ(table_.disable().status(), EfiStatus::already_started) << "before the lock";
  table_ = PolicyTable(true);
  ASSERT_TRUE(table_.lock());
  EXPECT_EQ(table_.disable().status(), EfiStatus::write_protected);
  EXPECT_TRUE(table_.enabled());
}

TEST_F(PolicyInterface, DisabledEnforcesNothingAndIsRegisteredTo) {
  table_ = PolicyTable(true);
  ASSERT_EQ(add(locked_now(u"A")), EfiStatus::success);
  ASSERT_TRUE(table_.disable());
  EXPECT_EQ(check(u"A"), EfiStatus::success);
  EXPECT_EQ(add(named(u"B")), EfiStatus::success);
  EXPECT_EQ(table_.policies().size(), 2U);
}

TEST_F(PolicyInterface, InfoIsThePolicyThatApplies) {
  ASSERT_EQ(add(named(u"A#")), EfiStatus::success);
  EXPECT_EQ(*table_.info(u"A1", vendor).value(), named(u"A#"));
  EXPECT_EQ(table_.info(u"A", vendor).status(), EfiStatus::not_found);
  EXPECT_EQ(table_.info(u"A1", other_guid).status(), EfiStatus::not_found);
}

TEST_F(PolicyInterface, LockStateInfoIsOfThatLockOnly) {
  const PolicyState state{.name = u"S", .guid = other_guid, .value = 3};
  ASSERT_EQ(add({.guid = vendor, .lock = PolicyLock::on_var_state, .state = state}),
            EfiStatus::success);
  ASSERT_EQ(add(locked_now(u"A")), EfiStatus::success);
  EXPECT_EQ(*table_.lock_state_info(u"B", vendor).value(), state);
  EXPECT_EQ(table_.lock_state_info(u"A", vendor).status(), EfiStatus::not_found);
  EXPECT_EQ(table_.lock_state_info(u"B", other_guid).status(), EfiStatus::not_found);
}

TEST_F(PolicyInterface, NumberOfEntriesIsLimited) {
  for (std::size_t i = 0; i < variable::max_policies; ++i) {
    ASSERT_EQ(add(named(std::u16string(1, static_cast<char16_t>(0x4e00 + i)))), EfiStatus::success);
  }
  EXPECT_EQ(add(named(u"A")), EfiStatus::out_of_resources);
  EXPECT_EQ(table_.policies().size(), variable::max_policies);
}

TEST_F(PolicyInterface, SizeOfAllEntriesIsLimited) {
  constexpr std::size_t entry_size = 0x8000;
  constexpr std::size_t entries = variable::max_policy_table_size_bytes / entry_size;
  std::u16string name((entry_size - 44) / 2 - 1, u'x');
  for (std::size_t i = 0; i < entries; ++i) {
    name[0] = static_cast<char16_t>(u'A' + i);
    ASSERT_EQ(add(named(name)), EfiStatus::success);
  }
  EXPECT_EQ(table_.dump().size(), variable::max_policy_table_size_bytes);
  EXPECT_EQ(add({.guid = vendor}), EfiStatus::out_of_resources);
}

class PolicyMatch : public PolicyTables {};

TEST_F(PolicyMatch, NameIsCaseSensitiveAndWhole) {
  ASSERT_EQ(add(named(u"Ab")), EfiStatus::success);
  EXPECT_EQ(applies_to(u"Ab"), u"Ab");
  for (const char16_t* name : {u"ab", u"A", u"Abc", u"bAb", u""}) EXPECT_EQ(applies_to(name), u"-");
  EXPECT_EQ(applies_to(u"Ab", other_guid), u"-");
}

TEST_F(PolicyMatch, WildcardIsOneHexadecimalDigitOfAnyCase) {
  ASSERT_EQ(add(named(u"X#")), EfiStatus::success);
  for (const char16_t* name : {u"X0", u"X9", u"XA", u"XF", u"Xa", u"Xf"}) {
    EXPECT_EQ(applies_to(name), u"X#");
  }
  for (const char16_t* name : {u"X", u"X00", u"X/", u"X:", u"X@", u"XG", u"X`", u"Xg", u"X#"}) {
    EXPECT_EQ(applies_to(name), u"-");
  }
}

TEST_F(PolicyMatch, FewestWildcardsWinWhateverTheOrder) {
  for (const char16_t* name : {u"B###", u"B#0#", u"B000"}) {
    ASSERT_EQ(add(named(name)), EfiStatus::success);
  }
  EXPECT_EQ(applies_to(u"B000"), u"B000");
  EXPECT_EQ(applies_to(u"B001"), u"B#0#");
  EXPECT_EQ(applies_to(u"B011"), u"B###");
  table_ = PolicyTable();
  for (const char16_t* name : {u"B000", u"B#0#", u"B###"}) {
    ASSERT_EQ(add(named(name)), EfiStatus::success);
  }
  EXPECT_EQ(applies_to(u"B000"), u"B000");
  EXPECT_EQ(applies_to(u"B001"), u"B#0#");
  EXPECT_EQ(applies_to(u"B011"), u"B###");
}

TEST_F(PolicyMatch, OfAsManyWildcardsTheFirstWins) {
  ASSERT_EQ(add(named(u"B#0")), EfiStatus::success);
  ASSERT_EQ(add(named(u"B0#")), EfiStatus::success);
  EXPECT_EQ(applies_to(u"B00"), u"B#0");
}

TEST_F(PolicyMatch, NamespaceIsForWhatNothingElseIsFor) {
  ASSERT_EQ(add({.guid = vendor}), EfiStatus::success);
  ASSERT_EQ(add(named(u"B####")), EfiStatus::success);
  EXPECT_EQ(applies_to(u"B0000"), u"B####");
  EXPECT_EQ(applies_to(u"C"), u"*");
  EXPECT_EQ(applies_to(u"C", other_guid), u"-");
}

TEST_F(PolicyMatch, OnlyTheBestIsEnforced) {
  ASSERT_EQ(add({.guid = vendor, .lock = PolicyLock::now}), EfiStatus::success);
  ASSERT_EQ(add(named(u"A")), EfiStatus::success);
  EXPECT_EQ(check(u"A"), EfiStatus::success);
  EXPECT_EQ(check(u"B"), EfiStatus::write_protected);
}

class PolicyCheck : public PolicyTables {};

TEST_F(PolicyCheck, WithoutAPolicyEverythingIsAllowed) {
  EXPECT_EQ(check(u"A"), EfiStatus::success);
  EXPECT_EQ(check(u"A", 0), EfiStatus::success);
}

TEST_F(PolicyCheck, SizesAreInclusive) {
  Policy policy = named(u"A");
  policy.min_size_bytes = 2;
  policy.max_size_bytes = 4;
  ASSERT_EQ(add(policy), EfiStatus::success);
  EXPECT_EQ(check(u"A", 1), EfiStatus::invalid_parameter);
  EXPECT_EQ(check(u"A", 2), EfiStatus::success);
  EXPECT_EQ(check(u"A", 4), EfiStatus::success);
  EXPECT_EQ(check(u"A", 5), EfiStatus::invalid_parameter);
}

TEST_F(PolicyCheck, SizeIsThatOfWhatIsAppended) {
  Policy policy = named(u"A");
  policy.min_size_bytes = 2;
  ASSERT_EQ(add(policy), EfiStatus::success);
  EXPECT_EQ(check(u"A", 2, nv_bs_rt | ap), EfiStatus::success);
  EXPECT_EQ(check(u"A", 0, nv_bs_rt | ap), EfiStatus::invalid_parameter) << "no deletion";
}

TEST_F(PolicyCheck, AttributesThatMustBeThereAndThatMustNot) {
  Policy policy = named(u"A");
  policy.attributes_must_have = nv_bs;
  policy.attributes_cant_have = rt | ap;
  ASSERT_EQ(add(policy), EfiStatus::success);
  EXPECT_EQ(check(u"A", 1, nv_bs), EfiStatus::success);
  EXPECT_EQ(check(u"A", 1, bs), EfiStatus::invalid_parameter);
  EXPECT_EQ(check(u"A", 1, nv_bs_rt), EfiStatus::invalid_parameter);
  EXPECT_EQ(check(u"A", 1, nv_bs | ap), EfiStatus::invalid_parameter);
}

TEST_F(PolicyCheck, DeletionHasNeitherSizeNorAttributes) {
  Policy policy = named(u"A");
  policy.min_size_bytes = 2;
  policy.attributes_must_have = nv_bs_rt;
  ASSERT_EQ(add(policy), EfiStatus::success);
  EXPECT_EQ(check(u"A", 0, 0), EfiStatus::success);
  EXPECT_EQ(check(u"A", 0, bs), EfiStatus::success);
  EXPECT_EQ(check(u"A", 3, 0), EfiStatus::invalid_parameter) << "data is no deletion here";
}

TEST_F(PolicyCheck, ContentIsCheckedBeforeTheLock) {
  Policy policy = locked_now(u"A");
  policy.max_size_bytes = 4;
  ASSERT_EQ(add(policy), EfiStatus::success);
  EXPECT_EQ(check(u"A", 5), EfiStatus::invalid_parameter);
  EXPECT_EQ(check(u"A", 4), EfiStatus::write_protected);
}

TEST_F(PolicyCheck, LockedNowIsWriteProtectedAlsoForDeletion) {
  ASSERT_EQ(add(locked_now(u"A")), EfiStatus::success);
  EXPECT_EQ(check(u"A"), EfiStatus::write_protected);
  EXPECT_EQ(check(u"A", 0, 0), EfiStatus::write_protected);
}

TEST_F(PolicyCheck, LockedOnCreateIsWriteProtectedWhileItExists) {
  Policy policy = named(u"A");
  policy.lock = PolicyLock::on_create;
  ASSERT_EQ(add(policy), EfiStatus::success);
  EXPECT_EQ(check(u"A"), EfiStatus::success);
  variables_[u"A"] = "x";
  EXPECT_EQ(check(u"A"), EfiStatus::write_protected);
  EXPECT_EQ(check(u"A", 0), EfiStatus::write_protected);
  variables_.clear();
  EXPECT_EQ(check(u"A"), EfiStatus::success);
}

TEST_F(PolicyCheck, LockedOnStateIsWriteProtectedWhileTheOneByteHasTheValue) {
  ASSERT_EQ(add({.name = u"A",
                 .guid = vendor,
                 .lock = PolicyLock::on_var_state,
                 .state = PolicyState{.name = u"S", .guid = vendor, .value = '1'}}),
            EfiStatus::success);
  EXPECT_EQ(check(u"A"), EfiStatus::success) << "there is no state variable";
  for (const auto& [state, status] :
       {std::pair{"1", EfiStatus::write_protected}, std::pair{"2", EfiStatus::success},
        std::pair{"11", EfiStatus::success}}) {
    variables_[u"S"] = state;
    EXPECT_EQ(check(u"A"), status) << state;
    EXPECT_EQ(check(u"A", 0), status) << state;
  }
}

TEST_F(PolicyCheck, StateVariableIsOfItsOwnNamespace) {
  ASSERT_EQ(add({.name = u"A",
                 .guid = vendor,
                 .lock = PolicyLock::on_var_state,
                 .state = PolicyState{.name = u"S", .guid = other_guid, .value = '1'}}),
            EfiStatus::success);
  variables_[u"S"] = "1";
  EXPECT_EQ(check(u"A"), EfiStatus::success);
}

}  // namespace
}  // namespace efistore::test
