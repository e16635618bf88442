// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "efistore/base/result.hpp"

#include "fuse_operations.hpp"

namespace efistore::shim {

/// A FUSE session and its mount. Unmounts when it goes.
class MountedSession {
 public:
  struct Parameters {
    std::string mount_point;  ///< absolute: unmounting happens in another working directory
    std::vector<std::string> mount_options;
    bool debug = false;
  };

  /// Mounts `files`, which must outlive the session. Requests wait until serve().
  /// Errors: invalid_argument (mount options), permission (whatever mount(2) or fusermount3 say).
  static Result<MountedSession> mount(FileSystem& files, const Parameters& parameters);

  /// Answers requests until the file system is unmounted or a signal, which the caller has blocked
  /// so far, asks to end. Every request that was taken from the kernel is answered, and writes that
  /// wait for their vendor's budget are carried out, before this returns. Where nothing was asked
  /// for `idle`, unless that is 0, the files may do what can wait.
  /// Errors: io.
  /// With `follow_others` the files are those of a daemon: what others change there is shown as
  /// soon as the daemon tells of it.
  Status serve(std::chrono::seconds idle = std::chrono::seconds(0), bool follow_others = false);

 private:
  Status serve_requests(std::chrono::seconds idle, bool follow_others);

  struct Destroy {
    void operator()(fuse_session* session) const noexcept { fuse_session_destroy(session); }
  };
  struct Unmount {
    void operator()(fuse_session* session) const noexcept { fuse_session_unmount(session); }
  };

  std::unique_ptr<FuseContext> context_;
  std::unique_ptr<fuse_session, Destroy> session_;
  std::unique_ptr<fuse_session, Unmount> mount_;  ///< the same session; goes first
};

}  // namespace efistore::shim
