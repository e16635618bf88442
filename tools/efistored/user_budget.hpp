// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What each user may write: variable::WriteBudget, with users in the place of vendors. The loop
// serves one request at a time and lets nobody wait, so who is over the budget is refused.
#pragma once

#include <cstdint>
#include <functional>

#include "efistore/mm/dispatcher.hpp"
#include "efistore/variable/write_budget.hpp"

namespace efistore::daemon {

class UserBudget final : public mm::WriteLimiter {
 public:
  using Clock = std::function<variable::WriteBudget::Time()>;

  UserBudget(variable::WriteBudget budget, Clock clock)
      : budget_(std::move(budget)), clock_(std::move(clock)) {}

  /// Errors: out_of_resources, with how long there is to wait.
  variable::EfiResult<void> admit(std::uint32_t user) override;
  void charge(std::uint32_t user, std::uint64_t cost) override;

 private:
  variable::WriteBudget budget_;
  Clock clock_;
};

}  // namespace efistore::daemon
