// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The search for records in a damaged area. Unlike the walk that EDK2 makes, and that opening a
// store makes (scan.hpp), it believes a record's sizes only where something sound follows the
// record. Bounded, and right for any bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "efistore/store/scan.hpp"

namespace efistore::store {

/// A record that was found, with the sizes and the state that it is to have.
struct SalvagedRecord {
  ScannedRecord record;
  std::string mended;  ///< which of its fields was wrong, and why it is believed now; or empty
};

/// Bytes that were used and are no record, or one of which nothing can be kept.
struct LostBytes {
  flash::Range where;
  std::string what;
};

struct Salvage {
  std::vector<SalvagedRecord> records;  ///< with a name, live or dead, in flash order
  std::vector<LostBytes> lost;          ///< in flash order
};

/// Whether records inside the data of another one, behind which the chain goes on, are taken out of
/// it: see SwallowCheck.
enum class Swallowed { left, taken };

/// Finds the records of `area` from `begin` on. Time is linear in the area's size.
Salvage salvage_records(std::span<const std::byte> area, std::uint32_t begin, RecordFormat format,
                        Swallowed swallowed);

/// A record's state as it was before bits were cleared that no writer clears (5 to 2). Of all other
/// states a power cut can be the reason.
std::uint8_t mended_state(std::uint8_t state) noexcept;

/// Looks for records that another one has swallowed because its DataSize is wrong, and behind which
/// the chain goes on, or ends, as if nothing was missing. What would be a second live record of its
/// name is none: that speaks for data that only looks like records.
class SwallowCheck {
 public:
  /// Both must outlive this.
  SwallowCheck(std::span<const std::byte> area, const RecordScan& chain, RecordFormat format);
  ~SwallowCheck();
  SwallowCheck(const SwallowCheck&) = delete;
  SwallowCheck& operator=(const SwallowCheck&) = delete;

  /// The DataSize that `record` would have to have: smaller by one bit, with nothing but whole
  /// records behind it up to the end that its data has now, or to the end of all used bytes. 0 if
  /// there is none.
  std::uint32_t data_size_without(const ScannedRecord& record);

  /// Where the first swallowed record stands, if the data of `record` ends in erased bytes behind
  /// all used ones and there are whole records in front of these: nothing else, or several. 0 if
  /// not.
  std::uint32_t first_swallowed(const ScannedRecord& record);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace efistore::store
