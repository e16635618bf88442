// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What wakes the loop that serves requests, besides requests: the signals that end the program in
// order, SIGTERM, SIGINT and SIGHUP, and a tick from time to time.
#pragma once

#include <chrono>

#include "efistore/base/result.hpp"

namespace efistore::shim {

/// Holds the signals that end the program back from here on, so that none can leave a mount behind;
/// LoopSignals lets them in.
/// Errors: io.
Status block_end_signals();

/// A descriptor besides that of the loop, and what to wait for; -1: none.
struct PolledFd {
  int fd = -1;
  short events = 0;
};

/// Lets the signals in while it lives, for a loop that reads from `fd` and asks end_arrived() and
/// take_tick() before each read. A signal makes `fd` non-blocking: a read that was waiting and one
/// that begins later both fail with EAGAIN. So a signal between the question and the read is not
/// lost, and no read needs a poll in front of it. No other call sees anything of it: those that a
/// signal interrupts go on (SA_RESTART).
///
/// For a program of one thread, and one object at a time.
class LoopSignals {
 public:
  /// `tick`: how often take_tick() is true; never for 0.
  explicit LoopSignals(int fd, std::chrono::seconds tick = std::chrono::seconds(0)) noexcept;
  ~LoopSignals();
  LoopSignals(const LoopSignals&) = delete;
  LoopSignals& operator=(const LoopSignals&) = delete;

  /// From the first signal on for good, as `fd` then is non-blocking for good.
  bool end_arrived() const noexcept;
  /// Whether there was a tick since the last call; `fd` blocks again after it.
  bool take_tick() noexcept;
  /// Waits until `fd` can be read from, a signal arrives or the time is over. A read fails with
  /// EAGAIN rather than wait until take_tick() is called.
  void wait(std::chrono::milliseconds longest) noexcept;
  /// The same, or until something else can be had; says whether it can.
  bool wait(std::chrono::milliseconds longest, const PolledFd& other) noexcept;

 private:
  bool ticks_;
  bool waited_ = false;
};

}  // namespace efistore::shim
