// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// FUSE requests to FileSystem and back: the only file that knows libfuse's low-level interface.
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <chrono>
#include <optional>

#include "file_system.hpp"
#include "waiting_writes.hpp"

namespace efistore::shim {

/// The user data that the operations expect of their session.
struct FuseContext {
  FileSystem& files;
  fuse_session* session = nullptr;  ///< set before the loop starts
  WaitingWrites waiting{};
};

/// Handles one request at a time and returns when it is answered: that a file without a variable
/// goes with its last close relies on requests being handled in their order. Only a write whose
/// vendor is over its budget is put aside; its file stays open for that long.
fuse_lowlevel_ops make_fuse_operations() noexcept;

/// Tells the kernel to ask again for what changed behind its back; after the answer to a request,
/// so that nobody waits for it.
void drop_changed_attributes(FuseContext& context);

/// Carries out one write that has waited for long enough, if there is one, so that requests come in
/// between. Gives how long it is until this is to be called again; nothing if no write waits.
std::optional<std::chrono::milliseconds> carry_out_due_write(FuseContext& fuse);

/// Carries out all that waits, due or not.
void carry_out_all_writes(FuseContext& fuse);

}  // namespace efistore::shim
