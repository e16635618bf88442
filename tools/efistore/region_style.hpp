// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// How maps show a store's regions.
#pragma once

#include <string_view>
#include <vector>

#include "efistore/store/examine.hpp"

namespace efistore::tools {

struct RegionStyle {
  char letter;              ///< in text maps
  std::string_view colour;  ///< in pictures, "#rrggbb"
};

RegionStyle style_of(store::RegionKind kind) noexcept;

/// What the regions of one kind come to.
struct KindTotal {
  store::RegionKind kind;
  std::uint64_t bytes = 0;
  std::size_t regions = 0;
};

/// One per kind that is there, in the order in which they first appear.
std::vector<KindTotal> total_by_kind(const std::vector<store::Region>& regions);

}  // namespace efistore::tools
