// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "end_signals.hpp"

#include <fcntl.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>

namespace efistore::shim {
namespace {

constexpr std::array end_signals{SIGTERM, SIGINT, SIGHUP};

// A handler has nothing but globals, and of those only what is lock-free.
std::atomic<bool> end_requested = false;
std::atomic<int> interrupted_fd = -1;
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

extern "C" void on_end_signal(int) {
  const int error = errno;
  end_requested = true;
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

}  // namespace

Status block_end_signals() {
  const sigset_t set = end_signal_set();
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return fail_errno(errno, "block signals");
  return {};
}

EndRequest::EndRequest(int fd) noexcept {
  end_requested = false;
  interrupted_fd = fd;
  struct sigaction action {};
  action.sa_handler = on_end_signal;
  action.sa_mask = end_signal_set();
  action.sa_flags = SA_RESTART;
  for (const int signal : end_signals) ::sigaction(signal, &action, nullptr);
  ::sigprocmask(SIG_UNBLOCK, &action.sa_mask, nullptr);
}

EndRequest::~EndRequest() {
  const sigset_t set = end_signal_set();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

bool EndRequest::arrived() const noexcept {
  return end_requested;
}

}  // namespace efistore::shim
