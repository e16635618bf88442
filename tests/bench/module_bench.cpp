// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The round trip of GetVariable of 64 bytes through the kernel module, as a ratio to that of two
// pipes between two processes of the same machine in the same run. Run in a guest by
// module-bench, with efistored attached.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include "efistore/runtime/client.hpp"

namespace {

using Clock = std::chrono::steady_clock;
using efistore::runtime::Client;

constexpr std::size_t frame_size = 24 + 16 + 36 + 4 + 64;
constexpr int rounds = 2000;
constexpr int repetitions = 5;

constexpr efistore::Guid vendor = *efistore::Guid::parse("11223344-5566-7788-99aa-bbccddeeff00");

/// The best of several runs, in microseconds a round.
double measure(const std::function<void()>& round) {
  double best = 0;
  for (int i = 0; i < repetitions; ++i) {
    const auto begin = Clock::now();
    for (int n = 0; n < rounds; ++n) round();
    const std::chrono::duration<double, std::micro> time = Clock::now() - begin;
    best = i == 0 ? time.count() : std::min(best, time.count());
  }
  return best / rounds;
}

void transfer(ssize_t count) {
  if (count != static_cast<ssize_t>(frame_size)) std::_Exit(1);
}

/// Two pipes, and a child that sends back what it gets.
double ping_pong() {
  std::array<int, 2> to{};
  std::array<int, 2> from{};
  if (::pipe(to.data()) != 0 || ::pipe(from.data()) != 0) std::_Exit(1);
  std::array<std::byte, frame_size> frame{};
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(to[1]);
    while (::read(to[0], frame.data(), frame.size()) > 0) {
      transfer(::write(from[1], frame.data(), frame.size()));
    }
    std::_Exit(0);
  }
  ::close(to[0]);
  const double time = measure([&] {
    transfer(::write(to[1], frame.data(), frame.size()));
    transfer(::read(from[0], frame.data(), frame.size()));
  });
  ::close(to[1]);
  ::waitpid(child, nullptr, 0);
  return time;
}

Client connect() {
  auto transport = efistore::runtime::open_kernel_module("/dev/efistore");
  if (!transport) {
    fmt::print(stderr, "{}\n", transport.error().message);
    std::_Exit(1);
  }
  return Client::create(std::move(*transport)).value();
}

void read_once(Client& client) {
  std::array<std::byte, 64> data{};
  const auto size = client.get_variable(u"A", vendor, data);
  if (!size || size->data_size != data.size()) std::_Exit(1);
}

/// Calls a second of so many callers at once.
double throughput(int callers) {
  constexpr int calls = 1000;
  const auto begin = Clock::now();
  std::vector<pid_t> children;
  for (int i = 0; i < callers; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      Client client = connect();
      for (int n = 0; n < calls; ++n) read_once(client);
      std::_Exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    if (status != 0) std::_Exit(1);
  }
  const std::chrono::duration<double> time = Clock::now() - begin;
  return callers * calls / time.count();
}

}  // namespace

int main() {
  Client client = connect();
  const std::vector<std::byte> data(64, std::byte{0x5a});
  constexpr std::uint32_t attributes = 7;
  if (!client.set_variable(
          {.name = u"A", .guid = vendor, .attributes = attributes, .data = data})) {
    return 1;
  }
  const double floor_us = ping_pong();
  const double module_us = measure([&client] { read_once(client); });
  fmt::print("pipe ping-pong of {} bytes: {:.1f} us\n", frame_size, floor_us);
  fmt::print("GetVariable of 64 bytes:    {:.1f} us, ratio {:.2f}\n", module_us,
             module_us / floor_us);
  for (const int callers : {1, 4, 16}) {
    fmt::print("{:2} callers: {:.0f} calls/s\n", callers, throughput(callers));
  }
  return 0;
}
