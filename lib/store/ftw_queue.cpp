// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "ftw_queue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "efistore/base/bytes.hpp"
#include "efistore/base/crc32.hpp"
#include "efistore/base/guid.hpp"

#include "firmware_volume.hpp"

namespace efistore::store {

using namespace literals;

namespace {

/// gEdkiiWorkingBlockSignatureGuid.
constexpr Guid working_guid = "9e58292b-7c68-497d-a0ce-6500fd9f1b95"_guid;
/// The driver's own file name, under which it allocates the variable driver's writes.
constexpr Guid caller_guid = "fe5cea76-4f72-49e8-986f-2cd899dffe5d"_guid;
constexpr std::byte erased{0xff};
constexpr std::uint8_t working_block_valid = 0xfe;

// Bits of the state bytes.
constexpr std::uint8_t header_allocated = 0x01;
constexpr std::uint8_t writes_allocated = 0x02;
constexpr std::uint8_t complete = 0x04;
constexpr std::uint8_t spare_complete = 0x02;
constexpr std::uint8_t destination_complete = 0x04;

bool flag(std::uint8_t state, std::uint8_t bit) noexcept {
  return (state & bit) == 0;
}

/// How many records follow, and how many bytes of private data each of them has.
struct WriteHeader {
  std::uint8_t state = 0;
  std::uint64_t write_count = 0;
  std::uint64_t private_size = 0;

  std::uint64_t record_size() const noexcept { return ftw_record_size + private_size; }
  std::uint64_t size() const noexcept {
    return ftw_write_header_size + write_count * record_size();
  }
  /// Whether it has a record, and all of them lie within `space` bytes.
  bool fits(std::uint64_t space) const noexcept {
    return write_count > 0 && write_count <= space && private_size <= space && size() <= space;
  }
};

WriteHeader parse_write_header(std::span<const std::byte> bytes) noexcept {
  ByteReader reader(bytes);
  WriteHeader header;
  header.state = reader.u8();
  reader.skip(23);
  header.write_count = reader.u64();
  header.private_size = reader.u64();
  return header;
}

/// Where the write that a record describes goes, as offsets in the volume.
struct Target {
  std::uint64_t offset = 0;  ///< wraps where the record points in front of the volume
  std::uint64_t size = 0;
};

Target parse_target(std::span<const std::byte> record, const Layout& layout) noexcept {
  ByteReader reader(record);
  reader.skip(16);  // state and Lba, which RelativeOffset holds too
  const std::uint64_t offset = reader.u64();
  const std::uint64_t length = reader.u64();
  const std::uint64_t relative = reader.u64();
  return {.offset = layout.ftw_spare.offset + relative, .size = offset + length};
}

/// The stage of an allocated, incomplete entry; `found` is where it stands.
void inspect_entry(std::span<const std::byte> entry, const WriteHeader& header,
                   const Layout& layout, FtwInspection& found) {
  std::uint64_t at = ftw_write_header_size;
  std::uint64_t index = 0;
  for (; index < header.write_count; ++index, at += header.record_size()) {
    if (!flag(static_cast<std::uint8_t>(entry[at]), destination_complete)) break;
  }
  if (index == header.write_count) {
    found.state = FtwState::copied;
    return;
  }
  found.record = found.queue_end + static_cast<std::uint32_t>(at);
  if (!flag(static_cast<std::uint8_t>(entry[at]), spare_complete)) {
    found.state = FtwState::staged;
    return;
  }
  const Target target = parse_target(entry.subspan(at, ftw_record_size), layout);
  if (target.offset == layout.variables.offset && target.size == layout.variables.size &&
      layout.variables.size <= layout.ftw_spare.size) {
    found.state = FtwState::copying;
    return;
  }
  found.state = FtwState::foreign;
  found.detail = fmt::format("the write at {:#x} of the working area is of {:#x} bytes to {:#x}",
                             found.queue_end, target.size, target.offset);
}

}  // namespace

std::vector<std::byte> build_ftw_header(std::uint32_t working_size_bytes) {
  std::vector<std::byte> bytes(ftw_header_size, erased);
  ByteWriter writer(bytes);
  writer.bytes(working_guid.bytes);
  writer.fill(8, erased);  // Crc and state, as the CRC takes them
  writer.u64(working_size_bytes - ftw_header_size);
  const std::uint32_t crc = crc32(bytes);
  ByteWriter finished{std::span{bytes}.subspan(16)};
  finished.u32(crc);
  finished.u8(working_block_valid);
  return bytes;
}

std::uint64_t ftw_working_size(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() < ftw_header_size) return 0;
  if (Guid::from_bytes(bytes) != working_guid) return 0;
  const std::uint64_t queue_size = ByteReader(bytes.subspan(24)).u64();
  return queue_size > UINT32_MAX ? 0 : queue_size + ftw_header_size;
}

