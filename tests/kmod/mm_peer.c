// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// A daemon for the tests of the kernel module: variables in memory, and any misbehaviour on
// command. `mm_peer -h` says how.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node.h"

#define EFI_ERROR(n) ((1ull << 63) | (n))
enum { NAME_CHARS = 512, DATA_BYTES = 70000, VARIABLES = 64 };

struct variable {
  bool used;
  uint8_t guid[16];
  uint16_t name[NAME_CHARS];
  uint64_t name_size;
  uint32_t attributes;
  uint64_t data_size;
  uint8_t data[DATA_BYTES];
};

static struct variable variables[VARIABLES];
static struct message message;
static int node;

// -m KIND:FUNCTION:FROM:COUNT: the FROM-th to (FROM+COUNT-1)-th request of FUNCTION (0: any).
static const char* kind = "";
static uint64_t bad_function, bad_from = 1, bad_count = 1, bad_seen;
static int late_ms = 1500;
static uint64_t bad_status = EFI_ERROR(7);
static const char* capsule_path;
static FILE* capsule;
static uint64_t capsule_size;
static bool touch_next;

static const uint8_t global_guid[16] = {0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11,
                                        0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c};

static void say(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("mm_peer: ");
  vprintf(format, arguments);
  va_end(arguments);
  printf("\n");
  fflush(stdout);
}

static struct variable* find(const uint8_t* guid, const uint8_t* name, uint64_t name_size) {
  for (int i = 0; i < VARIABLES; i++) {
    struct variable* v = &variables[i];
    if (v->used && v->name_size == name_size && memcmp(v->guid, guid, 16) == 0 &&
        memcmp(v->name, name, name_size) == 0) {
      return v;
    }
  }
  return NULL;
}

static uint64_t put(const uint8_t* guid, const uint8_t* name, uint64_t name_size,
                    uint32_t attributes, const uint8_t* data, uint64_t size) {
  struct variable* v = find(guid, name, name_size);
  if (attributes & 0x40) {
    if (v != NULL && v->data_size + size <= DATA_BYTES) {
      memcpy(v->data + v->data_size, data, size);
      v->data_size += size;
      return 0;
    }
    attributes &= ~0x40u;
  }
  if (size == 0 || attributes == 0) {
    if (v == NULL) {
      return EFI_ERROR(14);
    }
    v->used = false;
    return 0;
  }
  for (int i = 0; v == NULL && i < VARIABLES; i++) {
    if (!variables[i].used) {
      v = &variables[i];
    }
  }
  if (v == NULL || name_size > sizeof(v->name) || size > DATA_BYTES) {
    return EFI_ERROR(9);
  }
  v->used = true;
  memcpy(v->guid, guid, 16);
  memcpy(v->name, name, name_size);
  v->name_size = name_size;
  v->attributes = attributes;
  memcpy(v->data, data, size);
  v->data_size = size;
  return 0;
}

static void add(const char* name, const char* data) {
  uint16_t wide[NAME_CHARS] = {0};
  size_t length = strlen(name);
  for (size_t i = 0; i < length; i++) {
    wide[i] = (uint8_t)name[i];
  }
  put(global_guid, (uint8_t*)wide, 2 * (length + 1), 7, (const uint8_t*)data, strlen(data));
}

static void touch_efivarfs(void) {
  char bytes[64];
  const char* path = "/sys/firmware/efi/efivars/Hello-8be4df61-93ca-11d2-aa0d-00e098032b8c";
  int64_t begin = now_ms();
  int fd = open(path, O_RDONLY);
  ssize_t got = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
  say("touch: %zd errno %d after %lld ms", got, got < 0 ? errno : 0, (long long)(now_ms() - begin));
  if (fd >= 0) {
    close(fd);
  }
}

static bool is(const char* name) {
  return strcmp(kind, name) == 0;
}

