// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Where things lie in a non-volatile variable area. SPEC.md has the byte tables.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "efistore/base/result.hpp"
#include "efistore/flash/device.hpp"

namespace efistore::store {

/// VARIABLE_HEADER (32 bytes) or AUTHENTICATED_VARIABLE_HEADER (60 bytes).
enum class RecordFormat { normal, authenticated };

std::string_view to_string(RecordFormat format) noexcept;  // "normal", "auth"

/// Largest volume that is opened or made; the variables area is held in memory.
inline constexpr std::uint64_t max_volume_size_bytes = 64U << 20;

/// The areas of one firmware volume, offsets from its start. An area of size 0 is not there.
struct Layout {
  std::uint64_t volume_size_bytes = 0;  ///< FvLength: everything below
  std::uint32_t block_size_bytes = 0;   ///< erase block, Length of the block map
  std::uint32_t block_map_count = 0;    ///< NumBlocks as it is, or will be, written
  std::uint32_t volume_attributes = 0x0004feff;
  RecordFormat format = RecordFormat::authenticated;
  flash::Range variables{};    ///< firmware volume header, store header and records
  flash::Range event_log{};    ///< unused by the variable driver
  flash::Range ftw_working{};  ///< fault-tolerant write: its queue
  flash::Range ftw_spare{};    ///< fault-tolerant write: the copy

  friend bool operator==(const Layout&, const Layout&) = default;

  /// OVMF's 4 MiB build: a volume of 528 KiB.
  static Layout ovmf_4m() noexcept;
  /// OVMF's 1 and 2 MiB builds: a volume of 128 KiB.
  static Layout ovmf_2m() noexcept;
  /// ArmVirtPkg (AAVMF): three blocks of 256 KiB, whose block map speaks of 256.
  static Layout aavmf() noexcept;

  struct Custom {
    std::uint64_t size_bytes = 0;
    std::uint32_t block_size_bytes = 0x1000;
    RecordFormat format = RecordFormat::authenticated;
  };
  /// A volume of its own proportions: one block of working space, and the rest divided between
  /// variables and a spare of the same size (an odd block is left over as event log).
  /// Errors: invalid_argument (block size not a power of two from 4 KiB to 1 MiB; size no multiple
  /// of it, below three blocks, or above 64 MiB).
  static Result<Layout> custom(const Custom& wanted);

  /// "ovmf-4m", "ovmf-2m", "aavmf"; none for any other name.
  static std::optional<Layout> by_name(std::string_view name) noexcept;
  /// The name by_name() would take, or "custom".
  std::string_view name() const noexcept;
};

/// Reads the layout off a device: from the headers of the firmware volume and the variable store
/// and, where these leave it open, from the fault-tolerant working header.
/// Errors: blank (all 0xff or all zero as far as the headers reach; the message says which),
/// damaged (anything else that is no volume of variables, with the field and what was expected),
/// io.
Result<Layout> detect_layout(flash::Device& device);

}  // namespace efistore::store
