// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "region_style.hpp"

#include <algorithm>

namespace efistore::tools {

RegionStyle style_of(store::RegionKind kind) noexcept {
  using store::RegionKind;
  switch (kind) {
    case RegionKind::volume_header:
      return {'H', "#2c3e50"};
    case RegionKind::store_header:
      return {'h', "#566573"};
    case RegionKind::live_record:
      return {'#', "#2e8b57"};
    case RegionKind::dead_record:
      return {'x', "#c8b273"};
    case RegionKind::uncommitted_record:
      return {'?', "#e08e2b"};
    case RegionKind::salvaged_record:
      return {'!', "#8e44ad"};
    case RegionKind::superseded:
      return {'o', "#a9b7c6"};
    case RegionKind::residue:
      return {'~', "#c0392b"};
    case RegionKind::free_space:
      return {'.', "#f2f4f4"};
    case RegionKind::event_log:
      return {'e', "#d5d8dc"};
    case RegionKind::ftw_header:
      return {'W', "#1f618d"};
    case RegionKind::ftw_queue:
      return {'w', "#7fb3d5"};
    case RegionKind::ftw_spare:
      return {'s', "#d4e6f1"};
    case RegionKind::unknown:
      return {'-', "#909497"};
  }
  return {'-', "#909497"};
}

std::vector<KindTotal> total_by_kind(const std::vector<store::Region>& regions) {
  std::vector<KindTotal> totals;
  for (const store::Region& region : regions) {
    auto total = std::ranges::find(totals, region.kind, &KindTotal::kind);
    if (total == totals.end()) total = totals.insert(totals.end(), KindTotal{.kind = region.kind});
    total->bytes += region.where.size;
    ++total->regions;
  }
  return totals;
}

}  // namespace efistore::tools
