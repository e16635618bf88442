// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The file system's only door to the variable services, in this process or in a daemon; everything
// above it sees names, bytes and statuses.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "efistore/base/guid.hpp"
#include "efistore/runtime/client.hpp"
#include "efistore/variable/services.hpp"
#include "efistore/variable/variable_id.hpp"
#include "efistore/variable/write_budget.hpp"

namespace efistore::shim {

/// Space for non-volatile variables at runtime, in bytes.
struct Space {
  std::uint64_t total = 0;
  std::uint64_t free = 0;
};

/// A variable that has a file, or could have one.
struct ListedVariable {
  std::u16string_view name;
  Guid guid;
  std::uint64_t data_size = 0;
};

/// How much vendors may write, and the clock for it, which must be set.
struct BudgetPolicy {
  variable::WriteBudget budget;
  std::function<variable::WriteBudget::Time()> clock;
};

/// What others have changed.
struct ForeignChanges {
  std::vector<variable::VariableId> ids{};
  bool any = false;  ///< also with no name in `ids`: look at all variables again
};

class VariableAccess {
 public:
  virtual ~VariableAccess() = default;

  /// The data is valid until the next call. Errors: not_found.
  virtual variable::EfiResult<variable::VariableView> get(std::u16string_view name,
                                                          const Guid& guid) = 0;

  /// Calls `visit` for every variable that can be seen, in the order of GetNextVariableName;
  /// `visit` must not change variables. False if they cannot be had: then it may not have been
  /// called, or not for all.
  virtual bool for_each(const std::function<void(const ListedVariable&)>& visit) = 0;

  /// How long a vendor should wait with its next set().
  virtual std::chrono::milliseconds write_wait(const Guid& vendor) = 0;

  /// At once, whatever write_wait() says. Errors: those of SetVariable.
  virtual variable::EfiResult<void> set(const variable::SetRequest& request) = 0;

  /// Compacts, if that is worth its while and nobody else does. Errors: those of SetVariable.
  virtual variable::EfiResult<bool> reclaim_when_idle() = 0;

  /// Errors: those of QueryVariableInfo.
  virtual variable::EfiResult<Space> space() = 0;

  /// To be told of what others change; nullptr where nobody else can, and as long as the daemon is
  /// away, in which case the call looks for it.
  virtual runtime::ChangeWatch* watch() = 0;
  /// Whether others may have made changes that no watch told of, because there was none.
  virtual bool may_have_missed_changes() const noexcept = 0;
  /// What the watch told of, without what was made here.
  virtual ForeignChanges take_foreign_changes() = 0;
};

/// The services are in this process. Without a policy nobody has to wait.
std::unique_ptr<VariableAccess> make_local_access(
    variable::Services services, std::optional<BudgetPolicy> policy = std::nullopt);

/// A daemon has them.
std::unique_ptr<VariableAccess> make_remote_access(runtime::Client client);

}  // namespace efistore::shim
