// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/flash/file_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>

#include "efistore/base/unique_fd.hpp"

#include "printable.hpp"

namespace efistore::flash {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t command_line_limit = 120;
/// Far more than any process that locks images has in one fdinfo file.
constexpr std::size_t proc_file_limit = 16384;

struct flock whole_file(LockMode mode) {
  struct flock lock {};
  lock.l_type = mode == LockMode::exclusive ? F_WRLCK : F_RDLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

/// The first proc_file_limit bytes of a file, or what could be read of them.
std::string read_proc_file(const fs::path& path) {
  std::string text;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return text;
  std::array<char, 4096> part;
  while (text.size() < proc_file_limit) {
    const ssize_t count = ::read(fd.get(), part.data(), part.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    text.append(part.data(), static_cast<std::size_t>(count));
  }
  return text;
}

/// Whether an fdinfo file lists a lock of the descriptor that stands in the way of `wanted`. Its
/// lines are "lock:<tab>1: OFDLCK  ADVISORY  WRITE -1 08:01:1234 0 EOF"; flock() locks, listed as
/// FLOCK, are another kind and do not conflict with ours.
bool lists_conflicting_lock(std::string_view fdinfo, LockMode wanted) {
  while (!fdinfo.empty()) {
    const std::string_view line = fdinfo.substr(0, fdinfo.find('\n'));
    fdinfo.remove_prefix(std::min(line.size() + 1, fdinfo.size()));
    if (!line.starts_with("lock:")) continue;
    const bool same_kind = line.find(" OFDLCK ") != std::string_view::npos ||
                           line.find(" POSIX ") != std::string_view::npos;
    const bool conflicts =
        wanted == LockMode::exclusive || line.find(" WRITE ") != std::string_view::npos;
    if (same_kind && conflicts) return true;
  }
  return false;
}

bool process_holds(const fs::path& process, const struct stat& file, LockMode wanted) {
  std::error_code error;
  for (fs::directory_iterator it(process / "fd", error), end; !error && it != end;
       it.increment(error)) {
    struct stat open_file {};
    if (::stat(it->path().c_str(), &open_file) != 0) continue;
    if (open_file.st_dev != file.st_dev || open_file.st_ino != file.st_ino) continue;
    const std::string fdinfo = read_proc_file(process / "fdinfo" / it->path().filename());
    if (lists_conflicting_lock(fdinfo, wanted)) return true;
  }
  return false;
}

/// The process that holds a lock of `fd`'s file, if /proc shows it to us. An open-file-description
/// lock has no process id of its own: it is found by who has the description.
std::optional<pid_t> find_holder(int fd, LockMode wanted) {
  struct flock lock = whole_file(wanted);
  if (::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0) {
    return lock.l_pid;
  }
  struct stat file {};
  if (::fstat(fd, &file) != 0) return std::nullopt;
  std::error_code error;
  for (fs::directory_iterator it("/proc", error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    pid_t pid = 0;
    const auto [rest, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (bad != std::errc{} || rest != name.data() + name.size()) continue;
    if (process_holds(it->path(), file, wanted)) return pid;
  }
  return std::nullopt;
}

std::string describe_process(pid_t pid) {
  std::string command = read_proc_file(fmt::format("/proc/{}/cmdline", pid));
  while (!command.empty() && command.back() == '\0') command.pop_back();
  for (char& c : command) {
    if (c == '\0') c = ' ';
  }
  if (command.empty()) return fmt::format("process {}", pid);
  return fmt::format("process {} ({})", pid, printable(command, command_line_limit));
}

}  // namespace

Status lock_file(int fd, LockMode mode, const std::string& name) {
  struct flock lock = whole_file(mode);
  int result = 0;
  do {
    result = ::fcntl(fd, F_OFD_SETLK, &lock);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return {};
  const int error = errno;
  if (error != EAGAIN && error != EACCES) return fail_errno(error, "lock " + name);
  const auto holder = find_holder(fd, mode);
  return fail(Errc::busy,
              fmt::format("{} is in use by {}: use it through that process, or stop it first", name,
                          holder ? describe_process(*holder) : "another process"));
}

}  // namespace efistore::flash
