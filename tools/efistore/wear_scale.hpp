// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// How pictures show erase counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace efistore::tools {

/// Counts from `first` to `last`, and their colour, "#rrggbb".
struct WearStep {
  std::uint64_t first;
  std::uint64_t last;
  std::string_view colour;

  /// "0", "21 to 40"
  std::string range() const;
};

/// What was never erased, and equal steps up to `most` from light to dark, so that they can be told
/// apart without seeing colours. Without gaps, in order.
std::vector<WearStep> wear_scale(std::uint64_t most);

/// The index of the step that has `count`, which is none above the scale.
std::size_t step_of(const std::vector<WearStep>& scale, std::uint64_t count);

}  // namespace efistore::tools
