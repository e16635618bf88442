// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

void* nowhere = (void*)8;

uint32_t get32(const void* at) {
  uint32_t value;
  memcpy(&value, at, sizeof(value));
  return value;
}

uint64_t get64(const void* at) {
  uint64_t value;
  memcpy(&value, at, sizeof(value));
  return value;
}

void put32(void* at, uint32_t value) {
  memcpy(at, &value, sizeof(value));
}

void put64(void* at, uint64_t value) {
  memcpy(at, &value, sizeof(value));
}

void die(const char* what) {
  perror(what);
  exit(1);
}

int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

void sleep_ms(int ms) {
  struct timespec left = {ms / 1000, ms % 1000 * 1000000L};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

int write_message(int fd, uint32_t type, uint64_t id, const void* body, size_t size) {
  struct efistore_mm_header header = {.type = type, .size = (uint32_t)size, .id = id};
  uint8_t* bytes = malloc(sizeof(header) + size);
  memcpy(bytes, &header, sizeof(header));
  if (size != 0) {
    memcpy(bytes + sizeof(header), body, size);
  }
  ssize_t done = write(fd, bytes, sizeof(header) + size);
  int error = done < 0 ? errno : done == (ssize_t)(sizeof(header) + size) ? 0 : EIO;
  free(bytes);
  return error;
}

int communicate(int fd, uint32_t* size, uint32_t timeout_ms) {
  struct efistore_communicate argument = {.size = *size, .timeout_ms = timeout_ms};
  if (ioctl(fd, EFISTORE_IOC_COMMUNICATE, &argument) != 0) {
    return errno;
  }
  *size = argument.size;
  return 0;
}

struct efistore_info info_of(int fd) {
  struct efistore_info info;
  memset(&info, 0xa5, sizeof(info));
  if (ioctl(fd, EFISTORE_IOC_INFO, &info) != 0) {
    die("EFISTORE_IOC_INFO");
  }
  return info;
}
