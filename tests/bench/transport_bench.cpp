// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// `bench-transport EFISTORED`: GetVariable of 64 B in this process and through a daemon's socket,
// each beside the floor of its transport measured in turns with it: the frames copied in and out,
// and a SOCK_SEQPACKET ping-pong of the same sizes between two processes. Then how many a second
// 1, 4 and 16 callers get. Prints JSON, times in nanoseconds.
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "efistore/base/unique_fd.hpp"
#include "efistore/mm/dispatcher.hpp"
#include "efistore/runtime/client.hpp"

#include "support/temporary_directory.hpp"
#include "workload.hpp"

namespace efistore::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t variable_count = 100;
constexpr std::size_t data_size_bytes = 64;
/// Communicate and function headers, SMM_VARIABLE_COMMUNICATE_ACCESS_VARIABLE, name and data.
constexpr std::size_t frame_size = 24 + 16 + 36 + 26 + data_size_bytes;
constexpr int rounds = 20;
constexpr int calls_in_process = 50'000;
constexpr int calls_over_socket = 5'000;
constexpr std::chrono::milliseconds throughput_time{500};

/// A child that goes when this process does.
class Child {
 public:
  explicit Child(const std::function<void()>& body) : pid_(::fork()) {
    if (pid_ < 0) give_up("fork failed");
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    body();
    std::_Exit(1);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_;
};

/// Sends back what comes on any of the sockets, which it waits for as a daemon has to.
void echo(const std::vector<UniqueFd>& ends) {
  std::vector<pollfd> waiting;
  for (const UniqueFd& fd : ends)
    waiting.push_back({.fd = fd.get(), .events = POLLIN, .revents = 0});
  std::array<std::byte, 4096> buffer;
  for (;;) {
    if (waiting.size() > 1 && ::poll(waiting.data(), waiting.size(), -1) < 0) return;
    for (const pollfd& one : waiting) {
      if (waiting.size() > 1 && one.revents == 0) continue;
      const ssize_t size = ::recv(one.fd, buffer.data(), buffer.size(), 0);
      if (size <= 0 || ::send(one.fd, buffer.data(), static_cast<std::size_t>(size), 0) < 0) return;
    }
  }
}

/// Callers' ends of sockets that another process echoes.
class PingPong {
 public:
  explicit PingPong(std::size_t callers) {
    std::vector<UniqueFd> others;
    for (std::size_t i = 0; i < callers; ++i) {
      std::array<int, 2> pair{};
      if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) {
        give_up("no sockets");
      }
      ends_.emplace_back(pair[0]);
      others.emplace_back(pair[1]);
    }
    child_ = std::make_unique<Child>([&] { echo(others); });
  }

  void call(std::size_t caller) {
    std::array<std::byte, frame_size> frame{};
    if (::send(ends_[caller].get(), frame.data(), frame.size(), 0) < 0 ||
        ::recv(ends_[caller].get(), frame.data(), frame.size(), 0) != frame_size) {
      give_up("the echo does not answer");
    }
  }

 private:
  std::vector<UniqueFd> ends_;
  std::unique_ptr<Child> child_;
};

void must_get(runtime::Client& client, const Key& key) {
  std::array<std::byte, data_size_bytes> data;
  const auto found = client.get_variable(key.name, key.guid, data);
  if (!found || found->data_size != data.size()) give_up("a Get missed");
}

runtime::Client connect(const std::filesystem::path& socket) {
  auto transport = runtime::connect_socket(socket, {.connect_timeout = std::chrono::seconds(20)});
  if (!transport) give_up(transport.error().message);
  auto client = runtime::Client::create(std::move(*transport));
  if (!client) give_up(client.error().message);
  return std::move(*client);
}

double time_of(int calls, const std::function<void(int)>& call) {
  const auto begin = Clock::now();
  for (int i = 0; i < calls; ++i) call(i);
  return std::chrono::duration<double, std::nano>(Clock::now() - begin).count() / calls;
}

/// The best of the rounds of each, made in turns.
std::vector<double> best_of(int calls, const std::vector<std::function<void(int)>>& subjects) {
  std::vector<double> best(subjects.size(), 1e18);
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < subjects.size(); ++i) {
      best[i] = std::min(best[i], time_of(calls, subjects[i]));
    }
  }
  return best;
}

