// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The semantics of the kernel's efivarfs (Linux 7.2) over the variable services. Nothing here knows
// of FUSE: operations come in one at a time, with inode numbers, and an error is an errno value.
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "inode_table.hpp"
#include "variable_access.hpp"

namespace efistore::shim {

/// A value, or the errno value in its place.
template <typename T>
using Outcome = tl::expected<T, int>;

/// The largest write that is taken as a variable. A larger one reaches a FUSE file system in parts,
/// each of which would be a variable of its own.
inline constexpr std::size_t max_variable_write_bytes = 124 * 1024;

/// What files without a name may hold, all together: it is in memory, and costs nobody flash.
inline constexpr std::size_t max_orphan_bytes = std::size_t{1} << 20;

struct FileSystemOptions {
  uid_t uid = 0;  ///< owner of the directory and of every file
  gid_t gid = 0;
  /// Non-volatile space that no write may touch: what the kernel holds back on x86, because there
  /// are boards that do not start with a full store.
  std::uint64_t reserve_bytes = 5120;
  std::function<timespec()> clock;  ///< must be set
  /// Called with the reason of a failed write that is the medium's fault; may be empty.
  std::function<void(const std::string&)> on_device_error;
};

/// What setattr is asked to change.
struct AttributeChange {
  std::optional<mode_t> mode{};  ///< permissions; the type stays
  std::optional<uid_t> uid{};
  std::optional<gid_t> gid{};
  std::optional<timespec> accessed{};
  std::optional<timespec> modified{};
  bool size = false;          ///< a truncation, to whatever size
  bool through_open = false;  ///< the request came through an open file

  bool owner_mode_or_times() const noexcept { return mode || uid || gid || accessed || modified; }
};

/// One thread at a time. Errors that every operation on an inode has: ESTALE (no such inode).
/// Permission bits are not looked at; whoever calls has checked them.
class FileSystem {
 public:
  FileSystem(std::unique_ptr<VariableAccess> variables, FileSystemOptions options);

  /// Does what can wait until nobody asks for anything: compacts the store, if that is worth it.
  void on_idle();

  /// What tells of changes that others make; nullptr where nobody else can make any, and while the
  /// daemon is away.
  runtime::ChangeWatch* watch() { return variables_->watch(); }
  bool may_have_missed_changes() const noexcept { return variables_->may_have_missed_changes(); }
  /// Takes over what others have changed.
  void follow_others();

  /// Finds a file and takes a lookup. Errors: ENOENT, ENAMETOOLONG, ENOTDIR.
  Outcome<struct stat> lookup(InodeNumber directory, std::string_view name);
  /// Gives `count` lookups back. An inode that does not exist is no error.
  void forget(InodeNumber number, std::uint64_t count);

  Outcome<struct stat> attributes(InodeNumber number);
  /// A truncation succeeds and changes nothing. Errors: EPERM (immutable).
  Outcome<struct stat> set_attributes(InodeNumber number, const AttributeChange& change);

  /// Makes a file without a variable, and takes a lookup.
  /// Errors: ENAMETOOLONG, EINVAL (no NAME-GUID), EPERM (hidden namespace), EEXIST, ENOTDIR,
  /// ENOSPC (too many files).
  Outcome<struct stat> make_file(InodeNumber directory, std::string_view name, mode_t mode);
  /// make_file() and open(); the open may write although the file is born immutable.
  Outcome<struct stat> create(InodeNumber directory, std::string_view name, mode_t mode);
  /// Deletes the variable and takes the name away.
  /// Errors: ENOENT, EPERM (immutable), EINVAL (SetVariable refuses, for whatever reason), ENOTDIR.
  Outcome<void> unlink(InodeNumber directory, std::string_view name);

  /// A file that vanished with its last close since the caller looked it up is there again, so that
  /// what is written to it stays.
  /// Errors: EPERM (for writing, and immutable), EISDIR, ESTALE (unlinked, or made anew, since
  /// then: the kernel looks again).
  Outcome<void> open(InodeNumber number, bool for_writing);
  /// The counterpart of open() and create(). A file without a variable goes with its last close.
  void close(InodeNumber number);

  /// Up to `size` bytes from `offset` of the attributes (4 bytes, little-endian) and the data; none
  /// where there is no variable. Valid until the next operation. Errors: EISDIR, EIO.
  Outcome<std::span<const std::byte>> read(InodeNumber number, std::uint64_t offset,
                                           std::size_t size);
  /// One SetVariable: four bytes of attributes and the data. Gives the size of `bytes`.
  /// Errors: EINVAL (short, attributes outside 0x7f, load option malformed), ENOSPC (reserve, or
  /// max_orphan_bytes), and what efi_write_errno() makes of SetVariable's status.
  Outcome<std::size_t> write(InodeNumber number, std::span<const std::byte> bytes);
  /// Whose budget a write to the file is charged to; nullptr if to nobody's, because what is
  /// written does not reach the store.
  const Guid* vendor_of(InodeNumber number) noexcept;
  /// How long the vendor's next write should wait; write() itself does not.
  std::chrono::milliseconds write_wait(const Guid& vendor) {
    return variables_->write_wait(vendor);
  }

  /// The linked file after `position`, 0 for the first; nullptr at the end. Positions are inode
  /// numbers.
  const Inode* next_file(InodeNumber position) const noexcept {
    return inodes_.next_linked(position);
  }

  /// FS_IMMUTABLE_FL. Errors: ENOTTY (the directory).
  Outcome<bool> immutable(InodeNumber number);
  Outcome<void> set_immutable(InodeNumber number, bool immutable);

  Outcome<struct statvfs> space() const;

  /// Inodes other than the one operated on whose attributes the last operations changed; forgets
  /// them. What caches attributes must drop theirs.
  std::vector<InodeNumber> take_changed() { return std::exchange(changed_, {}); }

  /// Variables that have no file: their name is too long for one, or shown like another's.
  std::size_t unlisted() const noexcept { return unlisted_; }
  timespec now() const { return options_.clock(); }

 private:
  Outcome<Inode*> find(InodeNumber number);
  Outcome<Inode*> find_file(InodeNumber number);
  Inode* find_named(std::string_view name);
  Inode new_file(std::string name, variable::VariableId id, mode_t mode) const;
  Outcome<Inode*> add_file(InodeNumber directory, std::string_view name, mode_t mode);
  struct stat stat_of(const Inode& inode) const;
  void touch_directory(bool known_to_caller);
  bool leaves_reserve(const variable::SetRequest& request) const;
  Outcome<std::size_t> write_orphan(Inode& inode, const variable::SetRequest& request);
  void list_variable(const ListedVariable& variable, const Inode* author,
                     std::vector<InodeNumber>& present);
  void follow_store(const Inode* author);

  std::unique_ptr<VariableAccess> variables_;
  FileSystemOptions options_;
  InodeTable inodes_;
  std::vector<InodeNumber> changed_;
  std::vector<std::byte> read_buffer_;
  std::size_t unlisted_ = 0;
};

}  // namespace efistore::shim
