// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "efistore/flash/device.hpp"

namespace efistore::flash {

/// While one lives, the system calls that carry the library's data do as it says, and it notes what
/// they did: a program that links system_calls.cpp has its own pread() and so on in front of the C
/// library's. One at a time.
class SystemCalls {
 public:
  SystemCalls();
  SystemCalls(const SystemCalls&) = delete;
  SystemCalls& operator=(const SystemCalls&) = delete;
  ~SystemCalls();

  /// pread() and pwrite() transfer no more than this at once.
  std::size_t largest_transfer = SIZE_MAX;
  /// Every other pread() and pwrite() fails with EINTR.
  bool interrupted = false;
  /// What renameat2() fails with, if not 0.
  int rename_error = 0;

  /// The ranges that pwrite() was given.
  std::vector<Range> writes;
  /// "fsync file", "fsync directory", "fdatasync", "rename", "link" in their order, "write" for any
  /// number of pwrite() in a row.
  std::vector<std::string> order;

  /// Whether the call at hand is to fail with EINTR.
  bool take_interruption();
  void note(const std::string& what);

 private:
  bool interrupt_next_ = false;
};

}  // namespace efistore::flash
