// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>
#include <unordered_map>

#include "efistore/variable/variable_id.hpp"

namespace efistore::mm {

/// How often variables were read, written and deleted (VARIABLE_INFO_ENTRY), in the order of their
/// first use. Those that come when there are `max_entries` are not counted; the limit also bounds
/// what names that were chosen to collide in the table can cost.
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

  AccessStatistics() = default;
  AccessStatistics(const AccessStatistics&) = delete;  // the table points into the entries
  AccessStatistics& operator=(const AccessStatistics&) = delete;

  /// Every request comes by here: of a variable that is known, nothing is allocated.
  void note(std::u16string_view name, const Guid& guid, std::uint32_t attributes, Access access);
  /// nullptr: there is none.
  const Entry* first() const noexcept { return entries_.empty() ? nullptr : &entries_.front(); }
  const Entry* next(std::u16string_view name, const Guid& guid) const noexcept;

 private:
  struct Key {
    std::u16string_view name;
    Guid guid;

    bool operator==(const Key& other) const noexcept;
  };
  /// Not noexcept, so that the table keeps what it gives, and looks at neighbours by that.
  struct Hash {
    std::size_t operator()(const Key& key) const;
  };

  std::deque<Entry> entries_;  ///< which stay where they are
  std::unordered_map<Key, std::size_t, Hash> places_;
};

}  // namespace efistore::mm