static uint64_t get_variable(uint8_t* p, bool bad) {
  uint64_t room = get64(p + 16), name_size = get64(p + 24);
  struct variable* v = find(p, p + 36, name_size);
  if (v == NULL) {
    return EFI_ERROR(14);
  }
  put64(p + 16, v->data_size);
  put32(p + 32, v->attributes);
  if (bad && is("data-size")) {
    put64(p + 16, room + 1000);
    return 0;
  }
  if (bad && is("data-size-huge")) {
    put64(p + 16, 1ull << 40);
    return EFI_ERROR(5);
  }
  if (bad && is("data-size-small")) {
    put64(p + 16, 0);
    return EFI_ERROR(5);
  }
  if (bad && is("name-size")) {
    put64(p + 24, 1ull << 33);
  }
  if (room < v->data_size) {
    return EFI_ERROR(5);
  }
  memcpy(p + 36 + name_size, v->data, v->data_size);
  return 0;
}

static uint64_t get_next(uint8_t* p, bool bad) {
  uint64_t room = get64(p + 16);
  uint64_t length = 0;
  while (length + 2 <= room && (p[24 + length] | p[25 + length]) != 0) {
    length += 2;
  }
  int i = 0;
  if (length != 0) {
    struct variable* v = find(p, p + 24, length + 2);
    if (v == NULL) {
      return EFI_ERROR(2);
    }
    i = (int)(v - variables) + 1;
  }
  while (i < VARIABLES && !variables[i].used) {
    i++;
  }
  if (i == VARIABLES) {
    return EFI_ERROR(14);
  }
  const struct variable* v = &variables[i];
  put64(p + 16, v->name_size);
  if (bad && is("next-odd")) {
    put64(p + 16, v->name_size - 1);
  } else if (bad && is("next-huge")) {
    put64(p + 16, 1ull << 40);
  } else if (bad && is("next-small")) {
    put64(p + 16, 2);
    return EFI_ERROR(5);
  }
  if (room < v->name_size) {
    return EFI_ERROR(5);
  }
  memcpy(p, v->guid, 16);
  memcpy(p + 24, v->name, v->name_size);
  if (bad && is("next-unterminated")) {
    p[24 + v->name_size - 2] = 'x';
  } else if (bad && is("next-empty")) {
    p[24] = p[25] = 0;
  }
  return 0;
}

static uint64_t capsule_call(uint64_t function, const uint8_t* p, uint32_t size) {
  say("capsule function %llu, %u bytes", (unsigned long long)function, size);
  if (function == 32) {
    capsule_size = get64(p);
    capsule = capsule_path == NULL ? NULL : fopen(capsule_path, "w+b");
    return capsule == NULL ? EFI_ERROR(3) : 0;
  }
  if (capsule == NULL) {
    return EFI_ERROR(6);
  }
  if (function == 33) {
    fseek(capsule, (long)get64(p), SEEK_SET);
    fwrite(p + 8, 1, size - 8, capsule);
    return 0;
  }
  fclose(capsule);
  capsule = NULL;
  if (function == 35) {
    remove(capsule_path);
    say("capsule cancelled");
  } else {
    say("capsule committed, %llu bytes", (unsigned long long)capsule_size);
  }
  return 0;
}

static uint64_t serve(uint32_t frame_size, bool bad) {
  uint8_t* p = message.frame + FRAME_HEADER;
  uint64_t function = get64(message.frame + 24);
  if (memcmp(message.frame, management_guid, 16) == 0) {
    return capsule_call(function, p, frame_size - FRAME_HEADER);
  }
  if (memcmp(message.frame, variable_guid, 16) != 0) {
    return 0;
  }
  switch (function) {
    case 1:
      return get_variable(p, bad);
    case 2:
      return get_next(p, bad);
    case 3:
      return put(p, p + 36, get64(p + 24), get32(p + 32), p + 36 + get64(p + 24), get64(p + 16));
    case 4:
      put64(p, 65536);
      put64(p + 8, 60000);
      put64(p + 16, 1024);
      return 0;
    default:
      return EFI_ERROR(3);
  }
}

