// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// File names of variables: NAME-GUID, as the kernel's efivarfs has them. A name is bytes here;
// which UCS-2 name they stand for depends on the direction, see widen() and file_name_of().
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "efistore/base/guid.hpp"

namespace efistore::shim {

/// NAME_MAX: longer names do not exist and cannot be created.
inline constexpr std::size_t max_file_name_size = 255;

/// A file name taken apart. The GUID's letters may be of either case.
struct FileName {
  std::string_view name;
  Guid guid;

  friend bool operator==(const FileName&, const FileName&) = default;
};

/// None unless `text` is at least one byte, '-' and a well-formed GUID. The size limit is the
/// caller's to check, because it has an errno of its own.
std::optional<FileName> parse_file_name(std::string_view text) noexcept;

/// The variable name that creating a file makes: every byte one UCS-2 character, whatever encoding
/// the bytes are in. So a name typed in UTF-8 is listed double-encoded after the next mount, as the
/// kernel does it.
std::u16string widen(std::string_view bytes);

/// The file name of a variable that was there before the mount: UTF-8, '/' shown as '!'.
std::string file_name_of(std::u16string_view name, const Guid& guid);

/// True for the namespace that efivarfs neither shows nor lets anybody create names in: the random
/// seed that the boot stub hands from one kernel to the next.
bool is_hidden(const Guid& guid) noexcept;

/// True if a file of this name starts out immutable: everything but what the specification defines
/// for operating systems to change, and crash dumps. `name` is in bytes, as in FileName.
bool is_born_immutable(std::string_view name, const Guid& guid) noexcept;

}  // namespace efistore::shim
