// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "statistics.hpp"

namespace efistore::mm {

void AccessStatistics::note(const variable::VariableId& id, std::uint32_t attributes,
                            Access access) {
  auto place = places_.find(id);
  if (place == places_.end()) {
    if (entries_.size() == max_entries) return;
    place = places_.emplace(id, entries_.size()).first;
    entries_.push_back({.id = id});
  }
  Entry& entry = entries_[place->second];
  switch (access) {
    case Access::read:
      ++entry.reads;
      break;
    case Access::write:
      ++entry.writes;
      break;
    case Access::remove:
      ++entry.deletions;
      return;  // with the attributes that it had
  }
  entry.attributes = attributes;
}

const AccessStatistics::Entry* AccessStatistics::next(
    const variable::VariableId& id) const noexcept {
  const auto place = places_.find(id);
  if (place == places_.end() || place->second + 1 == entries_.size()) return nullptr;
  return &entries_[place->second + 1];
}

}  // namespace efistore::mm