static void reply(uint64_t id, uint32_t size) {
  int error = write_message(node, EFISTORE_MM_REPLY, id, message.frame, size);
  if (error != 0) {
    say("reply: errno %d", error);
  }
}

// Answers; true: as the misbehaviour says, and there is nothing more to do.
static bool misbehave(uint64_t id, uint32_t size) {
  if (is("hang")) {
    say("hanging on id %llu", (unsigned long long)id);
    return true;
  }
  if (is("stall")) {
    say("stalling");
    for (;;) {
      pause();
    }
  }
  if (is("die")) {
    say("dying");
    _exit(9);
  }
  if (is("late")) {
    sleep_ms(late_ms);
    say("late reply: errno %d", write_message(node, EFISTORE_MM_REPLY, id, message.frame, size));
    return true;
  }
  if (is("slow")) {
    sleep_ms(late_ms);
  }
  if (is("twice")) {
    reply(id, size);
    say("second reply: errno %d", write_message(node, EFISTORE_MM_REPLY, id, message.frame, size));
    return true;
  }
  if (is("unknown")) {
    say("unknown id: errno %d",
        write_message(node, EFISTORE_MM_REPLY, id + 1000, message.frame, size));
  }
  if (is("oversize")) {
    struct efistore_info info = info_of(node);
    say("oversize reply: errno %d",
        write_message(node, EFISTORE_MM_REPLY, id, message.frame, info.buffer_size + 1));
    return true;
  }
  if (is("truncated")) {
    reply(id, FRAME_HEADER + 3);
    return true;
  }
  if (is("headless")) {
    reply(id, FRAME_MIN);
    return true;
  }
  if (is("touch")) {
    touch_efivarfs();
  }
  if (is("touch-after")) {
    touch_next = true;
  }
  if (is("guid")) {
    message.frame[0] ^= 1;
  }
  if (is("length")) {
    put64(message.frame + 16, ~0ull);
  }
  if (is("function")) {
    message.frame[24] ^= 1;
  }
  if (is("status")) {
    put64(message.frame + 32, bad_status);
  }
  return false;
}

static void serve_message(ssize_t got) {
  if (message.header.type != EFISTORE_MM_REQUEST) {
    say("session %llu closed", (unsigned long long)message.header.id);
    if (capsule != NULL) {
      fclose(capsule);
      capsule = NULL;
      remove(capsule_path);
      say("capsule cancelled by its session's end");
    }
    return;
  }
  uint32_t size = (uint32_t)((size_t)got - sizeof(message.header) - sizeof(message.request));
  bool framed = size >= FRAME_HEADER;
  uint64_t function = framed ? get64(message.frame + 24) : 0;
  bool bad = false;
  if (*kind != 0 && (bad_function == 0 || bad_function == function)) {
    bad_seen++;
    bad = bad_seen >= bad_from && bad_seen < bad_from + bad_count;
  }
  if (framed) {
    put64(message.frame + 32, serve(size, bad));
  }
  if (bad && misbehave(message.header.id, size)) {
    return;
  }
  reply(message.header.id, size);
  if (touch_next) {
    touch_next = false;
    touch_efivarfs();
  }
}

static void send_esrt(int count, uint32_t version) {
  struct {
    struct efistore_mm_esrt head;
    struct efistore_mm_esrt_entry entries[EFISTORE_MM_ESRT_MAX + 1];
  } table;
  memset(&table, 0, sizeof(table));
  table.head.count = (uint32_t)count;
  table.head.count_max = EFISTORE_MM_ESRT_MAX;
  table.head.version = 1;
  for (int i = 0; i < count; i++) {
    struct efistore_mm_esrt_entry* entry = &table.entries[i];
    memcpy(entry->fw_class, global_guid, 16);
    entry->fw_type = 1;
    entry->fw_version = version + (uint32_t)i;
    entry->lowest_supported_fw_version = 1;
    entry->capsule_flags = 0x50000;
    entry->last_attempt_version = version;
    entry->last_attempt_status = 6;
  }
  say("esrt: errno %d",
      write_message(node, EFISTORE_MM_ESRT, 0, &table,
                    sizeof(table.head) + (size_t)count * sizeof(table.entries[0])));
}

