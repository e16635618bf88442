// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "efistore/base/result.hpp"

namespace efistore::update {

/// Erase blocks of a target by their numbers, kept as ranges.
class BlockSet {
 public:
  struct Run {
    std::uint32_t first = 0;
    std::uint32_t count = 0;

    std::uint32_t end() const noexcept { return first + count; }
    friend bool operator==(const Run&, const Run&) = default;
  };

  BlockSet() = default;
  /// From runs() as they were stored. Errors: invalid_argument (empty, touching or descending runs,
  /// numbers of 2^32 - 1 and above).
  static Result<BlockSet> from_runs(std::span<const Run> runs);

  /// Adds a block; quick if it is not below those that are there.
  void add(std::uint32_t block);
  void add(const BlockSet& others);

  bool contains(std::uint32_t block) const noexcept;
  bool empty() const noexcept { return runs_.empty(); }
  std::uint64_t count() const noexcept;
  /// Ascending, not touching each other.
  std::span<const Run> runs() const noexcept { return runs_; }

  /// The same, and blocks between where that takes no more than `max_runs` runs, which is 1 at
  /// least: those are joined first that add fewest blocks.
  BlockSet joined(std::size_t max_runs) const;

  friend bool operator==(const BlockSet&, const BlockSet&) = default;

 private:
  std::vector<Run> runs_;
};

}  // namespace efistore::update
