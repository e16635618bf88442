// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "common/file_io.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "efistore/base/unique_fd.hpp"

#include "common/escape.hpp"

namespace efistore::tools {

namespace {

constexpr mode_t permission_bits = 07777;

tl::unexpected<Failure> fail_system(std::string_view subject, int errno_value) {
  return fail_with(fmt::format("{}: {}", subject, std::generic_category().message(errno_value)));
}

tl::unexpected<Failure> fail_without_name() {
  return fail_usage("the name of a file must not be empty");
}

/// Writes all of `data`; 0, or the errno value.
int write_all(int fd, std::span<const std::byte> data) {
  while (!data.empty()) {
    const ssize_t written = ::write(fd, data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    data = data.subspan(static_cast<std::size_t>(written));
  }
  return 0;
}

/// The name of a new file survives a power loss once its folder is on disk. 0, or the errno value.
int sync_folder_of(const std::filesystem::path& path) {
  const std::filesystem::path parent = path.parent_path();
  const UniqueFd folder(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return !folder || ::fsync(folder.get()) == 0 ? 0 : errno;
}

mode_t current_umask() {
  // Linux has no way to look at it without changing it; these tools have one thread.
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return mask;
}

/// A temporary file beside its target, removed unless it took the target's place.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::filesystem::path& target)
      : path_((target.parent_path() / fmt::format(".{}.XXXXXX", target.filename().string()))
                  .string()),
        fd_(::mkostemp(path_.data(), O_CLOEXEC)) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (fd_ && !renamed_) ::unlink(path_.c_str());
  }

  /// 0, or the errno value.
  int fill(std::span<const std::byte> data, mode_t mode) {
    if (!fd_) return errno;
    if (::fchmod(fd_.get(), mode) != 0) return errno;
    if (const int error = write_all(fd_.get(), data); error != 0) return error;
    return ::fsync(fd_.get()) == 0 ? 0 : errno;
  }

  /// Fails with EEXIST if there is anything of that name.
  int become_new(const std::filesystem::path& target) {
    // A hard link is refused where the name is taken, on every file system that has them. Those
    // that have none know the flag.
    if (::link(path_.c_str(), target.c_str()) == 0) return sync_folder_of(target);
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK) return errno;
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE) != 0) {
      return errno;
    }
    renamed_ = true;
    return sync_folder_of(target);
  }

  int rename_to(const std::filesystem::path& target) {
    if (::rename(path_.c_str(), target.c_str()) != 0) return errno;
    renamed_ = true;
    return sync_folder_of(target);
  }

 private:
  std::string path_;
  UniqueFd fd_;
  bool renamed_ = false;
};

}  // namespace

Outcome<std::vector<std::byte>> read_input(const std::string& path, std::size_t limit_bytes) {
  if (path.empty()) return fail_without_name();
  const bool standard_input = path == "-";
  UniqueFd file;
  if (!standard_input) {
    file = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return fail_system(path, errno);
  }
  const int fd = standard_input ? STDIN_FILENO : file.get();
  const std::string_view name = standard_input ? "standard input" : std::string_view(path);
  std::vector<std::byte> content;
  std::array<std::byte, 64 << 10> chunk{};
  while (true) {
    const ssize_t count = ::read(fd, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_system(name, errno);
    if (count == 0) return content;
    content.insert(content.end(), chunk.begin(), chunk.begin() + count);
    if (content.size() > limit_bytes) {
      return fail_with(fmt::format("{}: more than the {} bytes that are taken", name, limit_bytes));
    }
  }
}

Outcome<void> write_file(const std::string& path, std::span<const std::byte> data) {
  if (path.empty()) return fail_without_name();
  struct stat existing {};
  const bool exists = ::stat(path.c_str(), &existing) == 0;
  if (exists && !S_ISREG(existing.st_mode)) {
    const UniqueFd direct(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!direct) return fail_system(path, errno);
    if (const int error = write_all(direct.get(), data); error != 0)
      return fail_system(path, error);
    return {};
  }

  std::error_code error;
  const auto target =
      exists ? std::filesystem::canonical(path, error) : std::filesystem::absolute(path, error);
  if (error) return fail_system(path, error.value());
  const mode_t mode = exists ? existing.st_mode & permission_bits : 0666 & ~current_umask();
  TemporaryFile temporary(target);
  if (const int failed = temporary.fill(data, mode); failed != 0) return fail_system(path, failed);
  if (const int failed = temporary.rename_to(target); failed != 0) return fail_system(path, failed);
  return {};
}

Outcome<void> write_file(const std::string& path, std::span<const std::byte> data,
                         IfThere if_there) {
  if (if_there == IfThere::replace) return write_file(path, data);
  if (path.empty()) return fail_without_name();
  std::error_code error;
  const auto target = std::filesystem::absolute(path, error);
  if (error) return fail_system(path, error.value());
  // Before anything is written; become_new() decides.
  if (std::filesystem::exists(std::filesystem::symlink_status(target, error))) {
    return fail_system(path, EEXIST);
  }
  TemporaryFile temporary(target);
  if (const int failed = temporary.fill(data, 0666 & ~current_umask()); failed != 0) {
    return fail_system(path, failed);
  }
  if (const int failed = temporary.become_new(target); failed != 0) {
    return fail_system(path, failed);
  }
  return {};
}

Outcome<void> create_file(const std::string& path, std::span<const std::byte> data) {
  if (path.empty()) return fail_without_name();
  std::error_code error;
  const auto target = std::filesystem::absolute(path, error);
  if (error) return fail_system(path, error.value());
  // O_EXCL: the file is this one's own, also if another process makes one of that name just now.
  const UniqueFd file(::open(target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file) return fail_system(path, errno);
  int failed = write_all(file.get(), data);
  if (failed == 0 && ::fsync(file.get()) != 0) failed = errno;
  if (failed == 0) failed = sync_folder_of(target);
  if (failed == 0) return {};
  ::unlink(target.c_str());
  return fail_system(path, failed);
}

Outcome<void> write_raw_output(std::span<const std::byte> data) {
  if (::isatty(STDOUT_FILENO) == 1) {
    const std::string text = [data] {
      std::string copy(data.size(), '\0');
      std::transform(data.begin(), data.end(), copy.begin(),
                     [](std::byte byte) { return static_cast<char>(byte); });
      return copy;
    }();
    if (needs_escape(text, EscapeStyle::text)) {
      return fail_with(
          "bytes that are no text are not written to a terminal; use -o FILE or a pipe");
    }
  }
  if (auto flushed = flush_output(); !flushed) return flushed;
  if (const int error = write_all(STDOUT_FILENO, data); error != 0) {
    return fail_system("standard output", error);
  }
  return {};
}

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

Outcome<void> flush_output() {
  errno = 0;
  const bool failed_before = std::ferror(stdout) != 0;
  if (std::fflush(stdout) != 0 || failed_before) {
    return fail_system("standard output", errno == 0 ? EIO : errno);
  }
  return {};
}

}  // namespace efistore::tools
