// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "inode_table.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace efistore::shim {

InodeTable::InodeTable() {
  Inode root;
  root.number = root_inode;
  root.mode = S_IFDIR | 0755;
  root.lookups = 1;  // the kernel never forgets the root
  inodes_.emplace(root_inode, std::move(root));
}

std::string InodeTable::name_key(const FileName& name) {
  std::string key;
  key.reserve(name.name.size() + name.guid.bytes.size());
  key.append(name.name);
  for (const std::byte byte : name.guid.bytes) key.push_back(static_cast<char>(byte));
  return key;
}

Inode* InodeTable::find(InodeNumber number) noexcept {
  const auto found = inodes_.find(number);
  return found == inodes_.end() ? nullptr : &found->second;
}

Inode* InodeTable::find(const FileName& name) {
  const auto found = by_name_.find(name_key(name));
  return found == by_name_.end() ? nullptr : find(found->second);
}

Inode* InodeTable::find(std::u16string_view name, const Guid& guid) {
  const auto found = by_variable_.find(VariableOrder::View{name, guid});
  return found == by_variable_.end() ? nullptr : find(found->second);
}

Inode* InodeTable::add(Inode inode) {
  const auto name = parse_file_name(inode.file_name);
  if (!name || find(*name) != nullptr || find(inode.id.name, inode.id.guid) != nullptr) {
    return nullptr;
  }
  inode.number = next_number_++;
  by_name_.emplace(name_key(*name), inode.number);
  by_variable_.emplace(inode.id, inode.number);
  return &inodes_.emplace(inode.number, std::move(inode)).first->second;
}

void InodeTable::unlink(Inode& inode) {
  if (!inode.linked || inode.number == root_inode) return;
  inode.linked = false;
  if (const auto name = parse_file_name(inode.file_name)) by_name_.erase(name_key(*name));
  by_variable_.erase(inode.id);
  drop_if_unused(inode);
}

void InodeTable::forget(Inode& inode, std::uint64_t count) {
  if (inode.number == root_inode) return;
  inode.lookups -= std::min(inode.lookups, count);
  drop_if_unused(inode);
}

bool InodeTable::close(Inode& inode) {
  if (inode.opens > 0) --inode.opens;
  if (inode.opens == 0 && inode.linked && inode.size_bytes == 0) {
    inode.vanished = true;
    unlink(inode);
    return true;
  }
  drop_if_unused(inode);
  return false;
}

bool InodeTable::revive(Inode& inode) {
  if (!inode.vanished || find(inode.id.name, inode.id.guid) != nullptr) return false;
  const auto name = parse_file_name(inode.file_name);
  if (!name || find(*name) != nullptr) return false;
  by_name_.emplace(name_key(*name), inode.number);
  by_variable_.emplace(inode.id, inode.number);
  inode.linked = true;
  inode.vanished = false;
  return true;
}

const Inode* InodeTable::next_linked(InodeNumber position) const noexcept {
  const auto first = inodes_.upper_bound(std::max(position, first_file_inode - 1));
  const auto found =
      std::find_if(first, inodes_.end(), [](const auto& entry) { return entry.second.linked; });
  return found == inodes_.end() ? nullptr : &found->second;
}

std::size_t InodeTable::orphan_bytes() const noexcept {
  std::size_t bytes = 0;
  for (const auto& [number, inode] : inodes_) bytes += inode.orphan_content.size();
  return bytes;
}

void InodeTable::drop_if_unused(const Inode& inode) {
  if (!inode.linked && inode.lookups == 0 && inode.opens == 0) inodes_.erase(inode.number);
}

}  // namespace efistore::shim
