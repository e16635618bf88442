// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "efistore/variable/variable_id.hpp"

namespace efistore::mm {

/// How often variables were read, written and deleted (VARIABLE_INFO_ENTRY), in the order of their
/// first use. Those that come when there are `max_entries` are not counted.
class AccessStatistics {
 public:
  static constexpr std::size_t max_entries = 1024;

  enum class Access { read, write, remove };
  struct Entry {
    variable::VariableId id;
    std::uint32_t attributes = 0;
    std::uint32_t reads = 0;
    std::uint32_t writes = 0;
    std::uint32_t deletions = 0;
  };

  void note(const variable::VariableId& id, std::uint32_t attributes, Access access);
  /// nullptr: there is none.
  const Entry* first() const noexcept { return entries_.empty() ? nullptr : entries_.data(); }
  const Entry* next(const variable::VariableId& id) const noexcept;

 private:
  std::vector<Entry> entries_;
  std::map<variable::VariableId, std::size_t> places_;
};

}  // namespace efistore::mm
