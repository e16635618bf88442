// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// A record header as it stands, and how far it is to be believed: what the walk over a healthy
// chain and the search in a broken one share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "efistore/store/scan.hpp"

namespace efistore::store {

/// A header and the sizes it claims, unchecked.
struct RawHeader {
  bool start_id_valid = false;
  /// EDK2 takes the record for one whose sizes were never written, and steps over the header only;
  /// `record` has no sizes then.
  bool header_only = false;
  ScannedRecord record;
  std::uint32_t claimed_name_size = 0;
  std::uint32_t claimed_data_size = 0;
};

RawHeader parse_header(std::span<const std::byte> area, std::uint32_t at, RecordFormat format);

/// Sets the record's size, unless its name and data reach beyond the area.
bool measure(std::span<const std::byte> area, RecordFormat format, ScannedRecord& record);

/// Whether a header found by search is to be believed.
bool plausible(std::span<const std::byte> area, const ScannedRecord& record, RecordFormat format);

/// Where a search goes on behind a record that was not committed, whose header stands at `at`; none
/// if a cut in the writing of that record explains everything from there on. What such a record's
/// data holds, a copy of another store perhaps, is not to be taken for records. Behind its end
/// nothing was ever written; where something is, the record's header is damaged, and the search
/// goes on at its end if another record begins there, else at `at`.
std::optional<std::uint32_t> search_behind_uncommitted(std::span<const std::byte> area,
                                                       std::uint32_t at, RecordFormat format);

/// Whether the header at `at` may be one whose writing was cut: its state is still erased, and of
/// its StartId no bit is cleared that is to stay, but some other bit of the header is.
bool may_be_torn(std::span<const std::byte> area, std::uint32_t at, RecordFormat format);

/// Longest name, in bytes, that a search believes. Keeps the search linear: a hostile area can make
/// every fourth byte look like a header with a long name.
inline constexpr std::uint32_t max_salvaged_name_size = 2048;

}  // namespace efistore::store
