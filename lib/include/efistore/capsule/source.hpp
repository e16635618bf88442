// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Where a capsule is read from. A capsule may be larger than the memory that there is for it, so
// its parsers take the few bytes that they look at, and firmware passes through in pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "efistore/base/result.hpp"

namespace efistore::capsule {

/// A part of a Source, in bytes.
struct Range {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;

  std::uint64_t end() const noexcept { return offset + size; }
  friend bool operator==(const Range&, const Range&) = default;
};

/// Bytes that can be read in any order. They can be somebody else's, who changes them between two
/// readings: whoever has checked something keeps what was checked, or a digest of it.
class Source {
 public:
  virtual ~Source() = default;
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  /// Does not change.
  virtual std::uint64_t size() const noexcept = 0;
  /// Fills `out` from `offset` on.
  /// Errors: out_of_range, io.
  virtual Status read(std::uint64_t offset, std::span<std::byte> out) const = 0;
};

/// Bytes in memory, which must outlive it.
class MemorySource final : public Source {
 public:
  explicit MemorySource(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

  std::uint64_t size() const noexcept override { return bytes_.size(); }
  Status read(std::uint64_t offset, std::span<std::byte> out) const override;

 private:
  std::span<const std::byte> bytes_;
};

/// Pieces in which for_each_piece() reads.
inline constexpr std::size_t piece_size_bytes = std::size_t{64} * 1024;

/// The bytes of `range`, which a caller has bounded.
/// Errors: those of Source::read().
Result<std::vector<std::byte>> read_all(const Source& source, const Range& range);

/// Calls `take` with the bytes of `range`, in order, in pieces of piece_size_bytes and a rest.
/// Errors: those of Source::read() and of `take`, which end it.
Status for_each_piece(const Source& source, const Range& range,
                      const std::function<Status(std::span<const std::byte>)>& take);

}  // namespace efistore::capsule
