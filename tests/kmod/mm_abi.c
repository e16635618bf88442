// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The ABI of the two nodes, each of its errors once. The program itself is the daemon; callers are
// its children, because a daemon's own call is refused.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "node.h"

int check_failures;

static struct message message;
static uint32_t buffer_size;
// The daemon's node, which children must not keep open.
static int attached;

static int open_node(const char* path) {
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    die(path);
  }
  return fd;
}

static void set_parameter(const char* name, const char* value) {
  char path[128];
  snprintf(path, sizeof(path), "/sys/module/efistore/parameters/%s", name);
  int fd = open(path, O_WRONLY);
  if (fd < 0 || write(fd, value, strlen(value)) != (ssize_t)strlen(value)) {
    die(path);
  }
  close(fd);
}

static void fill(uint8_t* bytes, size_t size, unsigned seed) {
  for (size_t i = 0; i < size; i++) {
    bytes[i] = (uint8_t)(seed * 31 + i * 7 + (i >> 8));
  }
}

// A child that makes one call on a file of its own, and what it says of it.
struct caller {
  pid_t pid;
  int64_t started;
};

// The child exits with the errno, and 200 if the reply is not the request with its bits turned.
static struct caller call_on(int fd, uint32_t size, uint32_t timeout_ms, unsigned seed) {
  struct caller caller = {.started = now_ms()};
  caller.pid = fork();
  if (caller.pid != 0) {
    return caller;
  }
  close(attached);
  uint8_t* bytes = malloc(size);
  fill(bytes, size, seed);
  if (pwrite(fd, bytes, size, 0) != (ssize_t)size) {
    _exit(201);
  }
  uint32_t replied = size;
  int error = communicate(fd, &replied, timeout_ms);
  if (error == 0) {
    uint8_t* reply = malloc(replied);
    if (pread(fd, reply, replied, 0) != (ssize_t)replied) {
      _exit(202);
    }
    for (uint32_t i = 0; i < replied && i < size; i++) {
      if ((reply[i] ^ bytes[i]) != 0xff) {
        _exit(200);
      }
    }
  }
  _exit(error);
}

static struct caller call(uint32_t size, uint32_t timeout_ms, unsigned seed) {
  int fd = open_node(CALLER_NODE);
  struct caller caller = call_on(fd, size, timeout_ms, seed);
  close(fd);
  return caller;
}

