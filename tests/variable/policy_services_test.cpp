// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Policies in the services: when SetVariable asks them, and what locks their interface.
#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using variable::Phase;
using variable::Policy;
using variable::PolicyLock;
using variable::PolicyState;

Policy policy_of(std::u16string_view name, PolicyLock lock = PolicyLock::none,
                 const Guid& guid = vendor) {
  return {.name = std::u16string(name), .guid = guid, .lock = lock};
}

class PolicyServices : public ServicesTest {
 protected:
  void start_with(std::vector<Policy> policies, Phase phase = Phase::boot) {
    start({.options = {.phase = phase, .policies = std::move(policies)}});
  }
};

TEST_F(PolicyServices, BeforeEndOfDxeNothingIsEnforced) {
  Policy policy = policy_of(u"A", PolicyLock::now);
  policy.min_size_bytes = 3;
  start_with({policy}, Phase::boot_early);
  EXPECT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_EQ(set(u"A", nv_bs_rt, "2"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", nv_bs_rt, "123"), EfiStatus::write_protected);
  EXPECT_EQ(set(u"A", 0, ""), EfiStatus::write_protected);
  EXPECT_EQ(get(u"A"), "1");
}

TEST_F(PolicyServices, AtRuntimeTheyAreEnforced) {
  start_with({policy_of(u"A", PolicyLock::now)});
  services().exit_boot_services();
  EXPECT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::write_protected);
  EXPECT_EQ(set(u"B", nv_bs_rt, "1"), EfiStatus::success);
}

TEST_F(PolicyServices, LockedOnCreateIsWrittenOnce) {
  start_with({policy_of(u"A", PolicyLock::on_create)});
  EXPECT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt, "2"), EfiStatus::write_protected);
  EXPECT_EQ(set(u"A", nv_bs_rt, ""), EfiStatus::write_protected);
  EXPECT_EQ(set(u"A", nv_bs_rt | ap, "2"), EfiStatus::write_protected);
  EXPECT_EQ(get(u"A"), "1");
}

TEST_F(PolicyServices, StateVariableMayBeVolatile) {
  Policy policy = policy_of(u"A", PolicyLock::on_var_state);
  policy.state = PolicyState{.name = u"S", .guid = vendor, .value = '1'};
  start_with({policy});
  EXPECT_EQ(set(u"S", bs, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt, "x"), EfiStatus::write_protected);
  EXPECT_EQ(set(u"S", bs, "0"), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt, "x"), EfiStatus::success);
}

TEST_F(PolicyServices, AtRuntimeABootOnlyStateVariableLocksNothing) {
  Policy policy = policy_of(u"A", PolicyLock::on_var_state);
  policy.state = PolicyState{.name = u"S", .guid = vendor, .value = '1'};
  start_with({policy});
  ASSERT_EQ(set(u"S", nv_bs, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt, "x"), EfiStatus::write_protected);
  services().exit_boot_services();
  EXPECT_EQ(set(u"A", nv_bs_rt, "x"), EfiStatus::success);
}

TEST_F(PolicyServices, SizeIsThatOfThePayloadBehindTheDescriptor) {
  Policy policy = policy_of(u"A");
  policy.max_size_bytes = 3;
  start_with({policy});
  const std::uint32_t signed_attributes = nv_bs_rt | at;
  EXPECT_EQ(set(u"A", signed_attributes, unsigned_auth2("1234")), EfiStatus::invalid_parameter);
  // What the policy lets through fails for its signature.
  EXPECT_NE(set(u"A", signed_attributes, unsigned_auth2("123")), EfiStatus::invalid_parameter);
}

TEST_F(PolicyServices, PropertiesAndContentComeFirst) {
  start_with({policy_of(u"Timeout", PolicyLock::now, guids::global_variable),
              policy_of(u"Foo", PolicyLock::now, guids::global_variable),
              policy_of(u"BootOrder", PolicyLock::now, guids::global_variable)});
  EXPECT_EQ(set_global(u"Timeout", nv_bs_rt, "123"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"Foo", nv_bs_rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"BootOrder", nv_bs_rt, "123"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"BootOrder", nv_bs_rt, "12"), EfiStatus::write_protected);
}

TEST_F(PolicyServices, PoliciesComeBeforeWhatIsStored) {
  start_with({policy_of(u"A", PolicyLock::now)});
  EXPECT_EQ(set(u"A", nv_bs_rt, ""), EfiStatus::write_protected) << "not NOT_FOUND";
  Policy policy = policy_of(u"A");
  policy.attributes_must_have = nv;
  start_with({policy, policy_of(u"B", PolicyLock::on_create)});
  ASSERT_EQ(set(u"B", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"B", nv_bs, "1"), EfiStatus::write_protected) << "not the stored attributes";
}

TEST_F(PolicyServices, OtherLanguageFollowsAlsoIfItIsLocked) {
  start_with({policy_of(u"Lang", PolicyLock::now, guids::global_variable)});
  ASSERT_EQ(set_global(u"PlatformLangCodes", bs_rt, std::string("en;de", 6)), EfiStatus::success);
  ASSERT_EQ(set_global(u"LangCodes", bs_rt, std::string("engger", 7)), EfiStatus::success);
  EXPECT_EQ(set_global(u"PlatformLang", nv_bs_rt, std::string("de", 3)), EfiStatus::success);
  EXPECT_EQ(get_global(u"Lang"), std::string("ger", 4));
  EXPECT_EQ(set_global(u"Lang", nv_bs_rt, std::string("eng", 4)), EfiStatus::write_protected);
}