static const char usage[] =
    "usage: mm_peer [-b LOG] [-n VARIABLES] [-l] [-s FLAGS] [-m KIND[:FUNCTION[:FROM[:COUNT]]]]\n"
    "               [-t MS] [-S STATUS] [-c CAPSULE-FILE] [-e COUNT:VERSION] [-C CHANGES]\n"
    "  -b LOG  goes into the background when it is ready, and prints its process id; says all else "
    "in LOG\n"
    "  -l  has a variable among them whose name is too long for efivarfs\n";

static void parse_kind(char* text) {
  kind = strtok(text, ":");
  const char* part = strtok(NULL, ":");
  bad_function = part == NULL ? 0 : strtoull(part, NULL, 0);
  part = part == NULL ? NULL : strtok(NULL, ":");
  bad_from = part == NULL ? 1 : strtoull(part, NULL, 0);
  part = part == NULL ? NULL : strtok(NULL, ":");
  bad_count = part == NULL ? 1 : strtoull(part, NULL, 0);
}

static void add_variables(int count, bool long_name) {
  char name[NAME_CHARS];
  for (int i = 0; i < count; i++) {
    snprintf(name, sizeof(name), i == 0 ? "Hello" : "Var%04d", i);
    add(name, i == 0 ? "world" : name);
    if (long_name && i == count / 2) {
      memset(name, 'L', 400);
      name[400] = 0;
      add(name, "long");
    }
  }
}

int main(int argc, char** argv) {
  const char* log_path = NULL;
  bool long_name = false;
  int count = 3, esrt_count = -1, option;
  uint32_t flags = EFISTORE_READY_READ | EFISTORE_READY_WRITE, esrt_version = 1;
  uint64_t changes = 0;
  while ((option = getopt(argc, argv, "b:n:ls:m:t:S:c:e:C:h")) >= 0) {
    switch (option) {
      case 'b':
        log_path = optarg;
        break;
      case 'n':
        count = atoi(optarg);
        break;
      case 'l':
        long_name = true;
        break;
      case 's':
        flags = (uint32_t)strtoul(optarg, NULL, 0);
        break;
      case 'm':
        parse_kind(optarg);
        break;
      case 't':
        late_ms = atoi(optarg);
        break;
      case 'S':
        bad_status = strtoull(optarg, NULL, 0);
        break;
      case 'c':
        capsule_path = optarg;
        break;
      case 'e':
        sscanf(optarg, "%d:%u", &esrt_count, &esrt_version);
        break;
      case 'C':
        changes = strtoull(optarg, NULL, 0);
        break;
      default:
        fputs(usage, stderr);
        return 2;
    }
  }
  int ready[2];
  if (log_path != NULL && pipe(ready) == 0) {
    pid_t child = fork();
    if (child != 0) {
      char byte;
      close(ready[1]);
      if (read(ready[0], &byte, 1) != 1) {
        return 1;
      }
      printf("%d\n", (int)child);
      return 0;
    }
    setsid();
    close(ready[0]);
    // The shell that reads the process id must not wait for the end of this one.
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(log, 1);
    dup2(log, 2);
  }
  add_variables(count, long_name);
  node = open(MM_NODE, O_RDWR | O_CLOEXEC);
  if (node < 0) {
    die(MM_NODE);
  }
  if (write_message(node, EFISTORE_MM_STATE, 0, &flags, sizeof(flags)) != 0) {
    die("state");
  }
  if (esrt_count >= 0) {
    send_esrt(esrt_count, esrt_version);
  }
  if (changes != 0) {
    write_message(node, EFISTORE_MM_CHANGED, 0, &changes, sizeof(changes));
  }
  if (log_path != NULL && write(ready[1], "r", 1) != 1) {
    return 1;
  }
  say("ready");
  for (;;) {
    ssize_t got = read(node, &message, sizeof(message));
    if (got < 0) {
      die("read");
    }
    serve_message(got);
  }
}