static int result(struct caller caller) {
  int status;
  if (waitpid(caller.pid, &status, 0) != caller.pid) {
    die("waitpid");
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static bool readable(int mm, int ms) {
  struct pollfd poll_fd = {.fd = mm, .events = POLLIN};
  return poll(&poll_fd, 1, ms) == 1 && (poll_fd.revents & POLLIN) != 0;
}

static int read_errno(int mm, size_t size) {
  int flags = fcntl(mm, F_GETFL);
  fcntl(mm, F_SETFL, flags | O_NONBLOCK);
  ssize_t got = read(mm, &message, size);
  int error = got < 0 ? errno : 0;
  fcntl(mm, F_SETFL, flags);
  return error;
}

// The frame's size.
static uint32_t take(int mm) {
  if (!readable(mm, 10000)) {
    printf("no request arrives\n");
    exit(1);
  }
  ssize_t got = read(mm, &message, sizeof(message));
  if (got < 0) {
    die("read");
  }
  CHECK_EQ(EFISTORE_MM_REQUEST, message.header.type);
  CHECK_EQ(got, sizeof(message.header) + message.header.size);
  return message.header.size - (uint32_t)sizeof(message.request);
}

static void expect_closed(int mm, uint64_t session) {
  CHECK(readable(mm, 2000));
  CHECK_EQ(0, read_errno(mm, sizeof(message)));
  CHECK_EQ(EFISTORE_MM_CLOSED, message.header.type);
  CHECK_EQ(0, message.header.size);
  CHECK_EQ(session, message.header.id);
}

static int answer(int mm, uint64_t id, uint32_t size) {
  return write_message(mm, EFISTORE_MM_REPLY, id, message.frame, size);
}

static int answer_turned(int mm, uint32_t size) {
  for (uint32_t i = 0; i < size; i++) {
    message.frame[i] = (uint8_t)~message.frame[i];
  }
  return answer(mm, message.header.id, size);
}

static int attach(void) {
  attached = open_node(MM_NODE);
  return attached;
}

static void test_without_a_daemon(void) {
  CHECK_EQ(ENOTCONN, result(call(100, 0, 1)));
  int fd = open_node(CALLER_NODE);
  struct efistore_info info = info_of(fd);
  CHECK_EQ(0, info.flags & (EFISTORE_ATTACHED | EFISTORE_READY_READ | EFISTORE_READY_WRITE));
  CHECK(info.buffer_size >= 8192 && info.buffer_size % (uint32_t)sysconf(_SC_PAGESIZE) == 0);
  buffer_size = info.buffer_size;
  close(fd);
}

static void test_attaching(void) {
  CHECK_EQ(-1, open(MM_NODE, O_RDONLY));
  CHECK_EQ(EINVAL, errno);
  CHECK_EQ(-1, open(MM_NODE, O_WRONLY));
  CHECK_EQ(EINVAL, errno);
  int mm = attach();
  CHECK_EQ(-1, open(MM_NODE, O_RDWR));
  CHECK_EQ(EBUSY, errno);
  int fd = open_node(CALLER_NODE);
  CHECK_EQ(EFISTORE_ATTACHED, info_of(fd).flags & 0x1ff);
  uint32_t ready = EFISTORE_READY_READ | EFISTORE_READY_WRITE;
  CHECK_EQ(0, write_message(mm, EFISTORE_MM_STATE, 0, &ready, 4));
  CHECK_EQ(EFISTORE_ATTACHED | ready, info_of(fd).flags & 0x1ff);
  CHECK_EQ(info_of(mm).flags, info_of(fd).flags);
  close(mm);
  CHECK_EQ(0, info_of(fd).flags & 0x1ff);
  close(fd);
}

static void test_a_round_trip(void) {
  int mm = attach();
  uint32_t sizes[] = {24, 25, 4095, 4096, 4097, buffer_size - 1, buffer_size};
  uint64_t session = 0, id = 0;
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    struct caller caller = call(sizes[i], 0, (unsigned)i);
    CHECK_EQ(sizes[i], take(mm));
    CHECK(message.header.id > id);
    CHECK(message.request.session > session);
    CHECK_EQ(EFISTORE_ORIGIN_CALLER, message.request.origin);
    CHECK_EQ(caller.pid, message.request.pid);
    CHECK_EQ(geteuid(), message.request.uid);
    CHECK_EQ(getegid(), message.request.gid);
    uint8_t* expected = malloc(sizes[i]);
    fill(expected, sizes[i], (unsigned)i);
    CHECK_EQ(0, memcmp(expected, message.frame, sizes[i]));
    free(expected);
    id = message.header.id;
    session = message.request.session;
    CHECK_EQ(0, answer_turned(mm, sizes[i]));
    CHECK_EQ(0, result(caller));
    expect_closed(mm, session);
  }
  CHECK(!readable(mm, 0));
  close(mm);
}

static void test_credentials_are_the_callers(void) {
  int mm = attach();
  int fd = open_node(CALLER_NODE);
  pid_t pid = fork();
  if (pid == 0) {
    close(mm);
    if (setegid(4321) != 0 || seteuid(1234) != 0) {
      _exit(203);
    }
    uint32_t size = 24;
    _exit(communicate(fd, &size, 2000));
  }
  take(mm);
  CHECK_EQ(1234, message.request.uid);
  CHECK_EQ(4321, message.request.gid);
  CHECK_EQ(0, answer_turned(mm, 24));
  CHECK_EQ(0, result((struct caller){.pid = pid}));
  close(fd);
  close(mm);
}

static void test_sizes_are_checked(void) {
  int mm = attach();
  int fd = open_node(CALLER_NODE);
  uint32_t wrong[] = {0, 1, 23, buffer_size + 1, 1u << 31, UINT32_MAX};
  for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
    uint32_t size = wrong[i];
    CHECK_EQ(EMSGSIZE, communicate(fd, &size, 100));
  }
  CHECK_EQ(-1, ioctl(fd, EFISTORE_IOC_COMMUNICATE, nowhere));
  CHECK_EQ(EFAULT, errno);
  CHECK_EQ(-1, ioctl(fd, EFISTORE_IOC_INFO, nowhere));
  CHECK_EQ(EFAULT, errno);
  CHECK_EQ(-1, ioctl(fd, _IO(EFISTORE_IOC_MAGIC, 0x42), NULL));
  CHECK_EQ(ENOTTY, errno);
  CHECK_EQ(-1, ioctl(mm, EFISTORE_IOC_COMMUNICATE, nowhere));
  CHECK_EQ(ENOTTY, errno);
  CHECK(!readable(mm, 0));
  close(fd);
  close(mm);
}