bool resembles_ftw_area(std::span<const std::byte> working) {
  if (working.size() < ftw_header_size + ftw_entry_size) return false;
  const auto header = working.first(ftw_header_size);
  const auto queue = working.subspan(ftw_header_size);
  constexpr std::size_t caller_offset = 4;
  if (Guid::from_bytes(queue.subspan(caller_offset)) == caller_guid) return true;
  const auto expected = build_ftw_header(static_cast<std::uint32_t>(working.size()));
  int turned_bits = 0;
  for (std::size_t i = 0; i < header.size(); ++i)
    turned_bits += std::popcount(static_cast<std::uint8_t>(header[i] ^ expected[i]));
  constexpr int most_turned_bits = 8;  // of 256; those of other data differ in half of them
  if (turned_bits <= most_turned_bits) return true;
  return (is_filled(header, erased) || is_filled(header, std::byte{0})) && is_filled(queue, erased);
}

std::array<std::byte, ftw_entry_size> build_ftw_entry(const Layout& layout) noexcept {
  std::array<std::byte, ftw_entry_size> entry{};
  ByteWriter header(entry);
  header.fill(4, erased);  // state and padding
  header.bytes(caller_guid.bytes);
  header.fill(4, erased);
  header.u64(1);  // NumberOfWrites
  header.u64(0);  // PrivateDataSize
  header.fill(8, erased);
  header.u64(0);  // Lba
  header.u64(volume_header_size);
  header.u64(layout.variables.size - volume_header_size);
  header.u64(layout.variables.offset - layout.ftw_spare.offset);
  return entry;
}

FtwInspection inspect_ftw(std::span<const std::byte> working, const Layout& layout) {
  FtwInspection found;
  if (working.empty()) return found;
  const auto expected = build_ftw_header(static_cast<std::uint32_t>(working.size()));
  if (working.size() < ftw_header_size ||
      !std::ranges::equal(working.first(ftw_header_size), expected)) {
    found.state = FtwState::invalid;
    found.detail = "the working header is not the one that belongs to an area of its size";
    return found;
  }
  found.state = FtwState::idle;
  found.queue_end = ftw_header_size;
  // Every entry takes at least a header and a record, so this ends within the area.
  while (found.queue_end + ftw_write_header_size <= working.size()) {
    const auto rest = working.subspan(found.queue_end);
    const WriteHeader header = parse_write_header(rest);
    // As EDK2 walks: a complete entry is stepped over, whatever its other flags say.
    if (!flag(header.state, complete) && !flag(header.state, header_allocated)) break;
    if (header.fits(rest.size())) {
      const auto entry = rest.first(static_cast<std::size_t>(header.size()));
      if (!flag(header.state, complete)) {
        inspect_entry(entry, header, layout, found);
        return found;
      }
      found.queue_end += static_cast<std::uint32_t>(entry.size());
      continue;
    }
    const bool torn = !flag(header.state, complete) && !flag(header.state, writes_allocated) &&
                      is_filled(rest.subspan(ftw_write_header_size), erased);
    if (torn) {
      found.state = FtwState::staged;
      found.tail_used = true;
    } else {
      found.state = FtwState::broken;
      found.detail =
          fmt::format("a write header at {:#x} speaks of {} records with {} private bytes",
                      found.queue_end, header.write_count, header.private_size);
    }
    return found;
  }
  found.tail_used = !is_filled(working.subspan(found.queue_end), erased);
  return found;
}

}  // namespace efistore::store
