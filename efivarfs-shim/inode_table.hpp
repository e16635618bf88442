// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The files that the kernel knows or may ask for, by number, by name and by variable.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "efistore/base/guid.hpp"
#include "efistore/variable/variable_id.hpp"

#include "file_name.hpp"

namespace efistore::shim {

using InodeNumber = std::uint64_t;

/// Fixed by the FUSE protocol.
inline constexpr InodeNumber root_inode = 1;
/// Numbers below this are the root's, and readdir's positions of "." and "..".
inline constexpr InodeNumber first_file_inode = 3;

struct Inode {
  InodeNumber number = 0;
  std::string file_name;  ///< as it is listed
  variable::VariableId id;
  mode_t mode = 0;  ///< type and permissions
  uid_t uid = 0;
  gid_t gid = 0;
  timespec accessed{};
  timespec modified{};
  timespec changed{};
  bool immutable = false;
  /// False once the name is gone; the inode then lives as long as the kernel refers to it.
  bool linked = true;
  /// The name went with the last close rather than by unlink().
  bool vanished = false;
  std::uint64_t lookups = 0;  ///< references that the kernel will give back with forget
  std::uint32_t opens = 0;
  /// st_size: attributes and data of the variable, 0 while there is no variable.
  std::uint64_t size_bytes = 0;
  /// What is written through an open file after its name is gone; never reaches the store.
  std::vector<std::byte> orphan_content;
};

/// Invariants: a linked file is found by its number, its name and its variable; an unlinked one by
/// its number only, while lookups or opens are not 0. Numbers are never used twice.
class InodeTable {
 public:
  InodeTable();
  InodeTable(InodeTable&&) = default;
  InodeTable& operator=(InodeTable&&) = default;

  /// Valid until the inode is dropped by unlink(), forget() or close(); nullptr if there is none.
  Inode* find(InodeNumber number) noexcept;
  Inode* find(const FileName& name);
  Inode* find(std::u16string_view name, const Guid& guid);

  /// Adds `inode` under a new number, or nullptr if there is a file of that name or variable.
  /// `inode.file_name` must parse.
  Inode* add(Inode inode);

  /// Takes the name away. The inode itself goes when nothing refers to it any more.
  void unlink(Inode& inode);
  /// Takes `count` lookups (or what there is of them) back.
  void forget(Inode& inode, std::uint64_t count);
  /// Takes an open back. A linked file without a variable goes with its last one.
  /// Returns true if that made the name vanish.
  bool close(Inode& inode);
  /// Gives a name that vanished back. False if it was taken away otherwise, or is another file's by
  /// now.
  bool revive(Inode& inode);

  /// The linked file with the smallest number above `position`, or nullptr.
  const Inode* next_linked(InodeNumber position) const noexcept;
  std::size_t size() const noexcept { return inodes_.size(); }
  /// What all files without a name contain.
  std::size_t orphan_bytes() const noexcept;

 private:
  struct VariableOrder {
    using is_transparent = void;
    struct View {
      std::u16string_view name;
      const Guid& guid;
    };
    static View view(const View& id) noexcept { return id; }
    static View view(const variable::VariableId& id) noexcept { return {id.name, id.guid}; }
    template <typename Left, typename Right>
    bool operator()(const Left& left, const Right& right) const noexcept {
      const View a = view(left);
      const View b = view(right);
      const int order = a.name.compare(b.name);
      return order != 0 ? order < 0 : a.guid < b.guid;
    }
  };

  static std::string name_key(const FileName& name);
  void drop_if_unused(const Inode& inode);

  std::map<InodeNumber, Inode> inodes_;
  std::unordered_map<std::string, InodeNumber> by_name_;
  std::map<variable::VariableId, InodeNumber, VariableOrder> by_variable_;
  InodeNumber next_number_ = first_file_inode;
};

}  // namespace efistore::shim
