// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// A log of variable records with its index: the part that the non-volatile store keeps on flash and
// the volatile one in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "efistore/base/result.hpp"
#include "efistore/flash/device.hpp"
#include "efistore/store/record.hpp"
#include "efistore/store/scan.hpp"

namespace efistore::store {

/// Most variables that one store may hold. A volume of the largest size could hold more, but none
/// does; and names can be chosen to collide in any hash table, which then is slow by their square.
inline constexpr std::size_t max_live_variables = 16384;

/// Space in a record area, in bytes, paddings included.
struct Usage {
  std::uint32_t capacity = 0;  ///< for records, live and dead
  std::uint32_t used = 0;      ///< up to the end of the chain
  std::uint32_t live = 0;
  std::uint32_t hardware_error_used = 0;  ///< part of `used` with the hardware-error attribute
  std::uint32_t hardware_error_live = 0;
  std::uint32_t live_records = 0;
  std::uint32_t dead_records = 0;

  std::uint32_t free() const noexcept { return capacity - used; }
};

/// A record with a name, as for_each_record() shows it.
struct RecordSummary {
  std::u16string_view name;
  Guid guid;
  std::uint32_t attributes;
  std::uint32_t size;  ///< bytes, padding included
  bool live;
};

class RecordArea {
 public:
  /// `mirror` is the area's content; records begin at `begin`. Changes are programmed to `device`
  /// at the same offsets before the mirror has them; without a device they stay in memory.
  RecordArea(std::vector<std::byte> mirror, std::uint32_t begin, RecordFormat format,
             flash::Device* device);
  RecordArea(RecordArea&&) noexcept;
  RecordArea& operator=(RecordArea&&) noexcept;
  ~RecordArea();

  /// The same records in memory alone.
  RecordArea in_memory() const;

  RecordFormat format() const noexcept { return format_; }
  std::span<const std::byte> bytes() const noexcept { return mirror_; }
  std::uint32_t begin() const noexcept { return begin_; }
  const Usage& usage() const noexcept { return usage_; }
  /// Bytes of no record lie behind the chain: nothing can be appended before a rewrite.
  bool tail_used() const noexcept { return tail_used_; }
  /// Live records were found behind a break of the chain.
  bool has_salvaged() const noexcept { return has_salvaged_; }
  /// There are more live variables than max_live_variables, and only these were taken.
  bool overfull() const noexcept { return overfull_; }

  const Record* find(std::u16string_view name, const Guid& guid) const noexcept;
  const Record* first() const noexcept;
  const Record* next(const Record& record) const noexcept;
  void for_each_record(const std::function<void(const RecordSummary&)>& visit) const;

  /// See VariableStore::put() and remove().
  Status put(const RecordContent& content);
  Status remove(const Record& record);
  Status clear_data_bits(const Record& record, std::size_t index, std::byte mask);

  /// The area's content after a reclaim that also puts `content` (if any).
  /// Errors: no_space.
  Result<std::vector<std::byte>> compacted(const RecordContent* content) const;
  /// The area's content with `records` and nothing else.
  /// Errors: no_space.
  Result<std::vector<std::byte>> composed(std::span<const RecordContent> records) const;
  /// Takes `mirror` as the area's new content.
  void reset(std::vector<std::byte> mirror);

 private:
  struct Index;

  Status program(std::uint32_t offset, std::span<const std::byte> data);
  Status append(std::uint32_t at, std::span<const std::byte> bytes, bool header_first);
  Status clear_state(std::uint32_t record_offset, RecordState mask);
  Status reload_after(Status failed);
  Status check_count(bool adds_one) const;
  void rebuild();
  void count_live(const Record& record, bool live) noexcept;

  std::vector<std::byte> mirror_;
  std::uint32_t begin_;
  RecordFormat format_;
  flash::Device* device_;
  std::unique_ptr<Index> index_;
  Usage usage_;
  bool tail_used_ = false;
  bool has_salvaged_ = false;
  bool overfull_ = false;
};

}  // namespace efistore::store
