// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "flash/system_calls.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace efistore::flash {

namespace {

SystemCalls* current = nullptr;

}  // namespace

SystemCalls::SystemCalls() {
  current = this;
}

SystemCalls::~SystemCalls() {
  current = nullptr;
}

bool SystemCalls::take_interruption() {
  interrupt_next_ = interrupted && !interrupt_next_;
  return interrupt_next_;
}

void SystemCalls::note(const std::string& what) {
  if (what != "write" || order.empty() || order.back() != what) order.push_back(what);
}

}  // namespace efistore::flash

using efistore::flash::current;

extern "C" {

ssize_t pread(int fd, void* buffer, size_t count, off_t offset) {
  if (current != nullptr) {
    if (current->take_interruption()) {
      errno = EINTR;
      return -1;
    }
    count = std::min(count, current->largest_transfer);
  }
  return ::syscall(SYS_pread64, fd, buffer, count, offset);
}

ssize_t pwrite(int fd, const void* buffer, size_t count, off_t offset) {
  if (current != nullptr) {
    if (current->take_interruption()) {
      errno = EINTR;
      return -1;
    }
    count = std::min(count, current->largest_transfer);
    current->writes.push_back({.offset = static_cast<std::uint64_t>(offset), .size = count});
    current->note("write");
  }
  return ::syscall(SYS_pwrite64, fd, buffer, count, offset);
}

int fsync(int fd) {
  if (current != nullptr) {
    struct stat file {};
    ::fstat(fd, &file);
    current->note(S_ISDIR(file.st_mode) ? "fsync directory" : "fsync file");
  }
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

int fdatasync(int fd) {
  if (current != nullptr) current->note("fdatasync");
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}

int renameat2(int from_dir, const char* from, int to_dir, const char* to, unsigned flags) noexcept {
  if (current != nullptr) {
    if (current->rename_error != 0) {
      errno = current->rename_error;
      return -1;
    }
    current->note("rename");
  }
  return static_cast<int>(::syscall(SYS_renameat2, from_dir, from, to_dir, to, flags));
}

int link(const char* from, const char* to) noexcept {
  if (current != nullptr) current->note("link");
  return static_cast<int>(::syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0));
}

}  // extern "C"
