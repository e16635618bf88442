// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "wear_scale.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace efistore::tools {

namespace {

constexpr std::string_view never_erased = "#f2f4f4";
/// ColorBrewer's YlOrBr.
constexpr std::array<std::string_view, 5> heat{"#fee391", "#fec44f", "#fe9929", "#cc4c02",
                                               "#662506"};

}  // namespace

std::string WearStep::range() const {
  return first == last ? fmt::format("{}", first) : fmt::format("{} to {}", first, last);
}

std::vector<WearStep> wear_scale(std::uint64_t most) {
  std::vector<WearStep> scale{{0, 0, never_erased}};
  const std::uint64_t steps = std::min<std::uint64_t>(heat.size(), most);
  for (std::uint64_t i = 1; i <= steps; ++i) {
    // most * i / steps, which could overflow
    const std::uint64_t last = most / steps * i + most % steps * i / steps;
    // The last step has the darkest colour, however few there are.
    scale.push_back({scale.back().last + 1, last, heat.at(heat.size() - 1 - (steps - i))});
  }
  return scale;
}

std::size_t step_of(const std::vector<WearStep>& scale, std::uint64_t count) {
  const auto step = std::ranges::lower_bound(scale, count, {}, &WearStep::last);
  return static_cast<std::size_t>(step - scale.begin());
}

}  // namespace efistore::tools
