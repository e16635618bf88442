// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstdint>

#include "efistore/store/layout.hpp"

namespace efistore::variable {

/// Sizes that EDK2 takes from its platform configuration, in bytes. Maxima count the record header,
/// the name and the data, as EDK2's do. The defaults are those of OVMF's 4 MiB build.
struct Limits {
  /// OVMF's for its layouts; for others the defaults, cut down to what the store can hold.
  static Limits for_layout(const store::Layout& layout) noexcept;

  /// Bytes that name (with its NUL) and data of a variable may have together: the maximum that the
  /// attributes select, less the record's header.
  std::uint32_t max_content_size(std::uint32_t attributes,
                                 store::RecordFormat format) const noexcept;

  std::uint32_t max_variable_size = 0x8400;        ///< PcdMaxVariableSize
  std::uint32_t max_authenticated_size = 0x8400;   ///< PcdMaxAuthVariableSize
  std::uint32_t max_volatile_size = 0x8400;        ///< PcdMaxVolatileVariableSize
  std::uint32_t max_hardware_error_size = 0x8000;  ///< PcdMaxHardwareErrorVariableSize
  std::uint32_t hardware_error_storage_size = 0;   ///< PcdHwErrStorageSize; 0: no such records
  std::uint32_t boottime_reserved_size = 0;        ///< PcdBoottimeReservedNvVariableSpaceSize
  std::uint32_t max_user_non_volatile_size = 0;    ///< PcdMaxUserNvVariableSpaceSize; 0: all
  std::uint32_t volatile_store_size = 0x40000;     ///< PcdVariableStoreSize
};

}  // namespace efistore::variable
