// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The two headers in front of the records: EFI_FIRMWARE_VOLUME_HEADER (PI 1.8, volume 3, 3.2.1) and
// EDK2's VARIABLE_STORE_HEADER (MdeModulePkg/Include/Guid/VariableFormat.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "efistore/base/result.hpp"
#include "efistore/store/layout.hpp"

namespace efistore::store {

inline constexpr std::uint32_t store_header_size = 28;
/// With a block map of one entry and its terminator, as every builder of these volumes writes it.
inline constexpr std::uint16_t volume_header_size = 0x48;
/// "_FVH": without it nobody takes the rest for a header.
inline constexpr std::uint32_t volume_signature_offset = 40;
inline constexpr std::uint32_t volume_signature_size = 4;
/// Longest volume header that is read; a block map of hundreds of entries is not one of NOR flash.
inline constexpr std::uint16_t max_volume_header_size = 0x800;
/// Enough to parse both headers.
inline constexpr std::size_t headers_read_size = max_volume_header_size + store_header_size;

struct VolumeHeader {
  std::uint64_t volume_size_bytes = 0;
  std::uint32_t attributes = 0;
  std::uint16_t header_size_bytes = 0;
  std::uint32_t block_count = 0;        ///< of the block map's first entry
  std::uint32_t block_size_bytes = 0;   ///< of the block map's first entry
  std::uint64_t mapped_size_bytes = 0;  ///< what the whole block map adds up to
  bool checksum_valid = false;          ///< EDK2's driver does not look at it
};

/// Errors: damaged, with the offset, the field and what was expected.
Result<VolumeHeader> parse_volume_header(std::span<const std::byte> bytes);

struct StoreHeader {
  RecordFormat format = RecordFormat::authenticated;
  std::uint32_t size_bytes = 0;  ///< this header included
};

/// `offset` is where `bytes` lie, for messages. Errors: damaged.
Result<StoreHeader> parse_store_header(std::span<const std::byte> bytes, std::uint64_t offset);

/// Both headers of a fresh volume, one behind the other.
std::vector<std::byte> build_headers(const Layout& layout);

/// Sets the checksum of a volume header to what its other words ask for.
void set_checksum(std::span<std::byte> header) noexcept;

/// Offset of the first record of a volume whose header has `volume_header_size_bytes`.
std::uint32_t first_record_offset(std::uint16_t volume_header_size_bytes) noexcept;

}  // namespace efistore::store