static void test_the_daemons_own_call_is_refused(void) {
  int mm = attach();
  int fd = open_node(CALLER_NODE);
  uint32_t size = 24;
  CHECK_EQ(EDEADLK, communicate(fd, &size, 1000));
  CHECK(!readable(mm, 0));
  close(fd);
  close(mm);
}

static void test_replies_that_nobody_waits_for(void) {
  int mm = attach();
  struct caller first = call(100, 5000, 1);
  take(mm);
  uint64_t id = message.header.id;
  CHECK_EQ(ENOENT, answer(mm, 0, 100));
  CHECK_EQ(ENOENT, answer(mm, id + 1, 100));
  CHECK_EQ(ENOENT, answer(mm, UINT64_MAX, 100));
  // Queued, but not read: it cannot be answered yet.
  struct caller second = call(200, 5000, 2);
  CHECK(readable(mm, 2000));
  CHECK_EQ(ENOENT, answer(mm, id + 1, 100));
  CHECK_EQ(0, answer_turned(mm, 100));
  CHECK_EQ(0, result(first));
  CHECK_EQ(ENOENT, answer(mm, id, 100));
  CHECK_EQ(0, read_errno(mm, sizeof(message)));
  CHECK_EQ(EFISTORE_MM_CLOSED, message.header.type);
  CHECK_EQ(200, take(mm));
  CHECK_EQ(ENOENT, answer(mm, id, 100));
  CHECK_EQ(0, answer_turned(mm, 200));
  CHECK_EQ(0, result(second));
  close(mm);
}

static void test_replies_out_of_order(void) {
  int mm = attach();
  enum { CALLERS = 20 };
  struct caller callers[CALLERS];
  static struct message taken[CALLERS];
  for (unsigned i = 0; i < CALLERS; i++) {
    callers[i] = call(64 + i, 10000, i);
    CHECK_EQ(64 + i, take(mm));
    memcpy(&taken[i], &message, 4096);
  }
  for (unsigned i = CALLERS; i-- > 0;) {
    memcpy(&message, &taken[i], 4096);
    CHECK_EQ(0, answer_turned(mm, 64 + i));
  }
  for (unsigned i = 0; i < CALLERS; i++) {
    CHECK_EQ(0, result(callers[i]));
  }
  close(mm);
}

