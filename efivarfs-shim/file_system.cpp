// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "file_system.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include "efistore/base/attributes.hpp"
#include "efistore/base/bytes.hpp"

#include "efi_errno.hpp"
#include "load_option.hpp"

namespace efistore::shim {
namespace {

/// Files in memory, of which those without a variable cost nobody flash: a bound on what mknod in a
/// loop can take.
constexpr std::size_t max_inodes = 65536;
constexpr std::size_t attributes_size = 4;
/// PAGE_SIZE on most machines, and what efivarfs reports.
constexpr blksize_t reported_block_size = 4096;

tl::unexpected<int> failed(int error) {
  return tl::unexpected<int>(error);
}

std::span<const std::byte> part_of(std::span<const std::byte> content, std::uint64_t offset,
                                   std::size_t size) {
  const auto begin = static_cast<std::size_t>(std::min<std::uint64_t>(offset, content.size()));
  return content.subspan(begin, std::min(size, content.size() - begin));
}

}  // namespace

FileSystem::FileSystem(std::unique_ptr<VariableAccess> variables, FileSystemOptions options)
    : variables_(std::move(variables)), options_(std::move(options)) {
  Inode& root = *inodes_.find(root_inode);
  root.uid = options_.uid;
  root.gid = options_.gid;
  root.accessed = root.modified = root.changed = now();
  follow_store(nullptr);
  changed_.clear();
}

Outcome<Inode*> FileSystem::find(InodeNumber number) {
  Inode* inode = inodes_.find(number);
  if (inode == nullptr) return failed(ESTALE);
  return inode;
}

Outcome<Inode*> FileSystem::find_file(InodeNumber number) {
  if (number == root_inode) return failed(EISDIR);
  return find(number);
}

/// A name typed in UTF-8 finds its variable also after the next mount, which lists it otherwise.
Inode* FileSystem::find_named(std::string_view name) {
  const auto parsed = parse_file_name(name);
  if (!parsed) return nullptr;
  Inode* listed = inodes_.find(*parsed);
  return listed != nullptr ? listed : inodes_.find(widen(parsed->name), parsed->guid);
}

struct stat FileSystem::stat_of(const Inode& inode) const {
  struct stat status {};
  const bool is_root = inode.number == root_inode;
  status.st_ino = inode.number;
  status.st_mode = inode.mode;
  status.st_nlink = is_root ? 2 : inode.linked ? 1 : 0;
  status.st_uid = inode.uid;
  status.st_gid = inode.gid;
  status.st_size =
      static_cast<off_t>(inode.linked ? inode.size_bytes : inode.orphan_content.size());
  status.st_blksize = reported_block_size;
  status.st_atim = inode.accessed;
  status.st_mtim = inode.modified;
  status.st_ctim = inode.changed;
  return status;
}

Outcome<struct stat> FileSystem::lookup(InodeNumber directory, std::string_view name) {
  if (directory != root_inode) return failed(ENOTDIR);
  if (name.size() > max_file_name_size) return failed(ENAMETOOLONG);
  Inode* inode = find_named(name);
  if (inode == nullptr) return failed(ENOENT);
  ++inode->lookups;
  return stat_of(*inode);
}

void FileSystem::forget(InodeNumber number, std::uint64_t count) {
  if (Inode* inode = inodes_.find(number)) inodes_.forget(*inode, count);
}

Outcome<struct stat> FileSystem::attributes(InodeNumber number) {
  const auto inode = find(number);
  if (!inode) return failed(inode.error());
  return stat_of(**inode);
}

Outcome<struct stat> FileSystem::set_attributes(InodeNumber number, const AttributeChange& change) {
  const auto found = find(number);
  if (!found) return failed(found.error());
  Inode& inode = **found;
  if (inode.immutable) {
    // An open for writing that was there before the flag goes on truncating as it goes on writing.
    if (change.owner_mode_or_times() || (change.size && !change.through_open)) return failed(EPERM);
  }
  constexpr mode_t permissions = 07777;
  if (change.mode) inode.mode = (inode.mode & ~permissions) | (*change.mode & permissions);
  if (change.uid) inode.uid = *change.uid;
  if (change.gid) inode.gid = *change.gid;
  if (change.accessed) inode.accessed = *change.accessed;
  if (change.modified) inode.modified = *change.modified;
  if (change.owner_mode_or_times()) inode.changed = now();
  return stat_of(inode);
}

Inode FileSystem::new_file(std::string name, variable::VariableId id, mode_t mode) const {
  Inode inode;
  if (const auto parsed = parse_file_name(name)) {
    inode.immutable = is_born_immutable(parsed->name, parsed->guid);
  }
  inode.file_name = std::move(name);
  inode.id = std::move(id);
  inode.mode = S_IFREG | mode;
  inode.uid = options_.uid;
  inode.gid = options_.gid;
  inode.accessed = inode.modified = inode.changed = now();
  return inode;
}

void FileSystem::touch_directory(bool known_to_caller) {
  Inode& root = *inodes_.find(root_inode);
  root.modified = root.changed = now();
  if (!known_to_caller) changed_.push_back(root_inode);
}

Outcome<Inode*> FileSystem::add_file(InodeNumber directory, std::string_view name, mode_t mode) {
  if (directory != root_inode) return failed(ENOTDIR);
  if (name.size() > max_file_name_size) return failed(ENAMETOOLONG);
  const auto parsed = parse_file_name(name);
  if (!parsed) return failed(EINVAL);
  if (is_hidden(parsed->guid)) return failed(EPERM);
  if (inodes_.size() >= max_inodes) return failed(ENOSPC);
  variable::VariableId id{widen(parsed->name), parsed->guid};
  Inode* inode = inodes_.add(new_file(std::string(name), std::move(id), mode & 07777));
  if (inode == nullptr) return failed(EEXIST);
  ++inode->lookups;
  touch_directory(true);
  return inode;
}

Outcome<struct stat> FileSystem::make_file(InodeNumber directory, std::string_view name,
                                           mode_t mode) {
  const auto inode = add_file(directory, name, mode);
  if (!inode) return failed(inode.error());
  return stat_of(**inode);
}

Outcome<struct stat> FileSystem::create(InodeNumber directory, std::string_view name, mode_t mode) {
  const auto inode = add_file(directory, name, mode);
  if (!inode) return failed(inode.error());
  ++(*inode)->opens;
  return stat_of(**inode);
}

Outcome<void> FileSystem::unlink(InodeNumber directory, std::string_view name) {
  if (directory != root_inode) return failed(ENOTDIR);
  if (name.size() > max_file_name_size) return failed(ENAMETOOLONG);
  Inode* inode = find_named(name);
  if (inode == nullptr) return failed(ENOENT);
  if (inode->immutable) return failed(EPERM);
  const auto deleted =
      variables_->set({.name = inode->id.name, .guid = inode->id.guid, .data = {}});
  if (const int error = efi_unlink_errno(deleted.status())) return failed(error);
  inode->size_bytes = 0;
  inode->changed = now();
  inodes_.unlink(*inode);
  touch_directory(true);
  follow_store(nullptr);
  return {};
}

Outcome<void> FileSystem::open(InodeNumber number, bool for_writing) {
  const auto inode = find_file(number);
  if (!inode) return failed(inode.error());
  if (!(*inode)->linked && (*inode)->opens == 0) {
    // Gone between the caller's lookup and now. What is written must not go with the open file.
    if (!inodes_.revive(**inode)) return failed(ESTALE);
    touch_directory(false);
  }
  if (for_writing && (*inode)->immutable) return failed(EPERM);
  ++(*inode)->opens;
  return {};
}

void FileSystem::close(InodeNumber number) {
  Inode* inode = inodes_.find(number);
  if (inode != nullptr && inodes_.close(*inode)) touch_directory(false);
}

Outcome<std::span<const std::byte>> FileSystem::read(InodeNumber number, std::uint64_t offset,
                                                     std::size_t size) {
  const auto inode = find_file(number);
  if (!inode) return failed(inode.error());
  if (!(*inode)->linked) return part_of((*inode)->orphan_content, offset, size);
  const auto variable = variables_->get((*inode)->id.name, (*inode)->id.guid);
  if (!variable && variable.status() != EfiStatus::not_found) {
    return failed(efi_errno(variable.status()));
  }
  read_buffer_.clear();
  if (!variable) return read_buffer_;
  std::array<std::byte, attributes_size> head;
  ByteWriter(head).u32(variable->attributes);
  // Only the part asked for: a foreign image can hold a variable of many megabytes.
  const auto from_head = part_of(head, offset, size);
  const auto from_data =
      part_of(variable->data, offset - std::min<std::uint64_t>(offset, head.size()),
              size - from_head.size());
  read_buffer_.insert(read_buffer_.end(), from_head.begin(), from_head.end());
  read_buffer_.insert(read_buffer_.end(), from_data.begin(), from_data.end());
  return read_buffer_;
}

void FileSystem::on_idle() {
  if (const auto done = variables_->reclaim_when_idle(); !done && options_.on_device_error) {
    options_.on_device_error(done.error().reason);
  }
}

void FileSystem::follow_others() {
  const ForeignChanges changes = variables_->take_foreign_changes();
  if (!changes.any) return;
  follow_store(nullptr);
  for (const variable::VariableId& id : changes.ids) {
    Inode* const inode = inodes_.find(id.name, id.guid);
    if (inode == nullptr) continue;
    inode->modified = inode->changed = now();
    changed_.push_back(inode->number);
  }
}

Outcome<std::size_t> FileSystem::write(InodeNumber number, std::span<const std::byte> bytes) {
  const auto found = find_file(number);
  if (!found) return failed(found.error());
  Inode& inode = **found;
  if (bytes.size() > max_variable_write_bytes) return failed(EINVAL);
  ByteReader reader(bytes);
  variable::SetRequest request{.name = inode.id.name, .guid = inode.id.guid, .data = {}};
  request.attributes = reader.u32();
  if (!reader.ok() || (request.attributes & ~attributes::supported) != 0) return failed(EINVAL);
  request.data = reader.take(reader.remaining());
  if (!is_acceptable_payload(request.name, request.guid, request.data)) return failed(EINVAL);
  if (!inode.linked) return write_orphan(inode, request);

  if (!leaves_reserve(request)) return failed(ENOSPC);
  const auto done = variables_->set(request);
  if (!done) {
    const bool medium_failed =
        done.status() == EfiStatus::device_error || done.status() == EfiStatus::volume_corrupted;
    if (medium_failed && options_.on_device_error) options_.on_device_error(done.error().reason);
    // Part of it may have been carried out; the author only hears of the error.
    follow_store(nullptr);
    return failed(efi_write_errno(done.status()));
  }
  inode.modified = inode.changed = now();
  follow_store(&inode);
  return bytes.size();
}

const Guid* FileSystem::vendor_of(InodeNumber number) noexcept {
  const Inode* inode = number == root_inode ? nullptr : inodes_.find(number);
  return inode != nullptr && inode->linked ? &inode->id.guid : nullptr;
}

/// The kernel's rule, its order included: what does not fit at all is left to SetVariable, which
/// has the better error for what is too large as such.
bool FileSystem::leaves_reserve(const variable::SetRequest& request) const {
  if (request.data.empty() || (request.attributes & attributes::non_volatile) == 0) return true;
  const auto space = variables_->space();
  if (!space) return true;
  const std::uint64_t needed = request.data.size() + request.name.size() * sizeof(char16_t);
  return space->free < needed || space->free - needed >= options_.reserve_bytes;
}

/// A file that has no name any more is the open files' own affair: what is written can be read back
/// through them and goes with the last one, as on any file system. (The kernel's efivarfs makes a
/// variable of it that has no file.)
Outcome<std::size_t> FileSystem::write_orphan(Inode& inode, const variable::SetRequest& request) {
  const std::size_t written = attributes_size + request.data.size();
  const bool append = (request.attributes & attributes::append_write) != 0;
  constexpr std::uint32_t access = attributes::bootservice_access | attributes::runtime_access;
  const bool deletes = (request.data.empty() && !append) || (request.attributes & access) == 0;
  std::vector<std::byte>& content = inode.orphan_content;
  if (deletes && content.empty()) return failed(efi_write_errno(EfiStatus::not_found));

  std::vector<std::byte> next;
  if (!deletes && !(request.data.empty() && content.empty())) {
    const auto kept = append && !content.empty()
                          ? std::span<const std::byte>(content).subspan(attributes_size)
                          : std::span<const std::byte>{};
    next.resize(attributes_size + kept.size() + request.data.size());
    ByteWriter writer(next);
    writer.u32(request.attributes & ~attributes::append_write);
    writer.bytes(kept);
    writer.bytes(request.data);
  }
  if (next.size() > max_variable_write_bytes) return failed(EINVAL);
  const std::size_t others = inodes_.orphan_bytes() - content.size();
  if (next.size() > max_orphan_bytes - others) return failed(ENOSPC);
  content = std::move(next);
  inode.modified = inode.changed = now();
  return written;
}

/// Makes sure that a variable has a file, of the right size.
void FileSystem::list_variable(const ListedVariable& variable, const Inode* author,
                               std::vector<InodeNumber>& present) {
  if (is_hidden(variable.guid)) return;
  const std::uint64_t size_bytes = attributes_size + variable.data_size;
  Inode* inode = inodes_.find(variable.name, variable.guid);
  if (inode == nullptr) {
    std::string name = file_name_of(variable.name, variable.guid);
    if (name.size() <= max_file_name_size && inodes_.size() < max_inodes) {
      Inode added = new_file(std::move(name), {std::u16string(variable.name), variable.guid}, 0644);
      added.size_bytes = size_bytes;
      inode = inodes_.add(std::move(added));
    }
    if (inode == nullptr) {
      ++unlisted_;
      return;
    }
    touch_directory(false);
  }
  present.push_back(inode->number);
  if (inode->size_bytes == size_bytes) return;
  inode->size_bytes = size_bytes;
  if (inode != author) changed_.push_back(inode->number);
}

/// Brings the table in line with the variables after a change. One SetVariable can change several
/// (PlatformLang and Lang follow each other); `author` is the file whose write it was.
void FileSystem::follow_store(const Inode* author) {
  std::vector<InodeNumber> present;
  present.reserve(inodes_.size());
  unlisted_ = 0;
  // Where they cannot be had, what was known stays.
  const bool known = variables_->for_each(
      [&](const ListedVariable& variable) { list_variable(variable, author, present); });
  if (!known) return;
  std::sort(present.begin(), present.end());

  const Inode* next = nullptr;
  for (const Inode* linked = inodes_.next_linked(0); linked != nullptr; linked = next) {
    next = inodes_.next_linked(linked->number);
    if (linked->size_bytes == 0) continue;
    if (std::binary_search(present.begin(), present.end(), linked->number)) continue;
    Inode& gone = *inodes_.find(linked->number);
    gone.size_bytes = 0;
    if (&gone != author) changed_.push_back(gone.number);
    if (gone.opens == 0) {
      inodes_.unlink(gone);
      touch_directory(false);
    }
  }
}

Outcome<bool> FileSystem::immutable(InodeNumber number) {
  if (number == root_inode) return failed(ENOTTY);
  const auto inode = find(number);
  if (!inode) return failed(inode.error());
  return (*inode)->immutable;
}

Outcome<void> FileSystem::set_immutable(InodeNumber number, bool immutable) {
  if (number == root_inode) return failed(ENOTTY);
  const auto inode = find(number);
  if (!inode) return failed(inode.error());
  (*inode)->immutable = immutable;
  return {};
}

Outcome<struct statvfs> FileSystem::space() const {
  const auto space = variables_->space();
  if (!space) return failed(efi_errno(space.status()));
  struct statvfs status {};
  status.f_bsize = 1;
  status.f_frsize = 1;
  status.f_blocks = space->total;
  status.f_bfree = space->free;
  status.f_bavail = space->free - std::min(space->free, options_.reserve_bytes);
  status.f_namemax = max_file_name_size;
  return status;
}

}  // namespace efistore::shim
