// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// MemoryOverwriteRequestControl and its lock (TCG PC Client Platform Reset Attack Mitigation).
#include <string>

#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using namespace std::string_literals;
using variable::Phase;

constexpr Guid control_guid = *Guid::parse("e20939be-32d4-41be-a150-897f85d49829");
constexpr Guid lock_guid = *Guid::parse("bb983ccf-151d-40e1-a07b-4a17be168292");
constexpr std::u16string_view lock_name = u"MemoryOverwriteRequestControlLock";

class MemoryOverwrite : public ServicesTest {
 protected:
  MemoryOverwrite() { start(); }

  EfiStatus set_control(std::string_view data, std::uint32_t attributes = nv_bs_rt) {
    return set(u"MemoryOverwriteRequestControl", attributes, data, control_guid);
  }
  EfiStatus set_lock(std::string_view data, std::uint32_t attributes = nv_bs_rt) {
    return set(lock_name, attributes, data, lock_guid);
  }
  std::string lock() const { return get(lock_name, lock_guid); }
};

TEST_F(MemoryOverwrite, ControlIsOneByteOfFixedAttributes) {
  EXPECT_EQ(set_control("\x01"), EfiStatus::success);
  EXPECT_EQ(set_control("12"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_control(""), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_control("1", nv_bs), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_control("1", nv_bs_rt | ap), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_control("", 0), EfiStatus::invalid_parameter);
}

TEST_F(MemoryOverwrite, SameNamesInOtherNamespacesAreOrdinary) {
  EXPECT_EQ(set(u"MemoryOverwriteRequestControl", nv_bs, "12"), EfiStatus::success);
  EXPECT_EQ(set(lock_name, nv_bs, "12"), EfiStatus::success);
}

TEST_F(MemoryOverwrite, LockCannotBeDeleted) {
  EXPECT_EQ(set_lock(""), EfiStatus::write_protected);
  EXPECT_EQ(set_lock("\0"s, 0), EfiStatus::write_protected);
  ASSERT_EQ(set_lock("\0"s), EfiStatus::success);
  EXPECT_EQ(set_lock(""), EfiStatus::write_protected);
  EXPECT_EQ(set_lock("", bs), EfiStatus::write_protected);
}

TEST_F(MemoryOverwrite, LockOfOtherAttributesOrSizesIsInvalidParameter) {
  EXPECT_EQ(set_lock("\1", nv_bs), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_lock("\1", nv_bs_rt | ap), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_lock("12"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_lock("1234567"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_lock("123456789"), EfiStatus::invalid_parameter);
}

TEST_F(MemoryOverwrite, LockTakesZeroAndOne) {
  EXPECT_EQ(set_lock("\0"s), EfiStatus::success);
  EXPECT_EQ(set_lock("\2"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_lock("\xff"), EfiStatus::invalid_parameter);
  EXPECT_EQ(lock(), "\0"s);
  EXPECT_EQ(set_lock("\1"), EfiStatus::success);
  EXPECT_EQ(lock(), "\1");
}

TEST_F(MemoryOverwrite, LockedControlIsAccessDenied) {
  ASSERT_EQ(set_control("\1"), EfiStatus::success);
  ASSERT_EQ(set_lock("\1"), EfiStatus::success);
  EXPECT_EQ(set_control("\0"s), EfiStatus::access_denied);
  // Malformed requests are told so first.
  EXPECT_EQ(set_control("12"), EfiStatus::invalid_parameter);
}

TEST_F(MemoryOverwrite, LockWithoutKeyStaysLockedUntilReset) {
  ASSERT_EQ(set_lock("\1"), EfiStatus::success);
  EXPECT_EQ(set_lock("\0"s), EfiStatus::access_denied);
  EXPECT_EQ(set_lock("\1"), EfiStatus::access_denied);
  EXPECT_EQ(set_lock("password"), EfiStatus::access_denied);
  restart();
  EXPECT_EQ(set_lock("\0"s), EfiStatus::success);
}

TEST_F(MemoryOverwrite, KeyLocksAndIsNeverShown) {
  EXPECT_EQ(set_lock("password"), EfiStatus::success);
  EXPECT_EQ(lock(), "\2");
  EXPECT_EQ(set_control("\1"), EfiStatus::access_denied);
}

TEST_F(MemoryOverwrite, SameKeyUnlocks) {
  ASSERT_EQ(set_lock("password"), EfiStatus::success);
  EXPECT_EQ(set_lock("password"), EfiStatus::success);
  EXPECT_EQ(lock(), "\0"s);
  EXPECT_EQ(set_control("\1"), EfiStatus::success);
}

TEST_F(MemoryOverwrite, AnythingButAKeyDoesNotSpendTheGuess) {
  ASSERT_EQ(set_lock("password"), EfiStatus::success);
  EXPECT_EQ(set_lock("\0"s), EfiStatus::access_denied);
  EXPECT_EQ(set_lock("12"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_lock("password"), EfiStatus::success);
}

TEST_F(MemoryOverwrite, WrongKeyIsAccessDeniedAndLocksUntilReset) {
  ASSERT_EQ(set_lock("password"), EfiStatus::success);
  EXPECT_EQ(set_lock("passwort"), EfiStatus::access_denied);
  EXPECT_EQ(set_lock("password"), EfiStatus::access_denied);
  EXPECT_EQ(lock(), "\2");
  restart();
  EXPECT_EQ(set_control("\1"), EfiStatus::success);
}

TEST_F(MemoryOverwrite, EndOfDxeShowsThatAResetUnlocked) {
  ASSERT_EQ(set_lock("\1"), EfiStatus::success);
  restart({.phase = Phase::boot_early});
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_EQ(lock(), "\0"s);
}

TEST_F(MemoryOverwrite, EndOfDxeKeepsALockOfThisBoot) {
  start({.options = {.phase = Phase::boot_early}});
  ASSERT_EQ(set_lock("\1"), EfiStatus::success);
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_EQ(lock(), "\1");
  EXPECT_EQ(set_control("\1"), EfiStatus::access_denied);
}

TEST_F(MemoryOverwrite, LockWorksAtRuntimeAndBeforeEndOfDxe) {
  for (const Phase phase : {Phase::boot_early, Phase::runtime}) {
    start({.options = {.phase = phase}});
    EXPECT_EQ(set_lock("\1"), EfiStatus::success);
    EXPECT_EQ(set_control("\1"), EfiStatus::access_denied);
  }
}

TEST_F(MemoryOverwrite, WhatCannotBeStoredDoesNotLock) {
  start({.options = {.write_ready = false}});
  EXPECT_EQ(set_lock("\1"), EfiStatus::not_available_yet);
  EXPECT_EQ(set_lock("password"), EfiStatus::not_available_yet);
  services().write_ready();
  EXPECT_EQ(set_control("\1"), EfiStatus::success);
}

TEST_F(MemoryOverwrite, WhatCannotBeStoredDoesNotUnlock) {
  start({.options = {.strict_runtime = true}});
  ASSERT_EQ(set_lock("password"), EfiStatus::success);
  const std::uint32_t left = store_capacity - services().store().usage().used;
  ASSERT_EQ(set(u"A", nv_bs_rt, std::string(left - 64, 'x')), EfiStatus::success);
  services().exit_boot_services();
  EXPECT_EQ(set_lock("password"), EfiStatus::out_of_resources);
  EXPECT_EQ(set_control("\1"), EfiStatus::access_denied);
}

}  // namespace
}  // namespace efistore::test
