// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Taking EFI_LOAD_OPTION (UEFI 2.10, 3.1.3) and device paths (10.2, 10.3) apart. Who reads them
// differs in what makes a path whole: which end nodes count, and whether bytes may follow. These
// rules are the callers'; what is here is the same for all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "efistore/base/bytes.hpp"

namespace efistore {

/// A node of a device path.
struct DevicePathNode {
  static constexpr std::uint8_t end_type = 0x7f;
  static constexpr std::uint8_t end_entire_subtype = 0xff;

  std::uint8_t type = 0;
  std::uint8_t subtype = 0;
  std::span<const std::byte> body;  ///< behind type, subtype and length

  /// True for the end of the whole path, as opposed to that of one of its instances.
  constexpr bool is_end() const noexcept {
    return type == end_type && subtype == end_entire_subtype;
  }
};

/// The node at `reader`, which moves behind it. None if it does not lie in the bytes as a whole or
/// claims to be shorter than its header.
std::optional<DevicePathNode> next_device_path_node(ByteReader& reader) noexcept;

/// The parts of a load option; each views the data.
struct LoadOption {
  std::uint32_t attributes = 0;
  std::span<const std::byte> description;  ///< CHAR16, without the NUL
  std::span<const std::byte> file_path;    ///< FilePathList, of any content
  std::span<const std::byte> extra_data;   ///< OptionalData
};

/// None if the description does not end, or a part does not lie in `data`.
std::optional<LoadOption> split_load_option(std::span<const std::byte> data) noexcept;

}  // namespace efistore
