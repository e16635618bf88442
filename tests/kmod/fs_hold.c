// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// fs_hold TYPE: begins a mount of this type with fsopen(2), and leaves it at that.
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "node.h"

int main(int argc, char** argv) {
  if (argc != 2 || syscall(SYS_fsopen, argv[1], 0) < 0) {
    die("fsopen");
  }
  for (;;) {
    pause();
  }
}
