// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "fuse_operations.hpp"

#include <linux/fs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

namespace efistore::shim {
namespace {

/// The kernel may keep attributes for as long as it likes: every change comes through this process,
/// and what it changes behind the kernel's back it invalidates.
constexpr double attribute_timeout_s = 3600;
/// It must ask for every name, because the one of a file without a variable goes with an
/// asynchronous release, and each spelling of a GUID is a name of its own to the kernel.
constexpr double entry_timeout_s = 0;
/// The kernel's own limit where it can be asked for less; a write above max_variable_write_bytes
/// arrives in parts of this size less at most a page.
constexpr unsigned max_fuse_write_bytes = 128 * 1024;
static_assert(max_variable_write_bytes + 4096 <= max_fuse_write_bytes);
/// More than any ioctl that is answered here has.
constexpr std::size_t max_ioctl_reply_bytes = 64;

constexpr InodeNumber position_of_dot = 1;
constexpr InodeNumber position_of_dot_dot = 2;

FuseContext& context(fuse_req_t request) {
  return *static_cast<FuseContext*>(fuse_req_userdata(request));
}

FileSystem& files(fuse_req_t request) {
  return context(request).files;
}

template <typename T>
bool reply_if_failed(fuse_req_t request, const Outcome<T>& outcome) {
  if (outcome) return false;
  fuse_reply_err(request, outcome.error());
  return true;
}

void reply_status(fuse_req_t request, const Outcome<void>& outcome) {
  fuse_reply_err(request, outcome ? 0 : outcome.error());
}

fuse_entry_param entry_of(const struct stat& status) {
  fuse_entry_param entry{};
  entry.ino = status.st_ino;
  entry.attr = status;
  entry.attr_timeout = attribute_timeout_s;
  entry.entry_timeout = entry_timeout_s;
  return entry;
}

void reply_entry(fuse_req_t request, const Outcome<struct stat>& status) {
  if (reply_if_failed(request, status)) return;
  FileSystem& file_system = files(request);
  const fuse_entry_param entry = entry_of(*status);
  // The kernel has not taken the lookup if the caller was interrupted meanwhile.
  if (fuse_reply_entry(request, &entry) != 0) file_system.forget(entry.ino, 1);
}

void on_init(void*, fuse_conn_info* connection) {
  connection->max_write = max_fuse_write_bytes;
  // Releases are the kernel's background requests. Those above its limit, 12 unless asked for more,
  // wait while later requests are queued, and their names would be seen still.
  connection->max_background = std::numeric_limits<std::uint16_t>::max();
  // O_TRUNC comes as a truncation, whose answer tells the kernel that the size stays.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_ATOMIC_O_TRUNC);
}

void on_lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  reply_entry(request, files(request).lookup(parent, name));
}

void on_forget(fuse_req_t request, fuse_ino_t number, std::uint64_t count) {
  files(request).forget(number, count);
  fuse_reply_none(request);
}

void on_forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* forgets) {
  for (const fuse_forget_data& one : std::span(forgets, count)) {
    files(request).forget(one.ino, one.nlookup);
  }
  fuse_reply_none(request);
}

void on_getattr(fuse_req_t request, fuse_ino_t number, fuse_file_info*) {
  const auto status = files(request).attributes(number);
  if (reply_if_failed(request, status)) return;
  fuse_reply_attr(request, &*status, attribute_timeout_s);
}

void on_setattr(fuse_req_t request, fuse_ino_t number, struct stat* wanted, int which,
                fuse_file_info* open_file) {
  const timespec now = files(request).now();
  AttributeChange change;
  change.through_open = open_file != nullptr;
  if ((which & FUSE_SET_ATTR_MODE) != 0) change.mode = wanted->st_mode;
  if ((which & FUSE_SET_ATTR_UID) != 0) change.uid = wanted->st_uid;
  if ((which & FUSE_SET_ATTR_GID) != 0) change.gid = wanted->st_gid;
  if ((which & FUSE_SET_ATTR_ATIME) != 0) change.accessed = wanted->st_atim;
  if ((which & FUSE_SET_ATTR_MTIME) != 0) change.modified = wanted->st_mtim;
  if ((which & FUSE_SET_ATTR_ATIME_NOW) != 0) change.accessed = now;
  if ((which & FUSE_SET_ATTR_MTIME_NOW) != 0) change.modified = now;
  change.size = (which & FUSE_SET_ATTR_SIZE) != 0;
  const auto status = files(request).set_attributes(number, change);
  if (reply_if_failed(request, status)) return;
  fuse_reply_attr(request, &*status, attribute_timeout_s);
}

