// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What the daemon gives up once it holds its flash and its sockets: whoever takes it over has
// little more than the variables.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "efistore/base/result.hpp"

namespace efistore::daemon {

/// The user to become.
struct Identity {
  std::string name;
  unsigned uid = 0;
  unsigned gid = 0;
};

/// Errors: not_found.
Result<Identity> find_user(const std::string& name);

struct Confinement {
  std::optional<Identity> user{};
  /// Folders in which files are read, made and replaced: those of what is kept beside the store,
  /// of captures and of capsules. Files elsewhere cannot be opened any more, where the kernel has
  /// Landlock (5.13).
  std::vector<std::filesystem::path> writable{};
  std::vector<std::filesystem::path> readable{};
};

/// Becomes the user, drops all capabilities, sets no_new_privs, takes the file system away, and
/// allows only the system calls of a daemon that serves requests; others fail with EPERM. Of those
/// that could do more, some arguments only: no new sockets, threads but no processes, no memory
/// that is executed, signals to itself, no set-uid files, of device requests those that erase
/// flash. Errors: permission, io.
Status confine(const Confinement& confinement);

/// For a process that only reads files: as what it is, without capabilities, and with all files to
/// be read and none to be changed. Errors: permission, io.
Status confine_reader();

}  // namespace efistore::daemon
