// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The device contract: what the store may expect of the flash below it. tests/flash runs one suite
// of it over every implementation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "efistore/base/result.hpp"

namespace efistore::flash {

/// A part of a device, in bytes.
struct Range {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;

  std::uint64_t end() const noexcept { return offset + size; }
  friend bool operator==(const Range&, const Range&) = default;
};

struct Geometry {
  std::uint64_t size_bytes = 0;
  /// The unit of erase(); divides size_bytes.
  std::uint32_t erase_block_size_bytes = 0;
  /// program() needs offset and size to be multiples of this.
  std::uint32_t write_unit_bytes = 1;
  /// Programming again, to clear more bits, needs no erase. The variable store lives on it.
  bool bit_writable = true;

  friend bool operator==(const Geometry&, const Geometry&) = default;
};

/// NOR flash, or something that behaves like it. Erased bytes read as 0xff, programming clears
/// bits. One thread at a time.
class Device {
 public:
  virtual ~Device() = default;
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  virtual const Geometry& geometry() const noexcept = 0;
  /// How messages call the device: its path, "mtd4 (uefi-vars)".
  virtual const std::string& name() const noexcept = 0;
  virtual bool read_only() const noexcept = 0;

  /// Fills `out` from `offset` on.
  /// Errors: out_of_range, io.
  virtual Status read(std::uint64_t offset, std::span<std::byte> out) = 0;

  /// Clears those bits of the range that are 0 in `data`.
  /// Errors: out_of_range; invalid_argument (write unit); read_only; bit_set, before anything is
  /// changed, if a bit of `data` is 1 where the medium has 0 (a device that cannot look overwrites,
  /// as mtdram does, or keeps the 0, as NOR does); io.
  /// Power loss: each bit of the range that was to be cleared is 0 or 1.
  virtual Status program(std::uint64_t offset, std::span<const std::byte> data) = 0;

  /// Sets whole erase blocks to 0xff.
  /// Errors: out_of_range, invalid_argument (alignment), read_only, io.
  /// Power loss: the blocks' content is undefined until they are erased again.
  virtual Status erase(Range blocks) = 0;

  /// Everything programmed and erased so far survives a power loss once this returns.
  /// Errors: io.
  virtual Status sync() = 0;
};

/// What every implementation checks first, with one wording for all.
Status check_read(const Device& device, std::uint64_t offset, std::size_t size);
Status check_program(const Device& device, std::uint64_t offset, std::size_t size);
Status check_erase(const Device& device, Range blocks);
/// bit_set if `data`, to be programmed at `offset`, has a bit that `current`, as long, has cleared.
Status check_no_bit_set(const Device& device, std::uint64_t offset,
                        std::span<const std::byte> current, std::span<const std::byte> data);

/// The index of the first byte of `data` that has a bit set which `current` has cleared.
std::optional<std::size_t> first_bit_set(std::span<const std::byte> current,
                                         std::span<const std::byte> data) noexcept;

}  // namespace efistore::flash
