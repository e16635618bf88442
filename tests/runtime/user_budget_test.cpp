// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "user_budget.hpp"

#include <gtest/gtest.h>

namespace efistore::daemon {
namespace {

using variable::WriteBudget;

class UserBudgetTest : public testing::Test {
 protected:
  EfiStatus admits(std::uint32_t user) { return budget_.admit(user).status(); }

  WriteBudget::Time now_{std::chrono::hours(1)};
  UserBudget budget_{WriteBudget::create({.bytes_per_hour = 3600, .burst_bytes = 1000}).value(),
                     [this] { return now_; }};
};

TEST_F(UserBudgetTest, WhoHasUsedItUpIsRefusedUntilTheDebtIsPaid) {
  EXPECT_EQ(admits(1000), EfiStatus::success);
  budget_.charge(1000, 1060);
  const auto refused = budget_.admit(1000);
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
  // Each byte of the number counts; root is a user as others are.
  for (const std::uint32_t user : {1U, 0x100U, 0U}) {
    budget_.charge(user, 1001);
    EXPECT_EQ(admits(user), EfiStatus::out_of_resources) << user;
    EXPECT_EQ(admits(0x10000), EfiStatus::success);
  }
}

TEST_F(UserBudgetTest, AllTogetherHaveFourTimesThat) {
  for (std::uint32_t user = 0; user < 5; ++user) budget_.charge(user, 1000);
  EXPECT_EQ(admits(100), EfiStatus::out_of_resources);
}

}  // namespace
}  // namespace efistore::daemon
