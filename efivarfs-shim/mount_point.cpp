// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "mount_point.hpp"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <vector>

namespace efistore::shim {

namespace {

/// As many dead mounts on top of each other as anybody can have by accident.
constexpr int max_stacked_mounts = 16;

/// Spaces, tabs, newlines and backslashes stand as three octal digits in mountinfo.
std::string unescape(std::string_view field) {
  std::string text;
  const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
  for (std::size_t i = 0; i < field.size(); ++i) {
    const bool escape = field[i] == '\\' && field.size() - i > 3 && is_octal(field[i + 1]) &&
                        is_octal(field[i + 2]) && is_octal(field[i + 3]);
    if (escape) {
      const int code = (field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 + (field[i + 3] - '0');
      text.push_back(static_cast<char>(code));
      i += 3;
    } else {
      text.push_back(field[i]);
    }
  }
  return text;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = text.find(separator);
    if (end != 0) parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return parts;
}

/// The canonical path. The last part of a dead mount cannot be looked at, so it is left as it is.
Result<std::string> canonical_path(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::path canonical = fs::canonical(path, error);
  if (error.value() == ENOTCONN) {
    fs::path absolute = fs::absolute(path).lexically_normal();
    if (!absolute.has_filename()) absolute = absolute.parent_path();
    canonical = fs::canonical(absolute.parent_path(), error) / absolute.filename();
  }
  if (error) return fail_errno(error.value(), path);
  return canonical.string();
}

std::string mounted_type_now(const std::string& mount_point) {
  std::ifstream file("/proc/self/mountinfo");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return mounted_type(text, mount_point);
}

Status unmount_lazily(const std::string& mount_point) {
  if (::umount2(mount_point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return {};
  if (errno != EPERM) return fail_errno(errno, "unmount " + mount_point);
  // Only fusermount3, which is set-user-id, may unmount for somebody who is not root.
  std::string program = "fusermount3";
  std::string path = mount_point;
  std::array<std::string, 4> options{"-u", "-z", "-q", "--"};
  const std::array<char*, 7> arguments{program.data(),
                                       options[0].data(),
                                       options[1].data(),
                                       options[2].data(),
                                       options[3].data(),
                                       path.data(),
                                       nullptr};
  pid_t child = 0;
  const int error =
      ::posix_spawnp(&child, program.c_str(), nullptr, nullptr, arguments.data(), environ);
  if (error != 0) return fail_errno(error, "start fusermount3");
  int result = 0;
  while (::waitpid(child, &result, 0) < 0) {
    if (errno != EINTR) return fail_errno(errno, "wait for fusermount3");
  }
  if (!WIFEXITED(result) || WEXITSTATUS(result) != 0) {
    return fail(Errc::permission, "fusermount3 cannot unmount " + mount_point);
  }
  return {};
}

/// statvfs asks the file system itself; stat could be answered from the kernel's cache.
bool is_dead(const std::string& mount_point) {
  struct statvfs status {};
  return ::statvfs(mount_point.c_str(), &status) != 0 && errno == ENOTCONN;
}

}  // namespace

std::string mounted_type(std::string_view mountinfo, std::string_view mount_point) {
  // id parent major:minor root MOUNT-POINT options [tags...] - TYPE source super-options; a later
  // line lies on top of an earlier one.
  constexpr std::size_t mount_point_field = 4;
  std::string type;
  for (const std::string_view line : split(mountinfo, '\n')) {
    const std::size_t separator = line.find(" - ");
    if (separator == std::string_view::npos) continue;
    const auto before = split(line.substr(0, separator), ' ');
    const auto after = split(line.substr(separator + 3), ' ');
    if (before.size() <= mount_point_field || after.empty()) continue;
    if (unescape(before[mount_point_field]) == mount_point) type = unescape(after.front());
  }
  return type;
}

Result<std::string> prepare_mount_point(const std::string& path, bool replace) {
  auto mount_point = canonical_path(path);
  if (!mount_point) return forward(std::move(mount_point));
  const std::string our_type = fmt::format("fuse.{}", file_system_subtype);
  for (int i = 0; i < max_stacked_mounts && mounted_type_now(*mount_point) == our_type; ++i) {
    if (!is_dead(*mount_point)) {
      return fail(Errc::already_exists,
                  fmt::format("{} has a variable store mounted already", *mount_point));
    }
    if (!replace) {
      return fail(Errc::busy, fmt::format("{} has the mount of an efivarfs-shim that died; "
                                          "--replace unmounts it first",
                                          *mount_point));
    }
    if (auto done = unmount_lazily(*mount_point); !done) return forward(std::move(done));
  }
  struct stat status {};
  if (::stat(mount_point->c_str(), &status) != 0) return fail_errno(errno, *mount_point);
  if (!S_ISDIR(status.st_mode)) {
    return fail(Errc::invalid_argument, *mount_point + " is not a directory");
  }
  return mount_point;
}

}  // namespace efistore::shim
