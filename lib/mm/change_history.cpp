// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "change_history.hpp"

#include <utility>

namespace efistore::mm {

void ChangeHistory::add(variable::ChangeLog log) {
  if (log.incomplete) {
    // A change that nobody knows the name of: whoever asks is told that some are lost.
    ids_.clear();
    ++latest_;
    return;
  }
  for (variable::VariableId& id : log.ids) {
    ids_.push_back(std::move(id));
    ++latest_;
  }
  while (ids_.size() > max_kept) ids_.pop_front();
}

}  // namespace efistore::mm