static void test_reply_sizes(void) {
  int mm = attach();
  uint32_t wrong[] = {0, 23, buffer_size + 1};
  for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
    int fd = open_node(CALLER_NODE);
    struct caller caller = call_on(fd, 100, 5000, 7);
    take(mm);
    CHECK_EQ(EMSGSIZE, answer(mm, message.header.id, wrong[i]));
    CHECK_EQ(EMSGSIZE, result(caller));
    CHECK_EQ(ENOENT, answer(mm, message.header.id, 100));
    uint8_t expected[101], left[101];
    fill(expected, 100, 7);
    expected[100] = 0;
    CHECK_EQ(101, pread(fd, left, 101, 0));
    CHECK_EQ(0, memcmp(expected, left, 101));
    close(fd);
    expect_closed(mm, message.request.session);
  }
  // A shorter and a longer reply than the request.
  for (uint32_t size = 24; size <= buffer_size; size += buffer_size - 24) {
    int fd = open_node(CALLER_NODE);
    struct caller caller = call_on(fd, 100, 5000, 7);
    take(mm);
    CHECK_EQ(0, answer_turned(mm, size));
    CHECK_EQ(0, result(caller));
    close(fd);
    expect_closed(mm, message.request.session);
  }
  close(mm);
}

static void test_malformed_messages(void) {
  int mm = attach();
  struct efistore_mm_header header = {.type = EFISTORE_MM_STATE, .size = 4};
  uint8_t bytes[64] = {0};
  memcpy(bytes, &header, sizeof(header));
  CHECK_EQ(-1, write(mm, bytes, 15));
  CHECK_EQ(EINVAL, errno);
  CHECK_EQ(-1, write(mm, bytes, 0));
  CHECK_EQ(EINVAL, errno);
  CHECK_EQ(-1, write(mm, bytes, 16));
  CHECK_EQ(EINVAL, errno);
  CHECK_EQ(-1, write(mm, bytes, 21));
  CHECK_EQ(EINVAL, errno);
  CHECK_EQ(-1, write(mm, nowhere, 20));
  CHECK_EQ(EFAULT, errno);
  uint64_t value = 4;
  CHECK_EQ(EINVAL, write_message(mm, EFISTORE_MM_STATE, 0, &value, 4));
  CHECK_EQ(EINVAL, write_message(mm, EFISTORE_MM_STATE, 1, bytes + 32, 4));
  CHECK_EQ(EINVAL, write_message(mm, EFISTORE_MM_STATE, 0, &value, 3));
  CHECK_EQ(EINVAL, write_message(mm, EFISTORE_MM_STATE, 0, &value, 8));
  CHECK_EQ(EINVAL, write_message(mm, EFISTORE_MM_CHANGED, 0, &value, 4));
  CHECK_EQ(EINVAL, write_message(mm, EFISTORE_MM_CLOSED, 0, NULL, 0));
  CHECK_EQ(EINVAL, write_message(mm, EFISTORE_MM_REQUEST, 0, bytes, 24));
  CHECK_EQ(EINVAL, write_message(mm, 0, 0, bytes, 4));
  CHECK_EQ(EINVAL, write_message(mm, 77, 0, bytes, 4));
  struct efistore_mm_esrt table = {.count = 1, .count_max = 1, .version = 1};
  int esrt = write_message(mm, EFISTORE_MM_ESRT, 0, &table, sizeof(table));
  CHECK(esrt == EINVAL || esrt == EOPNOTSUPP);
  table.count = UINT32_MAX;
  CHECK_EQ(esrt, write_message(mm, EFISTORE_MM_ESRT, 0, &table, sizeof(table)));
  CHECK_EQ(esrt, write_message(mm, EFISTORE_MM_ESRT, 0, &table, 3));
  table.count = 0;
  table.version = 2;
  CHECK_EQ(esrt, write_message(mm, EFISTORE_MM_ESRT, 0, &table, sizeof(table)));
  CHECK(!readable(mm, 0));
  close(mm);
}

