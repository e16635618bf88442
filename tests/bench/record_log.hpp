// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The reference for everything that the index is there for: the same records without one, each
// operation a walk over the raw bytes from the first record on, as firmware's drivers do it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "efistore/base/guid.hpp"

namespace efistore::bench {

/// A well-formed record area in memory, authenticated format. No checks: its bytes are its own.
class RecordLog {
 public:
  /// Takes the variables area of an image in OVMF's layout.
  explicit RecordLog(std::span<const std::byte> image);

  /// The live record's data; none if there is no such variable.
  std::optional<std::span<const std::byte>> find(std::u16string_view name, const Guid& guid) const;

  /// A place in the log; `at` is `end` behind the last live record.
  struct Position {
    std::size_t at;
    bool end;
    std::u16string_view name;
    Guid guid;
  };
  Position first() const;
  /// GetNextVariableName: finds the record of that name, then the live one behind it.
  Position next(std::u16string_view name, const Guid& guid) const;

  /// Bytes for new records.
  std::size_t free() const noexcept { return bytes_.size() - end_; }
  /// Replaces a variable that is there; reclaims first if it must.
  void update(std::u16string_view name, const Guid& guid, std::span<const std::byte> data);
  void reclaim();

 private:
  std::size_t find_offset(std::u16string_view name, const Guid& guid) const;
  Position live_from(std::size_t at) const;
  std::size_t record_end(std::size_t at) const;

  std::vector<std::byte> bytes_;
  std::size_t end_ = 0;
};

}  // namespace efistore::bench
