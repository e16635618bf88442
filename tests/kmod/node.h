// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What the tests of the kernel module share: its nodes, its messages, its frames. C, because it
// runs in guests of any architecture, statically linked.
#ifndef EFISTORE_TESTS_KMOD_NODE_H
#define EFISTORE_TESTS_KMOD_NODE_H

#include <linux/efistore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CALLER_NODE "/dev/efistore"
#define MM_NODE "/dev/efistore-mm"

// EDK2's headers in front of a payload.
enum { FRAME_HEADER = 40, FRAME_MIN = 24 };

static const uint8_t variable_guid[16] = {0x33, 0xd5, 0x32, 0xed, 0xe6, 0x99, 0x09, 0x42,
                                          0x9c, 0xc0, 0x2d, 0x72, 0xcd, 0xd9, 0x98, 0xa7};
static const uint8_t management_guid[16] = {0x22, 0xeb, 0xd2, 0xbb, 0x53, 0x77, 0x34, 0x42,
                                            0x83, 0x95, 0xfd, 0x83, 0xf1, 0x57, 0xd3, 0xc2};

// A message as read(2) gives it, with room for more than any buffer.
struct message {
  struct efistore_mm_header header;
  union {
    struct {
      struct efistore_mm_request request;
      uint8_t frame[(16 << 20) + 4096];
    };
  };
};

uint32_t get32(const void* at);
uint64_t get64(const void* at);
void put32(void* at, uint32_t value);
void put64(void* at, uint64_t value);

// An address where nothing is, unknown to the compiler.
extern void* nowhere;

// Ends the program with the system's reason.
_Noreturn void die(const char* what);

int64_t now_ms(void);
void sleep_ms(int ms);

// write(2) of one message; 0 or the errno.
int write_message(int fd, uint32_t type, uint64_t id, const void* body, size_t size);

// EFISTORE_IOC_COMMUNICATE; 0 and the reply's size, or the errno.
int communicate(int fd, uint32_t* size, uint32_t timeout_ms);

struct efistore_info info_of(int fd);

#endif  // EFISTORE_TESTS_KMOD_NODE_H
