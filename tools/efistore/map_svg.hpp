// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <string>
#include <string_view>

#include "efistore/store/examine.hpp"

namespace efistore::tools {

/// An SVG picture of a volume that needs nothing but itself: the areas in proportion, the variables
/// area in rows of equal size with every region, and what the colours stand for. Regions name
/// themselves where the viewer shows titles.
std::string draw_map(std::string_view title, const store::Examination& examination);

}  // namespace efistore::tools
