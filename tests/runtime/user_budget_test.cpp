// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "user_budget.hpp"

#include <gtest/gtest.h>

namespace efistore::daemon {
namespace {

using variable::WriteBudget;

constexpr std::uint32_t own_user = 110;

class UserBudgetTest : public testing::Test {
 protected:
  EfiStatus admits(std::uint32_t user, std::uint64_t cost = 0) {
    return budget_.admit(user, cost).status();
  }

  WriteBudget::Time now_{std::chrono::hours(1)};
  UserBudget budget_{
      WriteBudget::create({.bytes_per_hour = 3600, .burst_bytes = 1000, .own_debts = true}).value(),
      [this] { return now_; }, own_user};
};

TEST_F(UserBudgetTest, WhoHasUsedItUpIsRefusedUntilTheDebtIsPaid) {
  EXPECT_EQ(admits(1000), EfiStatus::success);
  budget_.charge(1000, 1060);
  const auto refused = budget_.admit(1000, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, EfiStatus::out_of_resources);
  EXPECT_EQ(refused.error().reason,
            "the write budget is used up: user 1000 may write again in 60 s");
  now_ += std::chrono::seconds(59);
  EXPECT_EQ(admits(1000), EfiStatus::out_of_resources);
  now_ += std::chrono::seconds(1);
  EXPECT_EQ(admits(1000), EfiStatus::success);
}

TEST_F(UserBudgetTest, UsersHaveTheirOwn) {
  // Each byte of the number counts.
  for (const std::uint32_t user : {1U, 0x100U, 0x1000000U}) {
    budget_.charge(user, 1001);
    EXPECT_EQ(admits(user), EfiStatus::out_of_resources) << user;
    EXPECT_EQ(admits(0x10000), EfiStatus::success);
  }
}

TEST_F(UserBudgetTest, AllTogetherHaveFourTimesThat) {
  for (std::uint32_t user = 1; user < 6; ++user) budget_.charge(user, 1000);
  EXPECT_EQ(admits(100), EfiStatus::out_of_resources);
}

TEST_F(UserBudgetTest, RootAndTheDaemonsUserAreOutsideOfIt) {
  for (const std::uint32_t user : {0U, own_user}) {
    for (int i = 0; i < 10; ++i) budget_.charge(user, 1 << 20);
    EXPECT_EQ(admits(user, 1 << 20), EfiStatus::success) << user;
  }
  // Nor do they take what others have.
  EXPECT_EQ(admits(1000, 1000), EfiStatus::success);
  for (std::uint32_t user = 1; user < 6; ++user) budget_.charge(user, 1000);
  EXPECT_EQ(admits(1000), EfiStatus::out_of_resources);
  EXPECT_EQ(admits(0), EfiStatus::success);
}

TEST_F(UserBudgetTest, WhatCostsMoreThanOneHasLeftIsRefusedBefore) {
  EXPECT_EQ(admits(1000, 1000), EfiStatus::success);
  budget_.charge(1000, 400);
  EXPECT_EQ(admits(1000, 600), EfiStatus::success);
  const auto later = budget_.admit(1000, 660);
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error().status, EfiStatus::out_of_resources);
  EXPECT_EQ(later.error().reason, "the write budget is used up: user 1000 may write again in 60 s");
  const auto never = budget_.admit(1000, 1001);
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().status, EfiStatus::access_denied);
  EXPECT_EQ(never.error().reason,
            "that costs 1001 bytes of the write budget, and a user may write 1000 at once");
}

TEST_F(UserBudgetTest, NobodyKeepsOthersOutForLongerThanTheirOwnShare) {
  // What is not known before, as what is kept along with an authenticated variable.
  budget_.charge(1000, std::uint64_t{1} << 30);
  EXPECT_EQ(admits(1001), EfiStatus::out_of_resources);
  now_ += std::chrono::seconds(250);
  EXPECT_EQ(admits(1001), EfiStatus::success);
  EXPECT_EQ(admits(1000), EfiStatus::out_of_resources);
}

}  // namespace
}  // namespace efistore::daemon
