// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The walk over a record area: bounded, and right for any bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "efistore/store/record.hpp"

namespace efistore::store {

/// A record header as it stands, with sizes that are known to lie inside the area.
struct ScannedRecord {
  std::uint32_t offset = 0;
  std::uint32_t size = 0;  ///< header, name and data; header alone for uncommitted sizes
  std::uint8_t state = 0xff;
  std::uint32_t attributes = 0;
  std::uint32_t name_size = 0;  ///< bytes, NUL included
  std::uint32_t data_size = 0;
  Guid guid;
  EfiTime time;
  std::uint64_t monotonic_count = 0;
  std::uint32_t public_key_index = 0;
  bool salvaged = false;  ///< found from a break of the chain on, where EDK2 does not look

  bool live() const noexcept { return state == 0x3f || state == 0x3e; }
};

struct RecordScan {
  std::vector<ScannedRecord> records;  ///< in flash order
  /// Where the chain ends as EDK2 walks it; the next record goes there.
  std::uint32_t chain_end = 0;
  /// True if there is anything but 0xff from chain_end on.
  bool tail_used = false;
  /// Why the chain ended early; empty if it ended at erased bytes or at the end of the area.
  std::string break_reason;

  bool has_salvaged() const noexcept;
};

/// Walks the records of `area` from `begin` on (both from the start of the record area, so that
/// alignment is that of the flash). Time is linear in the area's size.
RecordScan scan_records(std::span<const std::byte> area, std::uint32_t begin, RecordFormat format);

/// The record's name without its NUL. None if it is empty, of odd size, or not terminated exactly
/// at its end.
std::optional<std::u16string> record_name(std::span<const std::byte> area,
                                          const ScannedRecord& record, RecordFormat format);

/// The record's data.
std::span<const std::byte> record_data(std::span<const std::byte> area, const ScannedRecord& record,
                                       RecordFormat format) noexcept;

}  // namespace efistore::store