void on_mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t) {
  if (!S_ISREG(mode)) {
    fuse_reply_err(request, EPERM);
    return;
  }
  reply_entry(request, files(request).make_file(parent, name, mode));
}

/// Every handle: what is read changes without the page cache's knowledge, and each write(2) must
/// arrive as it is.
void set_open_flags(fuse_file_info& open_file) {
  open_file.direct_io = 1;
  open_file.keep_cache = 0;
}

void on_create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
               fuse_file_info* open_file) {
  FileSystem& file_system = files(request);
  auto status = file_system.create(parent, name, mode);
  // There since the kernel looked: it looks again, and then opens what is there.
  const bool may_exist = (open_file->flags & O_EXCL) == 0;
  if (!status && status.error() == EEXIST && may_exist) status = tl::unexpected(ESTALE);
  if (reply_if_failed(request, status)) return;
  const fuse_entry_param entry = entry_of(*status);
  set_open_flags(*open_file);
  if (fuse_reply_create(request, &entry, open_file) != 0) {
    file_system.close(entry.ino);
    file_system.forget(entry.ino, 1);
  }
}

void on_open(fuse_req_t request, fuse_ino_t number, fuse_file_info* open_file) {
  FileSystem& file_system = files(request);
  const bool for_writing = (open_file->flags & O_ACCMODE) != O_RDONLY;
  const auto opened = file_system.open(number, for_writing);
  if (reply_if_failed(request, opened)) return;
  set_open_flags(*open_file);
  if (fuse_reply_open(request, open_file) != 0) file_system.close(number);
}

void on_release(fuse_req_t request, fuse_ino_t number, fuse_file_info*) {
  FuseContext& fuse = context(request);
  fuse.files.close(number);
  fuse_reply_err(request, 0);
  drop_changed_attributes(fuse);
}

void on_read(fuse_req_t request, fuse_ino_t number, std::size_t size, off_t offset,
             fuse_file_info*) {
  const auto content = files(request).read(number, static_cast<std::uint64_t>(offset), size);
  if (reply_if_failed(request, content)) return;
  fuse_reply_buf(request, reinterpret_cast<const char*>(content->data()), content->size());
}

void carry_out(FuseContext& fuse, fuse_req_t request, InodeNumber number,
               std::span<const std::byte> bytes) {
  const auto written = fuse.files.write(number, bytes);
  if (!reply_if_failed(request, written)) fuse_reply_write(request, *written);
  drop_changed_attributes(fuse);
}

/// Who waits for a write of theirs got a signal.
void on_interrupt(fuse_req_t request, void* data) {
  if (static_cast<FuseContext*>(data)->waiting.remove(request)) fuse_reply_err(request, EINTR);
}

void on_write(fuse_req_t request, fuse_ino_t number, const char* data, std::size_t size, off_t,
              fuse_file_info*) {
  FuseContext& fuse = context(request);
  const auto bytes = std::as_bytes(std::span(data, size));
  const Guid* vendor = fuse.files.vendor_of(number);
  const bool waits = vendor != nullptr &&
                     (fuse.waiting.has(*vendor) || fuse.files.write_wait(*vendor).count() > 0);
  if (!waits) {
    carry_out(fuse, request, number, bytes);
    return;
  }
  if (!fuse.waiting.add(request, number, *vendor, bytes)) {
    fuse_reply_err(request, EAGAIN);
    return;
  }
  fuse_req_interrupt_func(request, on_interrupt, &fuse);
}

void on_unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  FuseContext& fuse = context(request);
  reply_status(request, fuse.files.unlink(parent, name));
  drop_changed_attributes(fuse);
}

