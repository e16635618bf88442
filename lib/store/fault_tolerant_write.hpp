// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Replacing the variables area so that a power cut leaves the old content or the new one: EDK2's
// fault-tolerant write through the working area and the spare. DESIGN.md argues for each step.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "efistore/base/result.hpp"
#include "efistore/flash/device.hpp"
#include "efistore/store/variable_store.hpp"

#include "ftw_queue.hpp"

namespace efistore::store {

/// The state of the working area of `layout` on `device`.
/// Errors: io.
Result<FtwInspection> read_ftw(flash::Device& device, const Layout& layout);

/// Whether the spare of `layout`, which begins with `spare`, tells by itself that it is one: there
/// is a copy of the volume's headers, or that of the working header which is there while the
/// working area is started anew, and until the next write.
bool tells_ftw(std::span<const std::byte> spare, const Layout& layout);

/// Where the valid content of the variables area is: in its place, or in the spare while a write of
/// it is being copied from there.
flash::Range valid_variables(const FtwInspection& ftw, const Layout& layout) noexcept;

/// Finishes or drops what was under way, as the flags in the working area say. After it the queue
/// is idle and every block of the spare that a write of ours used is erased.
/// Errors: damaged (the queue leads out of its area), unsupported (a write of something else than
/// the variables), io. Power loss: recovering again has the same result.
Result<FtwRecovery> recover_variables(flash::Device& device, const Layout& layout);

/// Makes the working area a new one, with an empty queue; what it said of a write under way is
/// gone. Errors: unsupported (the area shares an erase block with something else), io. Power loss:
/// the area is as before, or not valid, or new.
Status restart_queue(flash::Device& device, const Layout& layout);

/// Makes the variables area read as the spare does, which must hold headers of `layout`; whatever
/// the queue says is dropped. The spare is not written before the variables are.
/// Errors: unsupported, damaged, io. Power loss: recover_variables() makes the variables area read
/// as the spare, or both are as before; the working area as of restart_queue().
Status take_spare(flash::Device& device, const Layout& layout);

/// Makes the variables area read as `wanted`; the queue must be idle.
/// Errors: unsupported (the layout has no working area or too small a spare), damaged (no idle
/// queue), io. Power loss: after recover_variables() the area is as before or reads as `wanted`.
Status write_variables(flash::Device& device, const Layout& layout,
                       std::span<const std::byte> wanted);

}  // namespace efistore::store
