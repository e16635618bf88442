// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Making a damaged store whole again, with all of its variables that can be had. DESIGN.md says
// what is believed, and why.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/base/result.hpp"
#include "efistore/store/examine.hpp"
#include "efistore/store/layout.hpp"

namespace efistore::store {

enum class RepairKind {
  rebuilt,     ///< a header field, from what else tells the layout
  salvaged,    ///< a live record that the walk along the chain does not reach
  mended,      ///< a live record of which a header field was wrong
  from_spare,  ///< a variable that the store has lost; this one may be old
  dropped,     ///< bytes or a record of which nothing could be kept
  restarted,   ///< the fault-tolerant working area
};

std::string_view to_string(RepairKind kind) noexcept;  // "from-spare" and so on

/// One thing that a repair did, or would do, to the bytes at `where` (offsets in the volume).
struct RepairAction {
  RepairKind kind;
  flash::Range where;
  std::string what;
};

struct RepairOptions {
  /// The layout, if nothing tells it: a name of Layout::by_name(), or "custom"; may be empty.
  std::string_view layout_name{};
  /// Whether records that stand inside the data of another one, where nothing else is wrong, become
  /// variables: a flipped bit of a DataSize can have swallowed them. But data can be made to look
  /// so by whoever may write a variable, so it is for somebody who has looked at them to ask for.
  bool take_swallowed = false;
  /// Takes the device's bytes as they are (of a larger device, as many as a volume can have) before
  /// anything is written, and must have made them durable when it returns. What it fails with,
  /// repair() fails with, and nothing is changed.
  std::function<Status(std::span<const std::byte> image)> keep{};
};

struct RepairReport {
  Layout layout;
  /// What was done; nothing, and nothing was written, if nothing needed it.
  std::vector<RepairAction> actions;
  std::size_t variables = 0;  ///< live ones, after it
  Examination after;          ///< the store as it is now
};

/// Repairs the store at the start of `device`: headers that are wrong, records out of reach, a
/// working area that cannot be followed. What is undamaged keeps its meaning; dead records go.
/// Errors: invalid_argument, damaged (nothing tells the layout, or there is no store at all),
/// unsupported (no spare area; a write that only the firmware can finish), no_space, read_only, io,
/// and keep()'s own. Nothing is changed where the error precedes the first write.
/// Power loss: the damaged store, which can be repaired again with the same result, or the repaired
/// one; but what only the spare had, and the area has no free space for, may be in keep()'s image
/// only.
Result<RepairReport> repair(flash::Device& device, const RepairOptions& options);

}  // namespace efistore::store
