// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// usage: kill_rounds STORE ROUNDS [SEED]
//
// A writer of a store on an image file or an MTD device is killed with SIGKILL at a random moment,
// ROUNDS times: each time the variable that it was writing is old or new, the others are as they
// were, and an examination finds nothing amiss. What STORE held is lost.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "efistore/flash/open.hpp"
#include "efistore/store/variable_store.hpp"

namespace {

using namespace efistore;
using store::VariableStore;

constexpr Guid vendor = *Guid::parse("11223344-5566-7788-99aa-bbccddeeff00");
constexpr int bystanders = 4;
constexpr std::u16string_view written = u"Written";

[[noreturn]] void give_up(const std::string& message) {
  fmt::print(stderr, "kill_rounds: {}\n", message);
  std::_Exit(1);
}

template <typename T>
T need(Result<T> result) {
  if (!result) give_up(result.error().message);
  return std::move(*result);
}

void need(Status done) {
  if (!done) give_up(done.error().message);
}

std::unique_ptr<flash::Device> open_device(const char* path) {
  return need(flash::open_device(path, flash::OpenMode::read_write));
}

/// The value of the n-th write: its size and its bytes tell which one it is.
std::vector<std::byte> value(std::uint64_t number) {
  std::vector<std::byte> data(8 + number * 37 % 900, static_cast<std::byte>(number));
  for (std::size_t i = 0; i < 8; ++i) data[i] = static_cast<std::byte>(number >> (8 * i));
  return data;
}

std::u16string bystander_name(int index) {
  return u"Kept" + std::u16string(1, static_cast<char16_t>(u'0' + index));
}

Status put(VariableStore& store, std::u16string_view name, std::span<const std::byte> data) {
  const store::RecordContent content(name, vendor, 7, data);
  Status done = store.put(content);
  if (!done && done.error().code == Errc::no_space) done = store.reclaim_with(content);
  return done;
}

/// Shared with the writer: the last write that it began, and the last one that succeeded.
struct Progress {
  std::atomic<std::uint64_t> begun;
  std::atomic<std::uint64_t> done;
};

[[noreturn]] void write_for_ever(const char* path, Progress& progress) {
  auto store = need(VariableStore::open(open_device(path)));
  for (std::uint64_t number = progress.done + 1;; ++number) {
    progress.begun = number;
    need(put(store, written, value(number)));
    progress.done = number;
  }
}

void check_value(const VariableStore& store, std::u16string_view name,
                 std::span<const std::byte> expected) {
  const auto* const record = store.find(name, vendor);
  if (record == nullptr) give_up("a variable is gone");
  if (!std::ranges::equal(record->data, expected)) give_up("a variable has changed");
}

void check(const char* path, Progress& progress) {
  {
    const auto store = need(VariableStore::open(open_device(path)));
    if (store.read_only() || store.report().damaged) give_up("the store is not writable");
    for (int i = 0; i < bystanders; ++i) {
      check_value(store, bystander_name(i), value(static_cast<std::uint64_t>(i)));
    }
    const auto* const record = store.find(written, vendor);
    if (record == nullptr) give_up("the variable is gone");
    const bool is_new = std::ranges::equal(record->data, value(progress.begun));
    if (!is_new && !std::ranges::equal(record->data, value(progress.done))) {
      give_up(fmt::format("the variable is neither write {} nor {}", progress.done.load(),
                          progress.begun.load()));
    }
    if (is_new) progress.done = progress.begun.load();
  }
  const auto device = open_device(path);
  const auto examination = need(store::examine(*device));
  for (const store::Finding& finding : examination.findings) {
    if (finding.severity == store::Severity::note) continue;  // a step that is to be repeated
    give_up(fmt::format("at {:#x}: {}", finding.where.offset, finding.what));
  }
}

void prepare(const char* path) {
  auto device = open_device(path);
  // Small, so that there are many reclaims: seven blocks of variables.
  const std::uint32_t block = device->geometry().erase_block_size_bytes;
  const auto layout =
      need(store::Layout::custom({.size_bytes = 15 * block, .block_size_bytes = block}));
  need(VariableStore::format(*device, layout));
  auto store = need(VariableStore::open(std::move(device)));
  for (int i = 0; i < bystanders; ++i) {
    need(put(store, bystander_name(i), value(static_cast<std::uint64_t>(i))));
  }
  need(put(store, written, value(0)));
}

int run(const char* path, int rounds, unsigned seed) {
  auto* const progress = static_cast<Progress*>(
      mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  if (progress == MAP_FAILED) give_up("mmap failed");
  prepare(path);
  std::mt19937 random(seed);
  for (int round = 0; round < rounds; ++round) {
    const pid_t writer = fork();
    if (writer < 0) give_up("fork failed");
    if (writer == 0) write_for_ever(path, *progress);
    // Not before it has begun to write, or it would be killed in its start each time.
    const std::uint64_t before = progress->begun;
    while (progress->begun == before && waitpid(writer, nullptr, WNOHANG) == 0) {
      std::this_thread::yield();
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 20000));
    kill(writer, SIGKILL);
    int status = 0;
    if (waitpid(writer, &status, 0) != writer || !WIFSIGNALED(status)) {
      give_up("the writer ended by itself");
    }
    check(path, *progress);
  }
  fmt::print("{} rounds of kill -9 (seed {}), {} writes: old or new each time\n", rounds, seed,
             progress->done.load());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) {
    fmt::print(stderr, "usage: kill_rounds STORE ROUNDS [SEED]\n");
    return 2;
  }
  return run(argv[1], std::atoi(argv[2]),
             argc == 4 ? static_cast<unsigned>(std::atoi(argv[3])) : 1);
}