TEST_F(PolicyServices, EndOfDxeLocksTheInterface) {
  start({.options = {.phase = Phase::boot_early, .policy_disable_allowed = true}});
  EXPECT_FALSE(services().policies().locked());
  EXPECT_EQ(services().policies().register_policy(policy_of(u"A")).status(), EfiStatus::success);
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_TRUE(services().policies().locked());
  EXPECT_EQ(services().policies().register_policy(policy_of(u"B")).status(),
            EfiStatus::write_protected);
  EXPECT_EQ(services().policies().disable().status(), EfiStatus::write_protected);
  EXPECT_TRUE(services().end_of_dxe()) << "again";
}

TEST_F(PolicyServices, EndOfDxeFindsItLockedAlready) {
  start({.options = {.phase = Phase::boot_early}});
  ASSERT_TRUE(services().policies().lock());
  EXPECT_TRUE(services().end_of_dxe());
  EXPECT_TRUE(services().policies().locked());
}

TEST_F(PolicyServices, ReadyToBootLocksWhereEndOfDxeWasLeftOut) {
  start({.options = {.phase = Phase::boot_early}});
  ASSERT_TRUE(services().ready_to_boot());
  EXPECT_TRUE(services().policies().locked());
}

TEST_F(PolicyServices, ExitBootServicesLocksWhereBothWereLeftOut) {
  start({.options = {.phase = Phase::boot_early}});
  services().exit_boot_services();
  EXPECT_TRUE(services().policies().locked());
}

TEST_F(PolicyServices, ServicesThatStartBehindEndOfDxeAreLocked) {
  for (const Phase phase : {Phase::boot, Phase::runtime}) {
    start_with({policy_of(u"A")}, phase);
    EXPECT_TRUE(services().policies().locked());
    EXPECT_EQ(services().policies().policies().size(), 1U);
  }
}

TEST_F(PolicyServices, DisabledBeforeEndOfDxeIsDisabledForTheBoot) {
  start({.options = {.phase = Phase::boot_early,
                     .policies = {policy_of(u"A", PolicyLock::now)},
                     .policy_disable_allowed = true}});
  ASSERT_TRUE(services().policies().disable());
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
}

TEST(PolicyCreation, PoliciesThatTheTableDoesNotTakeAreInvalidArgument) {
  Policy malformed = policy_of(u"A");
  malformed.max_size_bytes = 0;
  for (const std::vector<Policy>& policies :
       {std::vector{malformed}, std::vector{policy_of(u"A"), policy_of(u"A")}}) {
    auto store = store::VariableStore::open(device_of(blank_image(small_layout()))).value();
    const auto created = variable::Services::create(std::move(store), {.policies = policies});
    ASSERT_FALSE(created);
    EXPECT_EQ(created.error().code, Errc::invalid_argument);
    EXPECT_NE(created.error().message.find("the policy for A-"), std::string::npos);
  }
}

class VariableLock : public ServicesTest {
 protected:
  VariableLock() { start({.options = {.phase = Phase::boot_early}}); }
};

TEST_F(VariableLock, LocksFromEndOfDxeOn) {
  EXPECT_EQ(services().lock_variable(u"A", vendor).status(), EfiStatus::success);
  EXPECT_EQ(services().policies().policies().front(), policy_of(u"A", PolicyLock::now));
  EXPECT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_EQ(set(u"A", nv_bs_rt, "2"), EfiStatus::write_protected);
}

TEST_F(VariableLock, IsSuccessWhereItIsLockedAlreadyAndNotWhereThereIsAnotherPolicy) {
  EXPECT_EQ(services().lock_variable(u"A", vendor).status(), EfiStatus::success);
  EXPECT_EQ(services().lock_variable(u"A", vendor).status(), EfiStatus::success);
  ASSERT_TRUE(services().policies().register_policy(policy_of(u"B", PolicyLock::on_create)));
  EXPECT_EQ(services().lock_variable(u"B", vendor).status(), EfiStatus::already_started);
  EXPECT_EQ(services().policies().policies().size(), 2U);
}

TEST_F(VariableLock, EmptyNameIsInvalidParameter) {
  EXPECT_EQ(services().lock_variable(u"", vendor).status(), EfiStatus::invalid_parameter);
}

TEST_F(VariableLock, AfterEndOfDxeIsAccessDenied) {
  ASSERT_TRUE(services().lock_variable(u"A", vendor));
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_EQ(services().lock_variable(u"A", vendor).status(), EfiStatus::access_denied);
  EXPECT_EQ(services().lock_variable(u"B", vendor).status(), EfiStatus::access_denied);
}

TEST_F(VariableLock, WithALockedInterfaceIsWriteProtected) {
  ASSERT_TRUE(services().policies().lock());
  EXPECT_EQ(services().lock_variable(u"A", vendor).status(), EfiStatus::write_protected);
}

}  // namespace
}  // namespace efistore::test
