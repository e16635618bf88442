// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace efistore::flash {

/// Another process that holds a device or a lock: lock_holder with these arguments, from the moment
/// the constructor returns until stop() or kill().
class HolderProcess {
 public:
  /// Ends the process if the holder does not come up.
  explicit HolderProcess(const std::vector<std::string>& arguments);
  HolderProcess(const HolderProcess&) = delete;
  HolderProcess& operator=(const HolderProcess&) = delete;
  ~HolderProcess() { stop(); }

  pid_t pid() const noexcept { return pid_; }
  /// Lets it end by itself.
  void stop();
  /// Ends it as a crash would.
  void kill();

 private:
  void wait();

  pid_t pid_ = -1;
  int input_ = -1;
};

}  // namespace efistore::flash
