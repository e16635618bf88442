// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "hooks.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <memory>

#include "efistore/base/unique_fd.hpp"

namespace efistore::update {

namespace {

struct FreeActions {
  void operator()(posix_spawn_file_actions_t* actions) const noexcept {
    posix_spawn_file_actions_destroy(actions);
  }
};
struct FreeAttributes {
  void operator()(posix_spawnattr_t* attributes) const noexcept {
    posix_spawnattr_destroy(attributes);
  }
};

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// False if the time is over before the process.
bool wait_for_end(pid_t pid, std::chrono::milliseconds timeout) {
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return false;
  pollfd descriptor{.fd = process.get(), .events = POLLIN, .revents = 0};
  const auto end = std::chrono::steady_clock::now() + timeout;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    const int ready =
        ::poll(&descriptor, 1, static_cast<int>(std::max(left.count(), std::int64_t{0})));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

}  // namespace

Status run_hook(const std::vector<std::string>& command,
                const std::vector<std::string>& environment, std::chrono::seconds timeout) {
  std::vector<std::string> words = command;
  std::vector<std::string> variables = environment;
  for (char** variable = environ; *variable != nullptr; ++variable)
    variables.emplace_back(*variable);
  const auto arguments = pointers_to(words);
  const auto environment_pointers = pointers_to(variables);

  posix_spawn_file_actions_t raw_actions{};
  posix_spawn_file_actions_init(&raw_actions);
  const std::unique_ptr<posix_spawn_file_actions_t, FreeActions> actions(&raw_actions);
  posix_spawn_file_actions_addopen(actions.get(), STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawnattr_t raw_attributes{};
  posix_spawnattr_init(&raw_attributes);
  const std::unique_ptr<posix_spawnattr_t, FreeAttributes> attributes(&raw_attributes);
  posix_spawnattr_setflags(attributes.get(), POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(attributes.get(), 0);

  pid_t pid = 0;
  const int failed = ::posix_spawn(&pid, words[0].c_str(), actions.get(), attributes.get(),
                                   arguments.data(), environment_pointers.data());
  if (failed != 0) return fail_errno(failed, "hook " + words[0]);
  const bool ended = wait_for_end(pid, timeout);
  // Also what a hook that is over has left behind in its group.
  ::kill(-pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!ended) {
    return fail(Errc::io,
                fmt::format("hook {}: not done after {} s, killed", words[0], timeout.count()));
  }
  if (WIFSIGNALED(status)) {
    return fail(Errc::io, fmt::format("hook {}: ended by signal {}", words[0], WTERMSIG(status)));
  }
  if (WEXITSTATUS(status) != 0) {
    return fail(Errc::io, fmt::format("hook {}: exit status {}", words[0], WEXITSTATUS(status)));
  }
  return {};
}

}  // namespace efistore::update
