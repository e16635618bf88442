// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// mm_call SIZE [TIMEOUT-MS]: one call of /dev/efistore; prints and exits with the errno. Without
// arguments it prints the flags of EFISTORE_IOC_INFO.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node.h"

int main(int argc, char** argv) {
  uint32_t size = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 24;
  int fd = open(CALLER_NODE, O_RDWR);
  if (fd < 0) {
    die(CALLER_NODE);
  }
  if (argc == 1) {
    printf("0x%x\n", info_of(fd).flags);
    return 0;
  }
  int error = communicate(fd, &size, argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 0);
  printf("mm_call: errno %d (%s), %u bytes\n", error, strerror(error), size);
  return error;
}
