// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "ftw.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "efistore/base/bytes.hpp"
#include "efistore/base/crc32.hpp"
#include "efistore/base/guid.hpp"

namespace efistore::store {

using namespace literals;

namespace {

/// gEdkiiWorkingBlockSignatureGuid.
constexpr Guid working_guid = "9e58292b-7c68-497d-a0ce-6500fd9f1b95"_guid;
constexpr std::byte erased{0xff};

constexpr std::uint32_t write_header_size = 40;
constexpr std::uint32_t write_record_size = 40;

// Flags are true when cleared.
constexpr std::uint8_t header_allocated = 0x01;
constexpr std::uint8_t complete = 0x04;
constexpr std::uint8_t spare_complete = 0x02;
constexpr std::uint8_t destination_complete = 0x04;
constexpr std::uint8_t working_block_valid_state = 0xfe;

bool flag(std::uint8_t state, std::uint8_t bit) noexcept {
  return (state & bit) == 0;
}

/// The write header's body: how many records follow, and how long each is.
struct WriteHeader {
  std::uint8_t state = 0;
  std::uint64_t write_count = 0;
  std::uint64_t private_size = 0;
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

/// Whether any record of the write has its spare complete and its destination not.
bool is_copying(std::span<const std::byte> records, std::uint64_t record_size) noexcept {
  for (std::size_t at = 0; at + write_record_size <= records.size(); at += record_size) {
    const auto state = static_cast<std::uint8_t>(records[at]);
    if (flag(state, spare_complete) && !flag(state, destination_complete)) return true;
  }
  return false;
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
  finished.u8(working_block_valid_state);
  return bytes;
}

std::uint64_t ftw_working_size(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() < ftw_header_size) return 0;
  if (Guid::from_bytes(bytes) != working_guid) return 0;
  const std::uint64_t queue_size = ByteReader(bytes.subspan(24)).u64();
  return queue_size > UINT32_MAX ? 0 : queue_size + ftw_header_size;
}

FtwInspection inspect_ftw(std::span<const std::byte> working) {
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
  // Every entry takes at least a header, so this ends within the area.
  while (found.queue_end + write_header_size <= working.size()) {
    const auto rest = working.subspan(found.queue_end);
    if (is_filled(rest.first(write_header_size), erased)) break;
    const WriteHeader header = parse_write_header(rest);
    if (!flag(header.state, header_allocated)) {
      found.state = FtwState::staged;
      break;
    }
    const std::uint64_t space = rest.size() - write_header_size;
    if (header.private_size > space || header.write_count > space ||
        header.write_count * (write_record_size + header.private_size) > space) {
      found.state = FtwState::broken;
      found.detail =
          fmt::format("a write header at {:#x} speaks of {} records with {} private bytes",
                      found.queue_end, header.write_count, header.private_size);
      break;
    }
    const std::uint64_t record_size = write_record_size + header.private_size;
    const std::uint64_t records_size = header.write_count * record_size;
    if (!flag(header.state, complete)) {
      found.state = is_copying(rest.subspan(write_header_size, records_size), record_size)
                        ? FtwState::copying
                        : FtwState::staged;
      break;
    }
    found.queue_end += static_cast<std::uint32_t>(write_header_size + records_size);
  }
  return found;
}

namespace {

/// Programs the bytes of `wanted` that are not erased, leaving out long erased stretches.
Status program_used(flash::Device& device, std::uint64_t offset,
                    std::span<const std::byte> wanted) {
  constexpr std::size_t page = 256;  // what NOR parts program in one go
  for (std::size_t at = 0; at < wanted.size(); at += page) {
    const auto part = wanted.subspan(at, std::min(page, wanted.size() - at));
    if (is_filled(part, erased)) continue;
    const auto first = std::ranges::find_if(part, [](std::byte b) { return b != erased; });
    const auto last =
        std::find_if(part.rbegin(), part.rend(), [](std::byte b) { return b != erased; });
    const auto begin = static_cast<std::size_t>(first - part.begin());
    const auto end = part.size() - static_cast<std::size_t>(last - part.rbegin());
    if (auto done = device.program(offset + at + begin, part.subspan(begin, end - begin)); !done) {
      return done;
    }
  }
  return {};
}

}  // namespace

Status replace_variables(flash::Device& device, const Layout& layout,
                         std::span<const std::byte> current, std::span<const std::byte> wanted) {
  const std::size_t block = layout.block_size_bytes;
  const std::uint64_t base = layout.variables.offset;
  for (std::size_t at = 0; at < wanted.size(); at += block) {
    const std::size_t size = std::min(block, wanted.size() - at);
    const auto old_block = current.subspan(at, size);
    const auto new_block = wanted.subspan(at, size);
    if (equal_bytes(old_block, new_block)) continue;
    if (!is_filled(old_block, erased)) {
      if (auto done = device.erase({base + at, block}); !done) return done;
    }
    if (auto done = program_used(device, base + at, new_block); !done) return done;
  }
  return device.sync();
}

}  // namespace efistore::store
