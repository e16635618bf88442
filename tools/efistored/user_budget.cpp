// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "user_budget.hpp"

#include <fmt/format.h>

#include "efistore/base/bytes.hpp"

namespace efistore::daemon {

namespace {

/// The key under which the budget has the user.
Guid key_of(std::uint32_t user) noexcept {
  Guid key;
  ByteWriter(key.bytes).u32(user);
  return key;
}

}  // namespace

variable::EfiResult<void> UserBudget::admit(std::uint32_t user, std::uint64_t cost) {
  if (is_trusted(user)) return {};
  if (cost > budget_.options().burst_bytes) {
    return variable::refuse(
        EfiStatus::access_denied,
        fmt::format("that costs {} bytes of the write budget, and a user may write {} at once",
                    cost, budget_.options().burst_bytes));
  }
  const auto wait = budget_.wait(key_of(user), clock_(), cost);
  if (wait.count() == 0) return {};
  return variable::refuse(
      EfiStatus::out_of_resources,
      fmt::format("the write budget is used up: user {} may write again in {} s", user,
                  std::chrono::ceil<std::chrono::seconds>(wait).count()));
}

void UserBudget::charge(std::uint32_t user, std::uint64_t cost) {
  if (is_trusted(user)) return;
  budget_.charge(key_of(user), cost, clock_());
}

}  // namespace efistore::daemon
