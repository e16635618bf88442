// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <filesystem>

#include "efistore/base/result.hpp"
#include "efistore/base/unique_fd.hpp"

namespace efistore::daemon {

/// A SOCK_SEQPACKET socket that listens at `path`, to which everybody may connect: who may do what
/// is decided by their credentials. A socket there to which nobody listens any more is replaced.
/// Errors: busy (somebody listens there), already_exists (something else is there), permission, io.
Result<UniqueFd> listen_at(const std::filesystem::path& path);

}  // namespace efistore::daemon
