// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "efistore/flash/device.hpp"
#include "efistore/store/layout.hpp"

#include "common/outcome.hpp"

namespace efistore::tools {

/// What the command line says of a new store's layout.
struct LayoutRequest {
  std::string name{};  ///< one of Layout::by_name()'s, "custom", or empty for the default
  std::optional<std::uint64_t> size_bytes = std::nullopt;
  std::optional<std::uint64_t> block_size_bytes = std::nullopt;
  store::RecordFormat format = store::RecordFormat::authenticated;
};

/// The layout for a new store on `medium`, or in a new file if there is none.
///
/// A named layout is taken as it is. "custom" has the size that is asked for, else the medium's. By
/// default a new file of no given size is ovmf-4m; any other store takes the named layout which has
/// exactly its size and block size, else a custom one over the whole.
///
/// Wrong usage: "custom" for a new file without a size, a named layout with another block size or
/// with fewer bytes than it needs. Fails where Layout::custom() does, and for a size above the
/// medium's.
Outcome<store::Layout> choose_layout(const LayoutRequest& request,
                                     const std::optional<flash::Geometry>& medium);

}  // namespace efistore::tools
