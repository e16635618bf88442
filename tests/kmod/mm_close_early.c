// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// mm_close_early NODE FILE: writes the file's bytes and says what close(2) says of it.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node.h"

int main(int argc, char** argv) {
  static uint8_t bytes[1 << 20];
  int node = argc == 3 ? open(argv[1], O_WRONLY) : -1;
  int file = argc == 3 ? open(argv[2], O_RDONLY) : -1;
  if (node < 0 || file < 0) {
    die("mm_close_early");
  }
  ssize_t size = read(file, bytes, sizeof(bytes)), done = 0;
  while (done < size) {
    ssize_t now = write(node, bytes + done, (size_t)(size - done));
    if (now <= 0) {
      die("write");
    }
    done += now;
  }
  // Another descriptor of the same file may still go on.
  int other = dup(node);
  if (close(other) != 0) {
    printf("close of a copy: %s\n", strerror(errno));
    return 2;
  }
  if (close(node) != 0) {
    printf("close: %s\n", strerror(errno));
    return 1;
  }
  return 0;
}
