// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The caller's buffer: mapped, read and written, and changed while its request is served.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "node.h"

static struct message message, again;

static void test_mapping(uint32_t size) {
  int fd = open(CALLER_NODE, O_RDWR | O_CLOEXEC);
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  uint8_t* map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(map != MAP_FAILED);
  // A new buffer has nothing of anybody else.
  for (uint32_t i = 0; i < size; i++) {
    if (map[i] != 0) {
      CHECK_EQ(0, map[i]);
      break;
    }
  }
  CHECK(mmap(NULL, size + page, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
  CHECK(mmap(NULL, page, PROT_READ, MAP_SHARED, fd, (off_t)size) == MAP_FAILED);
  CHECK(mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, fd, (off_t)(size - page)) == MAP_FAILED);
  CHECK(mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) == MAP_FAILED);
  CHECK_EQ(EINVAL, errno);
  CHECK(mremap(map, size, size + page, MREMAP_MAYMOVE) == MAP_FAILED);
  uint8_t* last = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(size - page));
  CHECK(last != MAP_FAILED);
  last[page - 1] = 0x5a;
  CHECK_EQ(0x5a, map[size - 1]);
  uint8_t byte = 0;
  CHECK_EQ(1, pread(fd, &byte, 1, (off_t)size - 1));
  CHECK_EQ(0x5a, byte);
  // It stays when the file is closed, and is another one for another file.
  close(fd);
  map[0] = 1;
  fd = open(CALLER_NODE, O_RDWR | O_CLOEXEC);
  CHECK_EQ(1, pread(fd, &byte, 1, 0));
  CHECK_EQ(0, byte);
  munmap(map, size);
  munmap(last, page);
  close(fd);
}

// Who may only read sees the buffer, and what it is told; who may only write may ask.
static void test_access_modes(uint32_t size) {
  int fd = open(CALLER_NODE, O_RDONLY | O_CLOEXEC);
  uint8_t* map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) {
    CHECK_EQ(0, errno);
  } else {
    CHECK_EQ(0, map[size - 1]);
    CHECK_EQ(-1, mprotect(map, size, PROT_READ | PROT_WRITE));
    munmap(map, size);
  }
  CHECK(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
  CHECK(mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED);
  CHECK_EQ(EINVAL, errno);
  CHECK_EQ(size, info_of(fd).buffer_size);
  uint32_t replied = 64;
  CHECK_EQ(EBADF, communicate(fd, &replied, 0));
  close(fd);
  fd = open(CALLER_NODE, O_WRONLY | O_CLOEXEC);
  CHECK_EQ(ENOTCONN, communicate(fd, &replied, 0));
  close(fd);
}

static void test_reading_and_writing(uint32_t size) {
  int fd = open(CALLER_NODE, O_RDWR | O_CLOEXEC);
  uint8_t bytes[16] = "0123456789abcde";
  CHECK_EQ(16, pwrite(fd, bytes, 16, 100));
  memset(bytes, 0, sizeof(bytes));
  CHECK_EQ(16, pread(fd, bytes, 16, 100));
  CHECK_EQ(0, memcmp(bytes, "0123456789abcde", 16));
  CHECK_EQ(8, pwrite(fd, bytes, 16, (off_t)size - 8));
  CHECK_EQ(8, pread(fd, bytes, 16, (off_t)size - 8));
  CHECK_EQ(0, pread(fd, bytes, 16, (off_t)size));
  CHECK_EQ(-1, pwrite(fd, bytes, 16, (off_t)size));
  CHECK_EQ(ENOSPC, errno);
  CHECK_EQ(-1, pwrite(fd, bytes, 16, -1));
  CHECK_EQ(EINVAL, errno);
  CHECK_EQ(-1, pwrite(fd, nowhere, 16, 0));
  CHECK_EQ(EFAULT, errno);
  CHECK_EQ(100, lseek(fd, 100, SEEK_SET));
  CHECK_EQ(4, read(fd, bytes, 4));
  CHECK_EQ(0, memcmp(bytes, "0123", 4));
  CHECK_EQ(104, lseek(fd, 0, SEEK_CUR));
  CHECK_EQ(size, lseek(fd, 0, SEEK_END));
  CHECK_EQ(-1, lseek(fd, 1, SEEK_END));
  CHECK_EQ(EINVAL, errno);
  CHECK_EQ(-1, lseek(fd, -1, SEEK_SET));
  close(fd);
}

void test_buffers(uint32_t size) {
  test_mapping(size);
  test_access_modes(size);
  test_reading_and_writing(size);
}

static volatile bool attacking;

static void* rewrite(void* map) {
  for (uint8_t value = 0; attacking; value++) {
    memset(map, value, 8192);
  }
  return NULL;
}

// Calls again and again while a thread rewrites the buffer. Exits with what went wrong.
static void attack(int fd, uint32_t size, int calls) {
  uint8_t* map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  pthread_t thread;
  attacking = true;
  pthread_create(&thread, NULL, rewrite, map);
  for (int i = 0; i < calls; i++) {
    uint32_t replied = 8192;
    int error = communicate(fd, &replied, 0);
    if (error != 0 || replied != 4096 + (uint32_t)(i % 100)) {
      _exit(error != 0 ? error : 210);
    }
  }
  attacking = false;
  pthread_join(thread, NULL);
  _exit(0);
}

