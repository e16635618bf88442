// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What a volume's headers should be where they are damaged: from all else that tells.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/base/result.hpp"
#include "efistore/flash/device.hpp"
#include "efistore/store/examine.hpp"
#include "efistore/store/layout.hpp"

namespace efistore::store {

/// A layout that a volume may have.
struct LayoutCandidate {
  Layout layout;
  unsigned weight = 0;   ///< how much speaks for it
  std::string evidence;  ///< what does: "FvLength, the working header at 0x41000"
};

/// Whether the headers of `device` leave no doubt of its layout, or a fault-tolerant write does
/// that is under way; that layout. Errors: io.
Result<std::optional<Layout>> undoubted_layout(flash::Device& device);

/// The layouts that anything speaks for, the weightiest first. Errors: io.
Result<std::vector<LayoutCandidate>> layout_candidates(flash::Device& device);

/// The volume's layout: the undoubted one, else the candidate that more speaks for than for any
/// other. `name`, if not empty, leaves only the candidates of that name, and is enough where
/// nothing speaks for any.
/// Errors: damaged (the message lists the candidates), invalid_argument (the name is another one
/// than the headers tell, or does not fit the device), io.
Result<Layout> reconstruct_layout(flash::Device& device, std::string_view name = {});

/// The headers that should stand in front of the records of `layout`, where `area` stands.
std::vector<std::byte> mended_headers(std::span<const std::byte> area, const Layout& layout);

/// What of the headers in `area`, the whole variables area of `layout`, is not as it should be.
std::vector<Finding> header_findings(std::span<const std::byte> area, const Layout& layout);

}  // namespace efistore::store