void on_readdir(fuse_req_t request, fuse_ino_t number, std::size_t size, off_t offset,
                fuse_file_info*) {
  if (number != root_inode) {
    fuse_reply_err(request, ENOTDIR);
    return;
  }
  std::vector<char> entries(std::min<std::size_t>(size, max_fuse_write_bytes));
  std::size_t used = 0;
  const auto add = [&](const char* name, InodeNumber inode, mode_t type, InodeNumber position) {
    struct stat status {};
    status.st_ino = inode;
    status.st_mode = type;
    const std::size_t needed =
        fuse_add_direntry(request, entries.data() + used, entries.size() - used, name, &status,
                          static_cast<off_t>(position));
    if (needed > entries.size() - used) return false;
    used += needed;
    return true;
  };
  auto position = static_cast<InodeNumber>(offset);
  bool room = true;
  if (position < position_of_dot) {
    room = add(".", root_inode, S_IFDIR, position_of_dot);
  }
  if (room && position < position_of_dot_dot) {
    room = add("..", root_inode, S_IFDIR, position_of_dot_dot);
  }
  FileSystem& file_system = files(request);
  while (room) {
    const Inode* file = file_system.next_file(position);
    if (file == nullptr) break;
    position = file->number;
    room = add(file->file_name.c_str(), position, S_IFREG, position);
  }
  fuse_reply_buf(request, entries.data(), used);
}

void on_statfs(fuse_req_t request, fuse_ino_t) {
  const auto status = files(request).space();
  if (reply_if_failed(request, status)) return;
  fuse_reply_statfs(request, &*status);
}

/// Answers with `value` in exactly the room that the kernel has, which for FS_IOC_GETFLAGS is not
/// what the command's number says.
template <typename T>
void reply_ioctl(fuse_req_t request, const T& value, std::size_t reply_size) {
  std::array<char, max_ioctl_reply_bytes> reply{};
  static_assert(sizeof(value) <= reply.size());
  if (reply_size < sizeof(value) || reply_size > reply.size()) {
    fuse_reply_err(request, EINVAL);
    return;
  }
  std::memcpy(reply.data(), &value, sizeof(value));
  fuse_reply_ioctl(request, 0, reply.data(), reply_size);
}

void reply_set_immutable(fuse_req_t request, InodeNumber number, bool immutable) {
  const auto done = files(request).set_immutable(number, immutable);
  if (reply_if_failed(request, done)) return;
  fuse_reply_ioctl(request, 0, nullptr, 0);
}

void set_flags(fuse_req_t request, InodeNumber number, std::span<const std::byte> input) {
  std::uint32_t flags = 0;
  if (input.size() < sizeof(flags)) {
    fuse_reply_err(request, EINVAL);
    return;
  }
  std::memcpy(&flags, input.data(), sizeof(flags));
  if ((flags & ~static_cast<std::uint32_t>(FS_IMMUTABLE_FL)) != 0) {
    fuse_reply_err(request, EOPNOTSUPP);
    return;
  }
  reply_set_immutable(request, number, flags != 0);
}

void set_extended_flags(fuse_req_t request, InodeNumber number, std::span<const std::byte> input) {
  fsxattr wanted{};
  if (input.size() < sizeof(wanted)) {
    fuse_reply_err(request, EINVAL);
    return;
  }
  std::memcpy(&wanted, input.data(), sizeof(wanted));
  const bool other = (wanted.fsx_xflags & ~static_cast<std::uint32_t>(FS_XFLAG_IMMUTABLE)) != 0 ||
                     wanted.fsx_extsize != 0 || wanted.fsx_projid != 0 ||
                     wanted.fsx_cowextsize != 0;
  if (other) {
    fuse_reply_err(request, EOPNOTSUPP);
    return;
  }
  reply_set_immutable(request, number, wanted.fsx_xflags != 0);
}

/// The kernel has checked who asks, and for FS_IOC_SETFLAGS that it may change the immutable flag:
/// for that it reads FS_IOC_FSGETXATTR first.
void on_ioctl(fuse_req_t request, fuse_ino_t number, unsigned command, void*, fuse_file_info*,
              unsigned flags, const void* input, std::size_t input_size, std::size_t reply_size) {
  const auto immutable = files(request).immutable(number);
  if ((flags & FUSE_IOCTL_DIR) != 0) {
    fuse_reply_err(request, ENOTTY);
    return;
  }
  if (reply_if_failed(request, immutable)) return;
  const std::span in(static_cast<const std::byte*>(input), input == nullptr ? 0 : input_size);
  switch (command) {
    case static_cast<unsigned>(FS_IOC_GETFLAGS):
      reply_ioctl(request, std::uint32_t{*immutable ? FS_IMMUTABLE_FL : 0U}, reply_size);
      return;
    case static_cast<unsigned>(FS_IOC_FSGETXATTR): {
      fsxattr now{};
      now.fsx_xflags = *immutable ? FS_XFLAG_IMMUTABLE : 0;
      reply_ioctl(request, now, reply_size);
      return;
    }
    case static_cast<unsigned>(FS_IOC_SETFLAGS):
      set_flags(request, number, in);
      return;
    case static_cast<unsigned>(FS_IOC_FSSETXATTR):
      set_extended_flags(request, number, in);
      return;
    default:
      fuse_reply_err(request, ENOTTY);
  }
}

