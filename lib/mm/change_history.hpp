// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "efistore/variable/services.hpp"
#include "efistore/variable/variable_id.hpp"

namespace efistore::mm {

/// The last changes, numbered from the one behind `first` on.
class ChangeHistory {
 public:
  static constexpr std::size_t max_kept = 1024;

  explicit ChangeHistory(std::uint64_t first = 0) noexcept : latest_(first) {}

  void add(variable::ChangeLog log);
  /// The number of the latest change.
  std::uint64_t latest() const noexcept { return latest_; }
  /// Whether every change behind number `since` is still known.
  bool reaches_back_to(std::uint64_t since) const noexcept {
    return since <= latest_ && latest_ - since <= ids_.size();
  }
  /// The change of that number, which is known.
  const variable::VariableId& at(std::uint64_t number) const noexcept {
    return ids_[ids_.size() - 1 - static_cast<std::size_t>(latest_ - number)];
  }

 private:
  std::deque<variable::VariableId> ids_;
  std::uint64_t latest_;
};

}  // namespace efistore::mm
