// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "efistore/update/variables.hpp"

namespace efistore::update::test {

using Bytes = std::vector<std::byte>;

/// Variables in memory, which lose power as the store does: a change is made or not. The count of
/// changes can be cut.
class MemoryVariables final : public Variables {
 public:
  using Map = std::map<std::pair<std::u16string, Guid>, Bytes>;

  Result<std::optional<Bytes>> get(std::u16string_view name, const Guid& guid) override {
    const auto found = map_.find({std::u16string(name), guid});
    return found == map_.end() ? std::nullopt : std::optional(found->second);
  }
  Status set(std::u16string_view name, const Guid& guid, std::span<const std::byte> data) override {
    ++changes_;
    if (cut_at_ != 0 && changes_ > cut_at_) return fail(Errc::io, "the power is off");
    if (changes_ == cut_at_ && !cut_makes_it_) return fail(Errc::io, "the power goes");
    if (data.empty()) {
      map_.erase({std::u16string(name), guid});
    } else {
      map_[{std::u16string(name), guid}] = Bytes(data.begin(), data.end());
    }
    if (changes_ == cut_at_) return fail(Errc::io, "the power goes, and the change is made");
    return {};
  }

  Map& map() noexcept { return map_; }
  std::uint64_t changes() const noexcept { return changes_; }
  /// The n-th change from now on is the last: made or not, and what comes after it is not.
  void cut_at(std::uint64_t change, bool makes_it) {
    changes_ = 0;
    cut_at_ = change;
    cut_makes_it_ = makes_it;
  }
  bool is_cut() const noexcept { return cut_at_ != 0 && changes_ >= cut_at_; }

 private:
  Map map_;
  std::uint64_t changes_ = 0;
  std::uint64_t cut_at_ = 0;
  bool cut_makes_it_ = false;
};

}  // namespace efistore::update::test
