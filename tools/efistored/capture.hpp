// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The frames that the daemon serves, as pcapng: efistore-formats(5) has the pseudo-header in front
// of each.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "efistore/base/result.hpp"
#include "efistore/base/unique_fd.hpp"

#include "common/capture_format.hpp"

namespace efistore::daemon {

/// Writes a capture. What cannot be written ends it: requests are served all the same.
class Capture {
 public:
  /// Begins a new file at `path`, readable to its owner alone: frames hold what variables hold. A
  /// capture that is there, of this user, goes on with a section of its own; a block at its end
  /// that was cut is dropped. Nobody else can go on with it meanwhile.
  /// Errors: already_exists (it is something else), busy, permission, io.
  static Result<Capture> open(const std::filesystem::path& path);

  /// Errors: no_space, also for more than tools::max_capture_size_bytes; io.
  Status add(const tools::CapturedFrame& frame);

 private:
  Capture(UniqueFd fd, std::uint64_t size_bytes) : fd_(std::move(fd)), size_bytes_(size_bytes) {}

  UniqueFd fd_;
  std::uint64_t size_bytes_;  ///< of the file
};

}  // namespace efistore::daemon
