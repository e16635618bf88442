// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The signals that end the program in order: SIGTERM, SIGINT and SIGHUP.
#pragma once

#include "efistore/base/result.hpp"

namespace efistore::shim {

/// Holds them back from here on, so that none can leave a mount behind; an EndRequest lets them in.
/// Errors: io.
Status block_end_signals();

/// Lets the signals in while it lives, for a loop that reads from `fd` and asks arrived() before
/// each read. The first signal makes `fd` non-blocking for good: a read that was waiting and one
/// that begins later both fail with EAGAIN. So a signal between the question and the read is not
/// lost, and no read needs a poll in front of it. No other call sees anything of it: those that a
/// signal interrupts go on (SA_RESTART).
///
/// For a program of one thread, and one object at a time.
class EndRequest {
 public:
  explicit EndRequest(int fd) noexcept;
  ~EndRequest();
  EndRequest(const EndRequest&) = delete;
  EndRequest& operator=(const EndRequest&) = delete;

  bool arrived() const noexcept;
};

}  // namespace efistore::shim
