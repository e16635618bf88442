// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "firmware_volume.hpp"

#include <fmt/format.h>

#include <bit>

#include "efistore/base/bytes.hpp"
#include "efistore/base/guid.hpp"
#include "efistore/store/record.hpp"

namespace efistore::store {

using namespace literals;

namespace {

/// EFI_SYSTEM_NV_DATA_FV_GUID.
constexpr Guid volume_guid = "fff12b8d-7696-4c8b-a985-2747075b4f50"_guid;
constexpr Guid normal_store_guid = "ddcf3616-3275-4164-98b6-fe85707ffe7d"_guid;
constexpr Guid authenticated_store_guid = "aaf32c78-947b-439a-a180-2e144ec37792"_guid;

constexpr std::uint32_t volume_signature = 0x4856465f;  // "_FVH"
constexpr std::uint8_t volume_revision = 2;
constexpr std::uint8_t store_formatted = 0x5a;
constexpr std::uint8_t store_healthy = 0xfe;
constexpr std::uint32_t max_block_size = 16U << 20;

/// Sum of the 16-bit words, which is 0 over a valid header.
std::uint16_t sum16(std::span<const std::byte> bytes) noexcept {
  ByteReader reader(bytes);
  std::uint16_t sum = 0;
  while (reader.remaining() >= 2) sum = static_cast<std::uint16_t>(sum + reader.u16());
  return sum;
}

tl::unexpected<Error> damaged(std::uint64_t offset, std::string_view field,
                              const std::string& expected, const std::string& found) {
  return fail(Errc::damaged,
              fmt::format("no variable store at offset {:#x}: {} should be {}, is {}", offset,
                          field, expected, found));
}

}  // namespace

Result<VolumeHeader> parse_volume_header(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  reader.skip(16);  // ZeroVector
  const auto guid = reader.take(16);
  VolumeHeader header;
  header.volume_size_bytes = reader.u64();
  const std::uint32_t signature = reader.u32();
  header.attributes = reader.u32();
  header.header_size_bytes = reader.u16();
  reader.skip(6);  // Checksum, ExtHeaderOffset, Reserved, Revision
  if (!reader.ok()) {
    return fail(Errc::damaged, fmt::format("no variable store: {} bytes are too few for a firmware "
                                           "volume header of {}",
                                           bytes.size(), volume_header_size));
  }
  if (signature != volume_signature) {
    return damaged(40, "the firmware volume's signature", "0x4856465f (_FVH)",
                   fmt::format("{:#010x}", signature));
  }
  if (const Guid found = Guid::from_bytes(guid); found != volume_guid) {
    return damaged(16, "the firmware volume's file system GUID", to_string(volume_guid),
                   to_string(found));
  }
  if (header.header_size_bytes < volume_header_size ||
      header.header_size_bytes > max_volume_header_size || header.header_size_bytes % 4 != 0 ||
      header.header_size_bytes > bytes.size()) {
    return damaged(48, "the firmware volume's HeaderLength",
                   fmt::format("a multiple of 4 from {:#x} to {:#x}", volume_header_size,
                               max_volume_header_size),
                   fmt::format("{:#x}", header.header_size_bytes));
  }
  ByteReader block_map(bytes.first(header.header_size_bytes).subspan(56));
  while (block_map.remaining() >= 8) {
    const std::uint32_t count = block_map.u32();
    const std::uint32_t length = block_map.u32();
    if (count == 0 && length == 0) break;
    if (header.block_size_bytes == 0) {
      header.block_count = count;
      header.block_size_bytes = length;
    }
    header.mapped_size_bytes += std::uint64_t{count} * length;
  }
  if (!std::has_single_bit(header.block_size_bytes) || header.block_size_bytes < 512 ||
      header.block_size_bytes > max_block_size) {
    return damaged(60, "the block map's Length",
                   fmt::format("a power of two from 0x200 to {:#x}", max_block_size),
                   fmt::format("{:#x}", header.block_size_bytes));
  }
  header.checksum_valid = sum16(bytes.first(header.header_size_bytes)) == 0;
  return header;
}

Result<StoreHeader> parse_store_header(std::span<const std::byte> bytes, std::uint64_t offset) {
  ByteReader reader(bytes);
  const auto raw_guid = reader.take(16);
  StoreHeader header;
  header.size_bytes = reader.u32();
  const std::uint8_t formatted = reader.u8();
  const std::uint8_t healthy = reader.u8();
  reader.skip(6);  // Reserved, Reserved1
  if (!reader.ok()) return damaged(offset, "the variable store header", "28 bytes", "cut short");
  const Guid guid = Guid::from_bytes(raw_guid);
  if (guid == normal_store_guid) {
    header.format = RecordFormat::normal;
  } else if (guid != authenticated_store_guid) {
    return damaged(
        offset, "the variable store's signature",
        fmt::format("{} or {}", to_string(authenticated_store_guid), to_string(normal_store_guid)),
        to_string(guid));
  }
  if (formatted != store_formatted) {
    return damaged(offset + 20, "the variable store's Format", "0x5a",
                   fmt::format("{:#04x}", formatted));
  }
  if (healthy != store_healthy) {
    return damaged(offset + 21, "the variable store's State", "0xfe",
                   fmt::format("{:#04x}", healthy));
  }
  return header;
}

std::vector<std::byte> build_headers(const Layout& layout) {
  std::vector<std::byte> bytes(volume_header_size + store_header_size);
  ByteWriter volume(bytes);
  volume.fill(16, std::byte{0});
  volume.bytes(volume_guid.bytes);
  volume.u64(layout.volume_size_bytes);
  volume.u32(volume_signature);
  volume.u32(layout.volume_attributes);
  volume.u16(volume_header_size);
  volume.u16(0);  // Checksum, below
  volume.u16(0);  // ExtHeaderOffset
  volume.u8(0);
  volume.u8(volume_revision);
  volume.u32(layout.block_map_count);
  volume.u32(layout.block_size_bytes);
  volume.u64(0);  // the block map's end
  set_checksum(std::span(bytes).first(volume_header_size));

  ByteWriter store{std::span{bytes}.subspan(volume_header_size)};
  store.bytes(layout.format == RecordFormat::authenticated ? authenticated_store_guid.bytes
                                                           : normal_store_guid.bytes);
  store.u32(static_cast<std::uint32_t>(layout.variables.size - volume_header_size));
  store.u8(store_formatted);
  store.u8(store_healthy);
  store.fill(6, std::byte{0});
  return bytes;
}

void set_checksum(std::span<std::byte> header) noexcept {
  const auto checksum = header.subspan(50, 2);
  ByteWriter(checksum).u16(0);
  const std::uint16_t sum = sum16(header);
  ByteWriter(checksum).u16(static_cast<std::uint16_t>(-sum));
}

std::uint32_t first_record_offset(std::uint16_t volume_header_size_bytes) noexcept {
  return static_cast<std::uint32_t>(align_record(volume_header_size_bytes + store_header_size));
}

}  // namespace efistore::store
