// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <string>
#include <string_view>

#include "efistore/base/result.hpp"

namespace efistore::shim {

/// The subtype under which the kernel lists our mounts: fuse.efivarfs-shim.
inline constexpr std::string_view file_system_subtype = "efivarfs-shim";

/// Makes sure that a mount at `path` can succeed, and gives the path's absolute form without
/// symbolic links. A file system of ours whose process died stays mounted and fails every access
/// (ENOTCONN): with `replace` it is unmounted, lazily, without it is an error.
/// Errors: not_found, invalid_argument (no directory), already_exists (a file system of ours is
/// mounted there and works), busy (a dead one, and not to be replaced), permission, io.
Result<std::string> prepare_mount_point(const std::string& path, bool replace);

/// The type of the topmost file system at the absolute path `mount_point`, by the text of
/// /proc/self/mountinfo; empty if none is mounted there.
std::string mounted_type(std::string_view mountinfo, std::string_view mount_point);

}  // namespace efistore::shim