// Two callers at once, each with a thread that changes its buffer all the time. The daemon reads
// each request in two goes, the first of which fails behind its first page: both must be the same.
static void test_double_fetch(uint32_t size) {
  enum { CALLS = 400 };
  int mm = open(MM_NODE, O_RDWR | O_CLOEXEC);
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  uint8_t* half = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(half + 2 * page, page, PROT_NONE);
  pid_t pids[2];
  for (int i = 0; i < 2; i++) {
    pids[i] = fork();
    if (pids[i] == 0) {
      close(mm);
      attack(open(CALLER_NODE, O_RDWR | O_CLOEXEC), size, CALLS);
    }
  }
  int served[2] = {0, 0}, different = 0;
  while (served[0] + served[1] < 2 * CALLS) {
    // 8192 bytes of which a page and a half fit; nothing when there is no request.
    uint8_t* at = half + page / 2;
    ssize_t first = read(mm, at, (size_t)(1 << 20));
    int error = errno;
    if (first == sizeof(message.header)) {
      continue;  // the end of a session
    }
    ssize_t got = read(mm, &message, sizeof(message));
    if (got < 0) {
      break;
    }
    if (message.header.type != EFISTORE_MM_REQUEST) {
      continue;
    }
    if (first >= 0 || error != EFAULT) {
      CHECK_EQ(EFAULT, first >= 0 ? 0 : error);
      break;
    }
    if (memcmp(at, &message.header, sizeof(message.header)) == 0) {
      different += memcmp(at + 40, message.frame, page) != 0;
    } else {
      different++;
    }
    int who = message.request.pid == pids[1];
    memcpy(&again, &message, 64);
    memset(message.frame, 0xee, 4096 + 100);
    CHECK_EQ(0, write_message(mm, EFISTORE_MM_REPLY, again.header.id, message.frame,
                              4096 + (size_t)(served[who]++ % 100)));
  }
  CHECK_EQ(0, different);
  for (int i = 0; i < 2; i++) {
    int status = 0;
    waitpid(pids[i], &status, 0);
    CHECK_EQ(0, status);
    CHECK_EQ(CALLS, served[i]);
  }
  munmap(half, 3 * page);
  close(mm);
}

struct shared_call {
  int fd;
  int wrong;
};

static void* call_shared(void* argument) {
  struct shared_call* shared = argument;
  for (int i = 0; i < 200; i++) {
    uint32_t size = 64;
    if (communicate(shared->fd, &size, 0) != 0 || size != 64) {
      shared->wrong++;
    }
  }
  return NULL;
}

// Two threads on one file: one call after the other, never two at once.
static void test_one_file_two_threads(void) {
  int mm = open(MM_NODE, O_RDWR | O_CLOEXEC);
  pid_t pid = fork();
  if (pid == 0) {
    close(mm);
    struct shared_call shared = {.fd = open(CALLER_NODE, O_RDWR | O_CLOEXEC)};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
      pthread_create(&threads[i], NULL, call_shared, &shared);
    }
    for (int i = 0; i < 2; i++) {
      pthread_join(threads[i], NULL);
    }
    _exit(shared.wrong != 0);
  }
  uint64_t session = 0;
  for (int served = 0; served < 400; served++) {
    if (read(mm, &message, sizeof(message)) < 0) {
      die("read");
    }
    CHECK(session == 0 || session == message.request.session);
    session = message.request.session;
    if (served % 40 == 0) {
      ssize_t got = 0;
      sleep_ms(5);
      fcntl(mm, F_SETFL, O_RDWR | O_NONBLOCK);
      got = read(mm, &again, sizeof(again));
      CHECK_EQ(-1, got);
      fcntl(mm, F_SETFL, O_RDWR);
    }
    CHECK_EQ(0, write_message(mm, EFISTORE_MM_REPLY, message.header.id, message.frame, 64));
  }
  int status = 0;
  waitpid(pid, &status, 0);
  CHECK_EQ(0, status);
  close(mm);
}

static void* call_slowly(void* argument) {
  uint32_t size = 64;
  communicate(((struct shared_call*)argument)->fd, &size, 0);
  return NULL;
}

// The wait for another call of the file counts, too.
static void test_one_deadline(void) {
  int mm = open(MM_NODE, O_RDWR | O_CLOEXEC);
  pid_t pid = fork();
  if (pid == 0) {
    close(mm);
    struct shared_call shared = {.fd = open(CALLER_NODE, O_RDWR | O_CLOEXEC)};
    pthread_t thread;
    pthread_create(&thread, NULL, call_slowly, &shared);
    sleep_ms(300);
    uint32_t size = 64;
    int64_t begin = now_ms();
    int error = communicate(shared.fd, &size, 200);
    int64_t took = now_ms() - begin;
    _exit(error != ETIMEDOUT ? 210 : took < 200 || took > 1500);
  }
  if (read(mm, &message, sizeof(message)) < 0) {
    die("read");
  }
  int status = 0;
  waitpid(pid, &status, 0);
  CHECK_EQ(0, status);
  close(mm);
}

void test_attacks(uint32_t size) {
  test_one_deadline();
  test_double_fetch(size);
  test_one_file_two_threads();
}
