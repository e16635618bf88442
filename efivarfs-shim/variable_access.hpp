// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The file system's only door to the variable services. What lies behind it is the in-process
// implementation; everything above it sees names, bytes and statuses.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "efistore/base/guid.hpp"
#include "efistore/variable/services.hpp"
#include "efistore/variable/write_budget.hpp"

namespace efistore::shim {

/// Space for non-volatile variables at runtime, in bytes.
struct Space {
  std::uint64_t total = 0;
  std::uint64_t free = 0;
};

/// How much vendors may write, and the clock for it, which must be set.
struct BudgetPolicy {
  variable::WriteBudget budget;
  std::function<variable::WriteBudget::Time()> clock;
};

class VariableAccess {
 public:
  /// Without a policy nobody has to wait.
  explicit VariableAccess(variable::Services services,
                          std::optional<BudgetPolicy> policy = std::nullopt)
      : services_(std::move(services)), policy_(std::move(policy)) {}

  /// Errors: not_found.
  variable::EfiResult<variable::VariableView> get(std::u16string_view name,
                                                  const Guid& guid) const {
    return services_.get(name, guid);
  }

  /// Calls `visit` for every variable that can be seen, in the order of GetNextVariableName.
  /// `visit` must not change variables.
  void for_each(const std::function<void(const variable::VariableView&)>& visit) const;

  /// How long a vendor should wait with its next set().
  std::chrono::milliseconds write_wait(const Guid& vendor) {
    return policy_ ? policy_->budget.wait(vendor, policy_->clock()) : std::chrono::milliseconds(0);
  }

  /// At once, whatever write_wait() says. Errors: those of SetVariable.
  variable::EfiResult<void> set(const variable::SetRequest& request) {
    if (!policy_) return services_.set(request);
    return variable::set_and_charge(services_, request, policy_->budget, policy_->clock());
  }

  /// Compacts, if that is worth its while. Errors: those of SetVariable.
  variable::EfiResult<bool> reclaim_when_idle() { return services_.reclaim_when_idle(); }

  /// Errors: those of QueryVariableInfo.
  variable::EfiResult<Space> space() const;

 private:
  variable::Services services_;
  std::optional<BudgetPolicy> policy_;
};

}  // namespace efistore::shim