static void test_timeouts(void) {
  int mm = attach();
  struct caller taken = call(100, 200, 1);
  take(mm);
  uint64_t session = message.request.session;
  CHECK_EQ(ETIMEDOUT, result(taken));
  CHECK(now_ms() - taken.started >= 200 && now_ms() - taken.started < 3000);
  CHECK_EQ(ENOENT, answer(mm, message.header.id, 100));
  expect_closed(mm, session);
  struct caller queued = call(100, 200, 1);
  CHECK(readable(mm, 2000));
  CHECK_EQ(ETIMEDOUT, result(queued));
  CHECK(!readable(mm, 0));
  CHECK_EQ(EAGAIN, read_errno(mm, sizeof(message)));
  // The module's own limit is the least.
  set_parameter("timeout_ms", "300");
  struct caller limited = call(100, 60000, 1);
  CHECK_EQ(ETIMEDOUT, result(limited));
  CHECK(now_ms() - limited.started < 5000);
  set_parameter("timeout_ms", "60000");
  close(mm);
}

static void test_a_caller_is_killed(void) {
  int mm = attach();
  struct caller taken = call(100, 0, 1);
  take(mm);
  uint64_t session = message.request.session;
  int64_t begin = now_ms();
  kill(taken.pid, SIGTERM);
  sleep_ms(50);
  kill(taken.pid, SIGKILL);
  int how = result(taken);
  CHECK(how == -SIGKILL || how == -SIGTERM);
  CHECK(now_ms() - begin < 2000);
  CHECK_EQ(ENOENT, answer(mm, message.header.id, 100));
  expect_closed(mm, session);
  // Not read yet: it is withdrawn, and its session was never known.
  struct caller queued = call(100, 0, 1);
  CHECK(readable(mm, 2000));
  kill(queued.pid, SIGKILL);
  CHECK_EQ(-SIGKILL, result(queued));
  CHECK(!readable(mm, 100));
  close(mm);
}

static void test_a_signal_does_not_interrupt(void) {
  int mm = attach();
  struct caller caller = call(100, 10000, 1);
  take(mm);
  kill(caller.pid, SIGCHLD);
  kill(caller.pid, SIGSTOP);
  kill(caller.pid, SIGCONT);
  sleep_ms(50);
  CHECK_EQ(0, answer_turned(mm, 100));
  CHECK_EQ(0, result(caller));
  close(mm);
}

static void test_the_daemon_goes(void) {
  int mm = attach();
  struct caller taken = call(100, 0, 1);
  take(mm);
  uint64_t id = message.header.id;
  struct caller queued = call(100, 0, 1);
  CHECK(readable(mm, 2000));
  int64_t begin = now_ms();
  close(mm);
  CHECK_EQ(ENOTCONN, result(taken));
  CHECK_EQ(ENOTCONN, result(queued));
  CHECK(now_ms() - begin < 2000);
  mm = attach();
  CHECK_EQ(ENOENT, answer(mm, id, 100));
  CHECK_EQ(ENOENT, answer(mm, id + 1, 100));
  struct caller later = call(100, 0, 1);
  take(mm);
  CHECK(message.header.id > id + 1);
  CHECK_EQ(0, answer_turned(mm, 100));
  CHECK_EQ(0, result(later));
  close(mm);
}

static void test_a_session_that_the_daemon_does_not_know(void) {
  int mm = attach();
  int silent = open_node(CALLER_NODE);
  close(silent);
  CHECK(!readable(mm, 100));
  int fd = open_node(CALLER_NODE);
  struct caller caller = call_on(fd, 100, 0, 1);
  take(mm);
  CHECK_EQ(0, answer_turned(mm, 100));
  CHECK_EQ(0, result(caller));
  close(mm);
  // Another daemon, which has heard nothing of it.
  mm = attach();
  close(fd);
  CHECK(!readable(mm, 100));
  close(mm);
}

