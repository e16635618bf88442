// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What a repair may take from the spare area, of which no queue tells any more what it is.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "efistore/base/result.hpp"
#include "efistore/flash/device.hpp"
#include "efistore/store/layout.hpp"

namespace efistore::store {

/// A former or a coming content of the variables area, if the spare of `layout` holds one with
/// headers of this volume. Errors: io.
Result<std::optional<std::vector<std::byte>>> read_spare_content(flash::Device& device,
                                                                 const Layout& layout);

/// Whether `spare` is whole and `area` what copying it into its place has left when it was cut:
/// there are blocks that are equal, then one that can hold anything, and no live record that the
/// spare has not. What `area` has as deleted and the spare as live speaks against it.
bool is_cut_copy(std::span<const std::byte> area, std::span<const std::byte> spare,
                 const Layout& layout);

}  // namespace efistore::store
