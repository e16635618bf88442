// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The file system's only door to the variable services. What lies behind it is the in-process
// implementation; everything above it sees names, bytes and statuses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "efistore/base/guid.hpp"
#include "efistore/variable/services.hpp"

namespace efistore::shim {

/// Space for non-volatile variables at runtime, in bytes.
struct Space {
  std::uint64_t total = 0;
  std::uint64_t free = 0;
};

class VariableAccess {
 public:
  explicit VariableAccess(variable::Services services) : services_(std::move(services)) {}

  /// Errors: not_found.
  variable::EfiResult<variable::VariableView> get(std::u16string_view name,
                                                  const Guid& guid) const {
    return services_.get(name, guid);
  }

  /// Calls `visit` for every variable that can be seen, in the order of GetNextVariableName.
  /// `visit` must not change variables.
  void for_each(const std::function<void(const variable::VariableView&)>& visit) const;

  /// Errors: those of SetVariable.
  variable::EfiResult<void> set(const variable::SetRequest& request) {
    return services_.set(request);
  }

  /// Compacts, if that is worth its while. Errors: those of SetVariable.
  variable::EfiResult<bool> reclaim_when_idle() { return services_.reclaim_when_idle(); }

  /// Errors: those of QueryVariableInfo.
  variable::EfiResult<Space> space() const;

 private:
  variable::Services services_;
};

}  // namespace efistore::shim
