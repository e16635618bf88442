// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "loop_signals.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/time.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>

namespace efistore::shim {
namespace {

constexpr std::array end_signals{SIGTERM, SIGINT, SIGHUP};

// A handler has nothing but globals, and of those only what is lock-free.
std::atomic<bool> end_requested = false;
std::atomic<bool> tick_due = false;
std::atomic<int> interrupted_fd = -1;
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

extern "C" void on_signal(int signal) {
  const int error = errno;
  (signal == SIGALRM ? tick_due : end_requested) = true;
  const int fd = interrupted_fd;
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  errno = error;
}

sigset_t end_signal_set() noexcept {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : end_signals) sigaddset(&set, signal);
  return set;
}

/// Those that end the program, and the tick.
sigset_t loop_signal_set() noexcept {
  sigset_t set = end_signal_set();
  sigaddset(&set, SIGALRM);
  return set;
}

void set_timer(std::chrono::seconds period) noexcept {
  itimerval timer{};
  timer.it_value.tv_sec = timer.it_interval.tv_sec = period.count();
  ::setitimer(ITIMER_REAL, &timer, nullptr);
}

}  // namespace

Status block_end_signals() {
  const sigset_t set = end_signal_set();
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return fail_errno(errno, "block signals");
  return {};
}

LoopSignals::LoopSignals(int fd, std::chrono::seconds tick) noexcept : ticks_(tick.count() > 0) {
  end_requested = false;
  tick_due = false;
  interrupted_fd = fd;
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_mask = loop_signal_set();
  action.sa_flags = SA_RESTART;
  for (const int signal : end_signals) ::sigaction(signal, &action, nullptr);
  if (ticks_) {
    ::sigaction(SIGALRM, &action, nullptr);
    set_timer(tick);
  }
  const sigset_t ends = end_signal_set();
  ::sigprocmask(SIG_UNBLOCK, &ends, nullptr);
}

LoopSignals::~LoopSignals() {
  const sigset_t set = end_signal_set();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  if (!ticks_) return;
  set_timer(std::chrono::seconds(0));
  ::signal(SIGALRM, SIG_DFL);
}

bool LoopSignals::end_arrived() const noexcept {
  return end_requested;
}

bool LoopSignals::take_tick() noexcept {
  if (!tick_due && !waited_) return false;
  const sigset_t set = loop_signal_set();
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &set, &before);
  const bool ticked = tick_due.exchange(false);
  waited_ = false;
  const int fd = interrupted_fd;
  if (!end_requested) ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  return ticked;
}

void LoopSignals::wait(std::chrono::milliseconds longest) noexcept {
  wait(longest, {});
}

bool LoopSignals::wait(std::chrono::milliseconds longest, const PolledFd& other) noexcept {
  const sigset_t set = loop_signal_set();
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &set, &before);
  waited_ = true;
  std::array<pollfd, 2> waiting{{{.fd = interrupted_fd, .events = POLLIN, .revents = 0},
                                 {.fd = other.fd, .events = other.events, .revents = 0}}};
  // The kernel can take back a request that made the poll return.
  ::fcntl(waiting[0].fd, F_SETFL, ::fcntl(waiting[0].fd, F_GETFL) | O_NONBLOCK);
  if (!end_requested && !tick_due) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(longest);
    const std::chrono::nanoseconds rest = longest - seconds;
    const timespec timeout{.tv_sec = seconds.count(), .tv_nsec = rest.count()};
    ::ppoll(waiting.data(), waiting.size(), &timeout, &before);
  }
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  return waiting[1].revents != 0;
}

}  // namespace efistore::shim
