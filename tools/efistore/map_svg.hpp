// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "efistore/flash/wear.hpp"
#include "efistore/store/examine.hpp"

namespace efistore::tools {

/// An SVG picture of a volume that needs nothing but itself: the areas in proportion, the variables
/// area in rows of equal size with every region, and what the colours stand for. Regions name
/// themselves where the viewer shows titles. With `wear`, the volume's erase blocks have a strip
/// that shows how often each was erased.
std::string draw_map(std::string_view title, const store::Examination& examination,
                     const std::optional<flash::WearCounts>& wear);

}  // namespace efistore::tools
