// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// mm_load SECONDS SEED: callers call, and callers and daemon are killed at random moments. Every
// answer must be the one to its caller's own request, every call must end, and afterwards nothing
// may be left in the module's queue.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node.h"

enum { CALLERS = 8, OUTCOMES = 4 };

// Shared with all children.
struct counts {
  _Atomic long answered, not_connected, timed_out, busy, other, wrong;
  _Atomic long served, unwanted, closed;
  _Atomic int64_t in_call_since[CALLERS];
};

static struct counts* counts;
static struct message message;

static uint64_t mix(uint64_t value) {
  value ^= value >> 33;
  value *= 0xff51afd7ed558ccdull;
  value ^= value >> 29;
  return value * 0xc4ceb9fe1a85ec53ull;
}

static uint64_t next(uint64_t* state) {
  return mix(*state += 0x9e3779b97f4a7c15ull);
}

static void daemon_main(uint64_t seed) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int mm = open(MM_NODE, O_RDWR | O_CLOEXEC);
  for (int tries = 0; mm < 0 && errno == EBUSY && tries < 1000; tries++) {
    sleep_ms(1);
    mm = open(MM_NODE, O_RDWR | O_CLOEXEC);
  }
  if (mm < 0) {
    die(MM_NODE);
  }
  for (;;) {
    ssize_t got = read(mm, &message, sizeof(message));
    if (got < 0) {
      die("read");
    }
    if (message.header.type == EFISTORE_MM_CLOSED) {
      counts->closed++;
      continue;
    }
    uint32_t size = message.header.size - (uint32_t)sizeof(message.request);
    uint64_t token = get64(message.frame + 8);
    put64(message.frame + 8, mix(token));
    uint64_t choice = next(&seed) % 100;
    if (choice < 2) {
      continue;  // never answered
    }
    if (choice < 6) {
      sleep_ms((int)(next(&seed) % 60));
    }
    int error = write_message(mm, EFISTORE_MM_REPLY, message.header.id, message.frame, size);
    if (choice > 95) {
      // Twice, and somebody else's.
      error |=
          write_message(mm, EFISTORE_MM_REPLY, message.header.id, message.frame, size) != ENOENT;
      error |= write_message(mm, EFISTORE_MM_REPLY, message.header.id + 7, message.frame, size) !=
               ENOENT;
    }
    counts->served++;
    counts->unwanted += error == ENOENT;
    counts->wrong += error != 0 && error != ENOENT;
  }
}

static void one_call(int fd, uint64_t* state, uint8_t* bytes) {
  uint32_t size = 24 + (uint32_t)(next(state) % 9000), replied = size;
  uint64_t token = next(state);
  memset(bytes, (int)token, size);
  put64(bytes + 8, token);
  if (pwrite(fd, bytes, size, 0) != (ssize_t)size) {
    counts->wrong++;
    return;
  }
  switch (communicate(fd, &replied, 1 + (uint32_t)(next(state) % 50))) {
    case 0:
      put64(bytes + 8, mix(token));
      uint8_t* reply = bytes + (1 << 16);
      if (replied != size || pread(fd, reply, size, 0) != (ssize_t)size ||
          memcmp(reply, bytes, size) != 0) {
        counts->wrong++;
      }
      counts->answered++;
      break;
    case ENOTCONN:
      counts->not_connected++;
      sleep_ms(1);
      break;
    case ETIMEDOUT:
      counts->timed_out++;
      break;
    case EBUSY:
      counts->busy++;
      break;
    default:
      counts->other++;
  }
}

static void caller_main(int index, uint64_t seed) {
  static uint8_t bytes[1 << 17];
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int fd = -1;
  for (unsigned calls = 0;; calls++) {
    if (calls % 50 == 0) {
      close(fd);
      fd = open(CALLER_NODE, O_RDWR | O_CLOEXEC);
      if (fd < 0) {
        die(CALLER_NODE);
      }
    }
    counts->in_call_since[index] = now_ms();
    one_call(fd, &seed, bytes);
  }
}

static pid_t start(int index, uint64_t seed) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0 && index < 0) {
    daemon_main(seed);
  } else if (pid == 0) {
    caller_main(index, seed);
  }
  return pid;
}

static void stop(pid_t pid) {
  int64_t begin = now_ms();
  int status;
  kill(pid, SIGKILL);
  if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || now_ms() - begin > 3000) {
    printf("a process ended by itself or took %lld ms to end\n", (long long)(now_ms() - begin));
    counts->wrong++;
  }
}

// With room for a single request a call succeeds: there is no other one left.
static bool queue_is_empty(void) {
  const char* path = "/sys/module/efistore/parameters/max_requests";
  int fd = open(path, O_WRONLY);
  if (fd < 0 || write(fd, "1", 1) != 1) {
    die(path);
  }
  pid_t daemon = fork();
  if (daemon == 0) {
    int mm = open(MM_NODE, O_RDWR | O_CLOEXEC);
    while (read(mm, &message, sizeof(message)) > 0) {
      write_message(mm, EFISTORE_MM_REPLY, message.header.id, message.frame, 24);
    }
    _exit(1);
  }
  int caller = open(CALLER_NODE, O_RDWR | O_CLOEXEC), error = ENOTCONN;
  for (int tries = 0; tries < 2000 && error == ENOTCONN; tries++) {
    uint32_t size = 24;
    error = communicate(caller, &size, 2000);
    sleep_ms(1);
  }
  close(caller);
  kill(daemon, SIGKILL);
  waitpid(daemon, NULL, 0);
  bool restored = pwrite(fd, "128", 3, 0) == 3;
  close(fd);
  return restored && error == 0;
}

int main(int argc, char** argv) {
  int seconds = argc > 1 ? atoi(argv[1]) : 10;
  uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
  printf("mm_load: seed %llu\n", (unsigned long long)state);
  counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t daemon = start(-1, next(&state)), callers[CALLERS];
  for (int i = 0; i < CALLERS; i++) {
    callers[i] = start(i, next(&state));
  }
  int64_t end = now_ms() + seconds * 1000;
  long daemons_killed = 0, callers_killed = 0;
  while (now_ms() < end) {
    sleep_ms((int)(next(&state) % 40));
    uint64_t victim = next(&state) % (CALLERS + 3);
    if (victim >= CALLERS) {
      stop(daemon);
      daemon = start(-1, next(&state));
      daemons_killed++;
    } else {
      stop(callers[victim]);
      callers[victim] = start((int)victim, next(&state));
      callers_killed++;
    }
    for (int i = 0; i < CALLERS; i++) {
      if (now_ms() - counts->in_call_since[i] > 5000 && counts->in_call_since[i] != 0) {
        printf("caller %d hangs\n", i);
        counts->wrong++;
      }
    }
  }
  for (int i = 0; i < CALLERS; i++) {
    stop(callers[i]);
  }
  stop(daemon);
  bool empty = queue_is_empty();
  printf(
      "mm_load: %ld answered, %ld without daemon, %ld timed out, %ld busy, %ld other, %ld wrong; "
      "%ld served, %ld unwanted, %ld sessions ended; %ld daemons and %ld callers killed; %s\n",
      counts->answered, counts->not_connected, counts->timed_out, counts->busy, counts->other,
      counts->wrong, counts->served, counts->unwanted, counts->closed, daemons_killed,
      callers_killed, empty ? "the queue is empty" : "SOMETHING IS LEFT IN THE QUEUE");
  return counts->wrong != 0 || counts->other != 0 || !empty || counts->answered < 1000;
}
