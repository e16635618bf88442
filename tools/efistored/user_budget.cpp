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

variable::EfiResult<void> UserBudget::admit(std::uint32_t user) {
  const auto wait = budget_.wait(key_of(user), clock_());
  if (wait.count() == 0) return {};
  return variable::refuse(
      EfiStatus::out_of_resources,
      fmt::format("the write budget is used up: user {} may write again in {} s", user,
                  std::chrono::ceil<std::chrono::seconds>(wait).count()));
}

void UserBudget::charge(std::uint32_t user, std::uint64_t cost) {
  budget_.charge(key_of(user), cost, clock_());
}

}  // namespace efistore::daemon