void on_fsync(fuse_req_t request, fuse_ino_t, int, fuse_file_info*) {
  fuse_reply_err(request, EINVAL);
}

void on_mkdir(fuse_req_t request, fuse_ino_t, const char*, mode_t) {
  fuse_reply_err(request, EPERM);
}

void on_symlink(fuse_req_t request, const char*, fuse_ino_t, const char*) {
  fuse_reply_err(request, EPERM);
}

void on_link(fuse_req_t request, fuse_ino_t, fuse_ino_t, const char*) {
  fuse_reply_err(request, EPERM);
}

void on_rename(fuse_req_t request, fuse_ino_t, const char*, fuse_ino_t, const char*, unsigned) {
  fuse_reply_err(request, EPERM);
}

// Without these handlers the kernel would answer by itself, differently for POSIX ACLs and lists.
void on_setxattr(fuse_req_t request, fuse_ino_t, const char*, const char*, std::size_t, int) {
  fuse_reply_err(request, EOPNOTSUPP);
}

void on_getxattr(fuse_req_t request, fuse_ino_t, const char*, std::size_t) {
  fuse_reply_err(request, EOPNOTSUPP);
}

void on_removexattr(fuse_req_t request, fuse_ino_t, const char*) {
  fuse_reply_err(request, EOPNOTSUPP);
}

void on_listxattr(fuse_req_t request, fuse_ino_t, std::size_t size) {
  if (size == 0) {
    fuse_reply_xattr(request, 0);
  } else {
    fuse_reply_buf(request, nullptr, 0);
  }
}

}  // namespace

void drop_changed_attributes(FuseContext& context) {
  for (const InodeNumber number : context.files.take_changed()) {
    // Fails for an inode that the kernel does not have, which is as good.
    fuse_lowlevel_notify_inval_inode(context.session, number, -1, 0);
  }
}

std::optional<std::chrono::milliseconds> carry_out_due_write(FuseContext& fuse) {
  if (fuse.waiting.empty()) return std::nullopt;
  const auto due =
      fuse.waiting.take_due([&fuse](const Guid& vendor) { return fuse.files.write_wait(vendor); });
  if (!due) return fuse.waiting.shortest_wait();
  carry_out(fuse, due->request, due->number, due->bytes);
  return std::chrono::milliseconds(0);
}

void carry_out_all_writes(FuseContext& fuse) {
  while (const auto write = fuse.waiting.take_first()) {
    carry_out(fuse, write->request, write->number, write->bytes);
  }
}

fuse_lowlevel_ops make_fuse_operations() noexcept {
  fuse_lowlevel_ops operations{};
  operations.init = on_init;
  operations.lookup = on_lookup;
  operations.forget = on_forget;
  operations.forget_multi = on_forget_multi;
  operations.getattr = on_getattr;
  operations.setattr = on_setattr;
  operations.mknod = on_mknod;
  operations.create = on_create;
  operations.open = on_open;
  operations.release = on_release;
  operations.read = on_read;
  operations.write = on_write;
  operations.unlink = on_unlink;
  operations.readdir = on_readdir;
  operations.statfs = on_statfs;
  operations.ioctl = on_ioctl;
  operations.fsync = on_fsync;
  operations.mkdir = on_mkdir;
  operations.symlink = on_symlink;
  operations.link = on_link;
  operations.rename = on_rename;
  operations.setxattr = on_setxattr;
  operations.getxattr = on_getxattr;
  operations.removexattr = on_removexattr;
  operations.listxattr = on_listxattr;
  return operations;
}

}  // namespace efistore::shim
