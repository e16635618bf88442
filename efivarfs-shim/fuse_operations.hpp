// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// FUSE requests to FileSystem and back: the only file that knows libfuse's low-level interface.
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "file_system.hpp"

namespace efistore::shim {

/// The user data that the operations expect of their session.
struct FuseContext {
  FileSystem& files;
  fuse_session* session = nullptr;  ///< set before the loop starts
};

/// Handles one request at a time and returns when it is answered: that a file without a variable
/// goes with its last close relies on requests being handled in their order.
fuse_lowlevel_ops make_fuse_operations() noexcept;

}  // namespace efistore::shim
