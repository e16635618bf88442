// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/update/block_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace efistore::update {

Result<BlockSet> BlockSet::from_runs(std::span<const Run> runs) {
  BlockSet set;
  for (const Run& run : runs) {
    const bool follows = set.runs_.empty() || run.first > set.runs_.back().end();
    if (!follows || run.count == 0 ||
        run.count > std::numeric_limits<std::uint32_t>::max() - run.first) {
      return fail(Errc::invalid_argument,
                  fmt::format("a run of {} blocks from {} on, expected some, behind the others",
                              run.count, run.first));
    }
    set.runs_.push_back(run);
  }
  return set;
}

void BlockSet::add(std::uint32_t block) {
  auto next = std::ranges::upper_bound(runs_, block, {}, &Run::first);
  const bool extends = next != runs_.begin() && std::prev(next)->end() >= block;
  if (extends && std::prev(next)->end() > block) return;
  const bool precedes = next != runs_.end() && next->first == block + 1;
  if (extends && precedes) {
    std::prev(next)->count += 1 + next->count;
    runs_.erase(next);
  } else if (extends) {
    ++std::prev(next)->count;
  } else if (precedes) {
    --next->first;
    ++next->count;
  } else {
    runs_.insert(next, Run{block, 1});
  }
}

void BlockSet::add(const BlockSet& others) {
  for (const Run& run : others.runs_) {
    for (std::uint32_t block = run.first; block < run.end(); ++block) add(block);
  }
}

bool BlockSet::contains(std::uint32_t block) const noexcept {
  const auto next = std::ranges::upper_bound(runs_, block, {}, &Run::first);
  return next != runs_.begin() && std::prev(next)->end() > block;
}

std::uint64_t BlockSet::count() const noexcept {
  return std::accumulate(runs_.begin(), runs_.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const Run& run) { return sum + run.count; });
}

BlockSet BlockSet::joined(std::size_t max_runs) const {
  BlockSet set = *this;
  if (set.runs_.size() <= max_runs) return set;
  // The gaps that stay are the widest ones.
  std::vector<std::size_t> gaps(set.runs_.size() - 1);
  std::iota(gaps.begin(), gaps.end(), std::size_t{0});
  std::ranges::stable_sort(gaps, std::greater{}, [this](std::size_t gap) {
    return runs_[gap + 1].first - runs_[gap].end();
  });
  gaps.resize(std::max<std::size_t>(max_runs, 1) - 1);
  std::ranges::sort(gaps);
  set.runs_.clear();
  std::size_t begin = 0;
  const auto join_up_to = [&](std::size_t last) {
    set.runs_.push_back({runs_[begin].first, runs_[last].end() - runs_[begin].first});
    begin = last + 1;
  };
  for (const std::size_t gap : gaps) join_up_to(gap);
  join_up_to(runs_.size() - 1);
  return set;
}

}  // namespace efistore::update
