// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/store/scan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "efistore/base/bytes.hpp"

#include "record_format.hpp"

namespace efistore::store {

namespace {

constexpr std::byte erased{0xff};
/// Longest name, in bytes, that the search behind a break of the chain believes. Keeps the search
/// linear: a hostile area can make every fourth byte look like a header with a long name.
constexpr std::uint32_t max_salvaged_name_size = 2048;

/// A header and the sizes it claims, unchecked.
struct RawHeader {
  bool start_id_valid = false;
  ScannedRecord record;
};

RawHeader parse_header(std::span<const std::byte> area, std::uint32_t at, RecordFormat format) {
  ByteReader reader(area.subspan(at));
  RawHeader raw;
  raw.start_id_valid = reader.u16() == record_start_id;
  ScannedRecord& record = raw.record;
  record.offset = at;
  record.state = reader.u8();
  reader.skip(1);
  record.attributes = reader.u32();
  if (format == RecordFormat::authenticated) {
    record.monotonic_count = reader.u64();
    if (const auto time = reader.take(16); !time.empty()) record.time = EfiTime::from_bytes(time);
    record.public_key_index = reader.u32();
  }
  record.name_size = reader.u32();
  record.data_size = reader.u32();
  if (const auto guid = reader.take(16); !guid.empty()) record.guid = Guid::from_bytes(guid);
  raw.start_id_valid = raw.start_id_valid && reader.ok();
  // EDK2 takes such a record for one whose sizes were never written and steps over the header only.
  constexpr std::uint32_t unwritten = 0xffffffff;
  if (record.state == 0xff || record.name_size == unwritten || record.data_size == unwritten ||
      record.attributes == unwritten) {
    record.name_size = 0;
    record.data_size = 0;
  }
  return raw;
}

/// Sets the record's size, unless its name and data reach beyond the area.
bool measure(std::span<const std::byte> area, RecordFormat format, ScannedRecord& record) {
  const std::uint64_t size =
      std::uint64_t{record_header_size(format)} + record.name_size + record.data_size;
  if (size > area.size() - record.offset) return false;
  record.size = static_cast<std::uint32_t>(size);
  return true;
}

/// Whether a header found by search is to be believed.
bool plausible(std::span<const std::byte> area, const ScannedRecord& record, RecordFormat format) {
  const bool state_known =
      record.state == 0x3f || record.state == 0x3e || record.state == 0x3d || record.state == 0x3c;
  if (!state_known || record.attributes == 0 || record.attributes > 0xff) return false;
  if (record.name_size > max_salvaged_name_size) return false;
  return record_name(area, record, format).has_value();
}

/// Whether the chain ended at a record whose writing was cut: its state is still erased, and of its
/// StartId no bit is cleared that is to stay. Nothing was ever written behind such a record, and
/// what its data holds, a copy of another store perhaps, is not to be taken for records.
bool ends_in_torn_record(std::span<const std::byte> area, const RecordScan& scan) {
  constexpr std::uint8_t erased_state = 0xff;
  if (!scan.records.empty() && scan.records.back().state == erased_state) return true;
  ByteReader reader(area.subspan(scan.chain_end));
  const std::uint16_t start_id = reader.u16();
  return (start_id & record_start_id) == record_start_id && reader.u8() == erased_state;
}

/// Looks from a break of the chain on for records that EDK2 would lose. Where one is due, at the
/// break itself and right behind a record, all but its StartId is enough to believe it: its data is
/// then not searched for others, and it is not taken for residue.
void salvage(std::span<const std::byte> area, std::uint32_t from, RecordFormat format,
             std::vector<ScannedRecord>& records) {
  std::uint64_t at = align_record(from);
  bool due = true;
  while (at + record_header_size(format) <= area.size()) {
    RawHeader raw = parse_header(area, static_cast<std::uint32_t>(at), format);
    const bool believed = (raw.start_id_valid || due) && measure(area, format, raw.record) &&
                          plausible(area, raw.record, format);
    if (believed) {
      raw.record.salvaged = true;
      records.push_back(raw.record);
      at = align_record(at + raw.record.size);
    } else {
      at += 4;
    }
    due = believed;
  }
}

}  // namespace

bool RecordScan::has_salvaged() const noexcept {
  return std::ranges::any_of(records,
                             [](const ScannedRecord& r) { return r.salvaged && r.live(); });
}

RecordScan scan_records(std::span<const std::byte> area, std::uint32_t begin, RecordFormat format) {
  RecordScan scan;
  std::uint64_t at = begin;
  while (at + record_header_size(format) <= area.size()) {
    RawHeader raw = parse_header(area, static_cast<std::uint32_t>(at), format);
    if (!raw.start_id_valid) {
      if (!is_filled(area.subspan(at), erased)) {
        scan.break_reason =
            fmt::format("at {:#x} a record (aa 55) or erased bytes should follow, and there are {}",
                        at, to_hex(area.subspan(at, 4)));
      }
      break;
    }
    if (!measure(area, format, raw.record)) {
      scan.break_reason = fmt::format(
          "the record at {:#x} claims {} bytes of name and {} of data, which reach beyond the area",
          at, raw.record.name_size, raw.record.data_size);
      break;
    }
    scan.records.push_back(raw.record);
    at = align_record(at + raw.record.size);
  }
  scan.chain_end = static_cast<std::uint32_t>(std::min<std::uint64_t>(at, area.size()));
  scan.tail_used = !is_filled(area.subspan(scan.chain_end), erased);
  if (!scan.break_reason.empty() && !ends_in_torn_record(area, scan))
    salvage(area, scan.chain_end, format, scan.records);
  return scan;
}

std::optional<std::u16string> record_name(std::span<const std::byte> area,
                                          const ScannedRecord& record, RecordFormat format) {
  if (record.name_size < 2 * sizeof(char16_t) || record.name_size % sizeof(char16_t) != 0) {
    return std::nullopt;
  }
  ByteReader reader(area.subspan(record.offset + record_header_size(format), record.name_size));
  std::u16string name(record.name_size / sizeof(char16_t) - 1, u'\0');
  for (char16_t& c : name) {
    c = reader.u16();
    if (c == u'\0') return std::nullopt;
  }
  if (reader.u16() != 0) return std::nullopt;
  return name;
}

std::span<const std::byte> record_data(std::span<const std::byte> area, const ScannedRecord& record,
                                       RecordFormat format) noexcept {
  return area.subspan(record.offset + record_header_size(format) + record.name_size,
                      record.data_size);
}

}  // namespace efistore::store
