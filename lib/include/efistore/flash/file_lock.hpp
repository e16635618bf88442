// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <string>

#include "efistore/base/result.hpp"

namespace efistore::flash {

enum class LockMode { shared, exclusive };

/// Takes an open-file-description lock over the whole of `fd`'s file; it ends with the last
/// duplicate of `fd`. QEMU locks its images in the same way, so a running guest counts as a holder.
/// Errors: busy, naming the process that holds the file and its command line, where /proc tells;
/// io.
Status lock_file(int fd, LockMode mode, const std::string& name);

}  // namespace efistore::flash
