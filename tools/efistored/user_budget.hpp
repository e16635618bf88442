// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What each user may write: variable::WriteBudget, with users in the place of vendors. The loop
// serves one request at a time and lets nobody wait, so who is over the budget is refused, and so
// is, before it is made, a write that costs more than its user has left: nobody shall use up at
// once what others have, too.
#pragma once

#include <cstdint>
#include <functional>

#include "efistore/mm/dispatcher.hpp"
#include "efistore/variable/write_budget.hpp"

namespace efistore::daemon {

class UserBudget final : public mm::WriteLimiter {
 public:
  using Clock = std::function<variable::WriteBudget::Time()>;

  /// root and `own`, the daemon's user, may write what they like. `budget` has own_debts.
  UserBudget(variable::WriteBudget budget, Clock clock, std::uint32_t own)
      : budget_(std::move(budget)), clock_(std::move(clock)), own_(own) {}

  /// Errors: out_of_resources, with how long there is to wait; access_denied, of what costs more
  /// than a user may ever write at once.
  variable::EfiResult<void> admit(std::uint32_t user, std::uint64_t cost) override;
  void charge(std::uint32_t user, std::uint64_t cost) override;

 private:
  bool is_trusted(std::uint32_t user) const noexcept { return user == 0 || user == own_; }

  variable::WriteBudget budget_;
  Clock clock_;
  std::uint32_t own_;
};

}  // namespace efistore::daemon