nlohmann::json measure_in_process(const std::vector<Key>& keys) {
  const Workload workload{.variable_count = variable_count, .data_size_bytes = data_size_bytes};
  auto services = open_services(make_device(image_of(workload)));
  mm::Dispatcher dispatcher(services);
  auto client = runtime::Client::create(runtime::make_in_process_transport(dispatcher)).value();
  std::vector<std::byte> outside(frame_size);
  std::vector<std::byte> inside(frame_size);
  const auto copy = [](std::vector<std::byte>& to, const std::vector<std::byte>& from) {
    std::memcpy(to.data(), from.data(), frame_size);
    asm volatile("" : : "r"(to.data()) : "memory");  // so that it is not left out
  };
  const auto best =
      best_of(calls_in_process,
              {[&](int i) { must_get(client, keys[static_cast<std::size_t>(i) % keys.size()]); },
               [&](int) {
                 copy(inside, outside);
                 copy(outside, inside);
               },
               [&](int i) {
                 const Key& wanted = keys[static_cast<std::size_t>(i) % keys.size()];
                 if (!services.get(wanted.name, wanted.guid)) give_up("a Get missed");
               }});
  return {{"call_ns", best[0]}, {"memcpy_ns", best[1]}, {"get_ns", best[2]}};
}

double calls_a_second(std::size_t callers, const std::function<void(std::size_t, int)>& call) {
  std::atomic<bool> ended = false;
  std::atomic<std::uint64_t> calls = 0;
  std::vector<std::thread> threads;
  const auto begin = Clock::now();
  for (std::size_t caller = 0; caller < callers; ++caller) {
    threads.emplace_back([&, caller] {
      std::uint64_t made = 0;
      for (int i = 0; !ended; ++i, ++made) call(caller, i);
      calls += made;
    });
  }
  std::this_thread::sleep_for(throughput_time);
  ended = true;
  for (std::thread& thread : threads) thread.join();
  return static_cast<double>(calls) / std::chrono::duration<double>(Clock::now() - begin).count();
}

nlohmann::json measure_throughput(std::size_t callers, const std::filesystem::path& socket,
                                  const std::vector<Key>& keys) {
  std::vector<runtime::Client> clients;
  for (std::size_t i = 0; i < callers; ++i) clients.push_back(connect(socket));
  PingPong floor(callers);
  double ours = 0;
  double theirs = 0;
  for (int round = 0; round < 3; ++round) {
    ours = std::max(ours, calls_a_second(callers, [&](std::size_t caller, int i) {
                      must_get(clients[caller], keys[static_cast<std::size_t>(i) % keys.size()]);
                    }));
    theirs = std::max(
        theirs, calls_a_second(callers, [&](std::size_t caller, int) { floor.call(caller); }));
  }
  return {{"callers", callers}, {"calls_per_s", ours}, {"ping_pongs_per_s", theirs}};
}

int run(const char* efistored) {
  const auto keys = make_keys(variable_count);
  nlohmann::json results{{"in_process", measure_in_process(keys)}};

  const test::TemporaryDirectory directory;
  const auto image = directory.path() / "vars.fd";
  const auto socket = directory.path() / "sock";
  const Workload workload{.variable_count = variable_count, .data_size_bytes = data_size_bytes};
  const auto& content = image_of(workload);
  std::ofstream(image, std::ios::binary)
      .write(reinterpret_cast<const char*>(content.data()),
             static_cast<std::streamsize>(content.size()));
  const Child daemon([&] {
    ::execl(efistored, efistored, "--store", image.c_str(), "--socket", socket.c_str(), nullptr);
  });
  auto client = connect(socket);
  PingPong floor(1);
  const auto best =
      best_of(calls_over_socket,
              {[&](int i) { must_get(client, keys[static_cast<std::size_t>(i) % keys.size()]); },
               [&](int) { floor.call(0); }});
  results["socket"] = {{"call_ns", best[0]}, {"ping_pong_ns", best[1]}};
  for (const std::size_t callers : {1U, 4U, 16U}) {
    results["throughput"].push_back(measure_throughput(callers, socket, keys));
  }
  fmt::print("{}\n", results.dump(1));
  return 0;
}

}  // namespace

}  // namespace efistore::bench

int main(int argc, char** argv) {
  using namespace efistore;
  if (argc != 2) {
    fmt::print(stderr, "usage: bench-transport EFISTORED\n");
    return 2;
  }
  return bench::run_guarded([&] { return bench::run(argv[1]); });
}
