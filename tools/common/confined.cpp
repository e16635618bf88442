// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "common/confined.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <exception>
#include <string_view>

#include "efistore/base/unique_fd.hpp"

namespace efistore::tools {

namespace {

#if defined(__SANITIZE_ADDRESS__)
#define EFISTORE_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EFISTORE_ADDRESS_SANITIZER 1
#endif
#endif
#ifdef EFISTORE_ADDRESS_SANITIZER
// AddressSanitizer's shadow memory is far larger than any limit worth having.
constexpr bool memory_is_limitable = false;
#else
constexpr bool memory_is_limitable = true;
#endif

constexpr int exit_done = 0;
constexpr int exit_nothing = 1;

void limit(int resource, rlim_t value) {
  const rlimit both{value, value};
  ::setrlimit(static_cast<__rlimit_resource>(resource), &both);
}

[[noreturn]] void child(int out, const std::function<std::optional<std::string>()>& produce,
                        const Confinement& confinement) {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, stream);
  // Signals that this process ignores or handles must kill the child as they would any other.
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGPIPE}) {
    ::signal(number, SIG_DFL);
  }
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_FSIZE, 0);
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(confinement.time_limit).count();
  limit(RLIMIT_CPU, static_cast<rlim_t>(seconds));
  if (memory_is_limitable) limit(RLIMIT_AS, confinement.memory_limit_bytes);

  std::optional<std::string> text;
  try {
    text = produce();
  } catch (const std::exception&) {
    ::_exit(exit_nothing);
  }
  if (!text) ::_exit(exit_nothing);
  std::string_view rest = *text;
  while (!rest.empty()) {
    const ssize_t written = ::write(out, rest.data(), rest.size());
    if (written < 0 && errno != EINTR) ::_exit(exit_nothing);
    if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
  }
  // No destructors and no exit handlers: they belong to the parent.
  ::_exit(exit_done);
}

/// Everything the child says until it closes the pipe; none beyond a limit.
std::optional<std::string> collect(int fd, const Confinement& confinement) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + confinement.time_limit;
  std::string text;
  std::array<char, 4096> chunk{};
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return std::nullopt;
    const ssize_t count = ::read(fd, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::nullopt;
    if (count == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(count));
    if (text.size() > confinement.output_limit_bytes) return std::nullopt;
  }
}

}  // namespace

std::optional<std::string> run_confined(const std::function<std::optional<std::string>()>& produce,
                                        const Confinement& confinement) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::nullopt;
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return std::nullopt;
  if (pid == 0) {
    reader.reset();
    child(writer.get(), produce, confinement);
  }
  writer.reset();
  auto text = collect(reader.get(), confinement);
  if (!text) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != exit_done) return std::nullopt;
  return text;
}

}  // namespace efistore::tools
