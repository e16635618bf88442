// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace efistore::bench {

/// Resident memory as /proc/PID/status has it, in KiB.
struct ResidentMemory {
  std::size_t resident = 0;    ///< VmRSS
  std::size_t high_water = 0;  ///< VmHWM
  std::size_t anonymous = 0;   ///< RssAnon: without pages of program and libraries
};

/// A program that serves a FUSE file system in the foreground.
class MountedProcess {
 public:
  /// Starts `command`, to which the mount point is added, and waits until something is mounted
  /// there; gives up if that does not happen. The program also ends when this process does.
  MountedProcess(std::vector<std::string> command, std::filesystem::path mount_point);
  MountedProcess(const MountedProcess&) = delete;
  MountedProcess& operator=(const MountedProcess&) = delete;
  /// Sends SIGTERM and waits; ends a program that does not answer to it, and its mount.
  ~MountedProcess();

  const std::filesystem::path& mount_point() const noexcept { return mount_point_; }
  ResidentMemory resident_memory() const;

 private:
  std::filesystem::path mount_point_;
  pid_t pid_ = -1;
};

}  // namespace efistore::bench