static void test_reading(void) {
  int mm = attach();
  CHECK_EQ(EAGAIN, read_errno(mm, sizeof(message)));
  struct caller caller = call(5000, 0, 3);
  CHECK(readable(mm, 2000));
  CHECK_EQ(EMSGSIZE, read_errno(mm, 16));
  CHECK_EQ(EMSGSIZE, read_errno(mm, 40 + 4999));
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  uint8_t* half = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(half + page, page, PROT_NONE);
  CHECK_EQ(-1, read(mm, half + page - 100, 2 * page));
  CHECK_EQ(EFAULT, errno);
  CHECK_EQ(-1, read(mm, nowhere, 1 << 20));
  CHECK_EQ(EFAULT, errno);
  munmap(half, 2 * page);
  CHECK_EQ(5000, take(mm));
  CHECK_EQ(0, answer_turned(mm, 5000));
  CHECK_EQ(0, result(caller));
  CHECK_EQ(EMSGSIZE, read_errno(mm, 15));
  expect_closed(mm, message.request.session);
  close(mm);
}

static void test_changes(void) {
  int mm = attach();
  int fd = open_node(CALLER_NODE);
  struct pollfd poll_fd = {.fd = fd, .events = POLLPRI};
  uint64_t before = info_of(fd).changes, count = 3;
  CHECK_EQ(0, poll(&poll_fd, 1, 0));
  CHECK_EQ(0, write_message(mm, EFISTORE_MM_CHANGED, 0, &count, 8));
  CHECK_EQ(1, poll(&poll_fd, 1, 1000));
  CHECK_EQ(POLLPRI, poll_fd.revents);
  CHECK_EQ(1, poll(&poll_fd, 1, 0));
  CHECK_EQ(before + 3, info_of(fd).changes);
  CHECK_EQ(0, poll(&poll_fd, 1, 0));
  int fresh = open_node(CALLER_NODE);
  poll_fd.fd = fresh;
  CHECK_EQ(0, poll(&poll_fd, 1, 0));
  // Somebody who waits is woken.
  pid_t pid = fork();
  if (pid == 0) {
    close(mm);
    _exit(poll(&poll_fd, 1, 5000) == 1 ? 0 : 1);
  }
  sleep_ms(100);
  CHECK_EQ(0, write_message(mm, EFISTORE_MM_CHANGED, 0, &count, 8));
  CHECK_EQ(0, result((struct caller){.pid = pid}));
  close(fresh);
  close(fd);
  close(mm);
}

static void test_limits(void) {
  int mm = attach();
  set_parameter("max_requests", "3");
  struct caller callers[3];
  for (unsigned i = 0; i < 3; i++) {
    callers[i] = call(64, 0, i);
    take(mm);
  }
  CHECK_EQ(EBUSY, result(call(64, 0, 9)));
  for (unsigned i = 0; i < 3; i++) {
    kill(callers[i].pid, SIGKILL);
    CHECK_EQ(-SIGKILL, result(callers[i]));
  }
  close(mm);
  mm = attach();
  struct caller after = call(64, 0, 1);
  take(mm);
  CHECK_EQ(0, answer_turned(mm, 64));
  CHECK_EQ(0, result(after));
  set_parameter("max_requests", "128");
  set_parameter("max_callers", "2");
  int one = open_node(CALLER_NODE), two = open_node(CALLER_NODE);
  CHECK_EQ(-1, open(CALLER_NODE, O_RDWR));
  CHECK_EQ(ENFILE, errno);
  close(one);
  one = open_node(CALLER_NODE);
  close(one);
  close(two);
  set_parameter("max_callers", "128");
  close(mm);
}

void test_buffers(uint32_t size);
void test_attacks(uint32_t size);

int main(void) {
  test_without_a_daemon();
  test_attaching();
  test_a_round_trip();
  test_credentials_are_the_callers();
  test_sizes_are_checked();
  test_the_daemons_own_call_is_refused();
  test_replies_that_nobody_waits_for();
  test_replies_out_of_order();
  test_reply_sizes();
  test_malformed_messages();
  test_timeouts();
  test_a_caller_is_killed();
  test_a_signal_does_not_interrupt();
  test_the_daemon_goes();
  test_a_session_that_the_daemon_does_not_know();
  test_reading();
  test_changes();
  test_limits();
  test_buffers(buffer_size);
  test_attacks(buffer_size);
  printf("mm_abi: %d failures\n", check_failures);
  return check_failures != 0;
}
