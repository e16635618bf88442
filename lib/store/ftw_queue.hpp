// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The working area of EDK2's fault-tolerant write: a header and a queue of entries, each a write
// header with its records (MdeModulePkg/Include/Guid/SystemNvDataGuid.h and
// Universal/FaultTolerantWriteDxe; SPEC.md has the bytes). Pure functions; right for any bytes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "efistore/store/examine.hpp"
#include "efistore/store/layout.hpp"

namespace efistore::store {

inline constexpr std::uint32_t ftw_header_size = 32;
/// The smallest erase block of a volume: headers of a working area are looked for at its multiples.
inline constexpr std::uint64_t ftw_search_step = 512;
inline constexpr std::uint32_t ftw_write_header_size = 40;
inline constexpr std::uint32_t ftw_record_size = 40;  ///< without private data
/// What one write of the variables takes in the queue.
inline constexpr std::uint32_t ftw_entry_size = ftw_write_header_size + ftw_record_size;

/// States of a write header and of a record. Every flag is true when its bit is cleared.
namespace ftw_state {
inline constexpr std::byte allocated{0xfe};
inline constexpr std::byte writes_allocated{0xfc};
inline constexpr std::byte complete_mask{0xfb};
inline constexpr std::byte spare_complete{0xfd};
inline constexpr std::byte destination_complete{0xf9};
}  // namespace ftw_state

/// EFI_FAULT_TOLERANT_WORKING_BLOCK_HEADER of a working area of that size, valid.
std::vector<std::byte> build_ftw_header(std::uint32_t working_size_bytes);

/// The size of the working area if `bytes` begin with a working header, valid or not; else 0.
std::uint64_t ftw_working_size(std::span<const std::byte> bytes) noexcept;

/// Whether `working`, a block that has no valid working header, is likely to be a working area all
/// the same: it is blank, or the header is but a few bits from one or cleared, or an entry follows.
bool resembles_ftw_area(std::span<const std::byte> working);

/// The entry of a write of the whole variables area, as the variable driver makes it, with both
/// state bytes still erased.
std::array<std::byte, ftw_entry_size> build_ftw_entry(const Layout& layout) noexcept;

struct FtwInspection {
  FtwState state = FtwState::absent;
  /// Where the next entry goes; for `staged`, `copying` and `copied`, where the one under way is.
  std::uint32_t queue_end = 0;
  /// Offset of the record that the write under way has come to.
  std::uint32_t record = 0;
  /// There are bytes behind the queue that are not erased: nothing can be added before a reset. Of
  /// a write under way: its header is torn, and it cannot be marked complete in place.
  bool tail_used = false;
  std::string detail;  ///< for `broken`, `invalid` and `foreign`
};

/// Reads the queue of the working area of `layout`.
FtwInspection inspect_ftw(std::span<const std::byte> working, const Layout& layout);

}  // namespace efistore::store
