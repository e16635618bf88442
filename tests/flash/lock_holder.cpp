// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// lock_holder MODE LOCATOR: opens a device ("read" or "write"), or takes another kind of lock of a
// file, says "ready" on standard output and holds it until standard input ends. Further arguments
// are ignored: they are there to be seen in the command line.
//   posix  a classic record lock, which knows its process
//   flock  a lock that does not count
//   qemu   the read locks of single bytes that QEMU takes on its images
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string_view>

#include "efistore/base/unique_fd.hpp"
#include "efistore/flash/open.hpp"

namespace {

bool lock_range(int fd, int command, short type, off_t start, off_t length) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  return ::fcntl(fd, command, &lock) == 0;
}

bool lock_otherwise(std::string_view mode, int fd) {
  if (mode == "posix") return lock_range(fd, F_SETLK, F_WRLCK, 0, 0);
  if (mode == "flock") return ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  if (mode == "qemu") {
    return lock_range(fd, F_OFD_SETLK, F_RDLCK, 100, 2) &&
           lock_range(fd, F_OFD_SETLK, F_RDLCK, 201, 1);
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  using efistore::flash::OpenMode;
  if (argc < 3) return 2;
  const std::string_view mode = argv[1];
  std::unique_ptr<efistore::flash::Device> device;
  efistore::UniqueFd fd;
  if (mode == "read" || mode == "write") {
    auto opened = efistore::flash::open_device(
        argv[2], mode == "write" ? OpenMode::read_write : OpenMode::read_only);
    if (!opened) {
      std::fprintf(stderr, "%s\n", opened.error().message.c_str());
      return 1;
    }
    device = std::move(*opened);
  } else {
    fd = efistore::UniqueFd(::open(argv[2], O_RDWR | O_CLOEXEC));
    if (!fd || !lock_otherwise(mode, fd.get())) {
      std::perror(argv[2]);
      return 1;
    }
  }
  std::puts("ready");
  std::fflush(stdout);
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
  return 0;
}
