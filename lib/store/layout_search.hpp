// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The parts of detect_layout() that the reconstruction of damaged headers needs too.
#pragma once

#include <cstdint>
#include <optional>

#include "efistore/base/result.hpp"
#include "efistore/flash/device.hpp"
#include "efistore/store/layout.hpp"

#include "firmware_volume.hpp"

namespace efistore::store {

/// The headers of a volume and of its variables.
struct Headers {
  VolumeHeader volume;
  StoreHeader store;
};

/// The whole layout of a volume with these headers; the event log and the fault-tolerant areas are
/// those of the known layouts, else what the device tells. Errors: io.
Result<Layout> layout_of(flash::Device& device, const Headers& headers);

/// The layout that the headers' copy at `spare` gives, if a working area of that size at `at` fits
/// to it. Errors: io.
Result<std::optional<Layout>> layout_from_copy(flash::Device& device, flash::Range working,
                                               std::uint64_t spare);

/// Whether the volume, its block and its variables area are one of the known layouts', or divided
/// as Layout::custom() does it.
bool is_known_geometry(const Layout& layout) noexcept;

}  // namespace efistore::store
