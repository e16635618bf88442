// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// `bench-minimal-fs MOUNTPOINT`: the least that a FUSE file system can do, as the reference for
// efivarfs-shim: 100 files of 104 bytes in memory, with the shim's timeouts and open flags, one
// thread, libfuse's own loop. Runs in the foreground until SIGTERM or an unmount.
#define FUSE_USE_VERSION 314
#include <fmt/format.h>
#include <fuse_lowlevel.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "efistore/base/guid.hpp"

#include "workload.hpp"

namespace {

constexpr double attribute_timeout_s = 3600;
constexpr double entry_timeout_s = 0;
constexpr std::size_t file_count = 100;
constexpr std::size_t file_size_bytes = 104;
constexpr fuse_ino_t first_file_inode = FUSE_ROOT_ID + 1;

struct Files {
  std::vector<std::string> names;
  std::unordered_map<std::string, fuse_ino_t> inodes;
  std::array<char, file_size_bytes> content{};
};

const Files& files(fuse_req_t request) {
  return *static_cast<const Files*>(fuse_req_userdata(request));
}

struct stat status_of(fuse_ino_t inode) {
  struct stat status {};
  const bool is_root = inode == FUSE_ROOT_ID;
  status.st_ino = inode;
  status.st_mode = is_root ? S_IFDIR | 0755 : S_IFREG | 0644;
  status.st_nlink = is_root ? 2 : 1;
  status.st_size = is_root ? 0 : file_size_bytes;
  return status;
}

bool exists(fuse_ino_t inode) {
  return inode == FUSE_ROOT_ID ||
         (inode >= first_file_inode && inode < first_file_inode + file_count);
}

void on_lookup(fuse_req_t request, fuse_ino_t, const char* name) {
  const auto found = files(request).inodes.find(name);
  if (found == files(request).inodes.end()) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  fuse_entry_param entry{};
  entry.ino = found->second;
  entry.attr = status_of(entry.ino);
  entry.attr_timeout = attribute_timeout_s;
  entry.entry_timeout = entry_timeout_s;
  fuse_reply_entry(request, &entry);
}

void on_getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
  if (!exists(inode)) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  const struct stat status = status_of(inode);
  fuse_reply_attr(request, &status, attribute_timeout_s);
}

void on_open(fuse_req_t request, fuse_ino_t, fuse_file_info* open_file) {
  open_file->direct_io = 1;
  open_file->keep_cache = 0;
  fuse_reply_open(request, open_file);
}

void on_release(fuse_req_t request, fuse_ino_t, fuse_file_info*) {
  fuse_reply_err(request, 0);
}

void on_read(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info*) {
  const auto& content = files(request).content;
  const auto begin = std::min(static_cast<std::size_t>(offset), content.size());
  fuse_reply_buf(request, content.data() + begin, std::min(size, content.size() - begin));
}

/// Positions: 1 and 2 behind the two dots, then inode numbers plus one.
void on_readdir(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info*) {
  std::vector<char> entries(size);
  std::size_t used = 0;
  const auto& names = files(request).names;
  for (auto index = static_cast<std::size_t>(offset); index < names.size() + 2; ++index) {
    const bool dots = index < 2;
    const std::string name = dots ? std::string(index + 1, '.') : names[index - 2];
    const struct stat status = status_of(dots ? FUSE_ROOT_ID : first_file_inode + index - 2);
    const std::size_t needed =
        fuse_add_direntry(request, entries.data() + used, entries.size() - used, name.c_str(),
                          &status, static_cast<off_t>(index + 1));
    if (needed > entries.size() - used) break;
    used += needed;
  }
  fuse_reply_buf(request, entries.data(), used);
}

Files make_files() {
  Files files;
  fuse_ino_t inode = first_file_inode;
  for (const auto& key : efistore::bench::make_keys(file_count)) {
    files.names.push_back(fmt::format("{}-{}", std::string(key.name.begin(), key.name.end()),
                                      efistore::to_string(key.guid)));
    files.inodes.emplace(files.names.back(), inode++);
  }
  return files;
}

int serve(const char* mount_point) {
  Files files = make_files();
  fuse_lowlevel_ops operations{};
  operations.lookup = on_lookup;
  operations.getattr = on_getattr;
  operations.open = on_open;
  operations.release = on_release;
  operations.read = on_read;
  operations.readdir = on_readdir;
  std::array<std::string, 3> words{"bench-minimal-fs", "-o",
                                   "default_permissions,nosuid,nodev,noexec,fsname=minimal"};
  std::array<char*, 3> pointers{words[0].data(), words[1].data(), words[2].data()};
  fuse_args arguments = FUSE_ARGS_INIT(static_cast<int>(pointers.size()), pointers.data());
  fuse_session* session = fuse_session_new(&arguments, &operations, sizeof operations, &files);
  fuse_opt_free_args(&arguments);
  if (session == nullptr) return 1;
  int result = 1;
  if (fuse_set_signal_handlers(session) == 0) {
    if (fuse_session_mount(session, mount_point) == 0) {
      result = fuse_session_loop(session) < 0 ? 1 : 0;
      fuse_session_unmount(session);
    }
    fuse_remove_signal_handlers(session);
  }
  fuse_session_destroy(session);
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: bench-minimal-fs MOUNTPOINT\n");
    return 2;
  }
  return serve(argv[1]);
}
