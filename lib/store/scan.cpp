// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/store/scan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "efistore/base/bytes.hpp"

#include "raw_record.hpp"
#include "record_format.hpp"

namespace efistore::store {

namespace {

constexpr std::byte erased{0xff};

/// Where the search behind a break of the chain begins; none if the chain ended at a record whose
/// writing was cut, and that explains what stands there.
std::optional<std::uint32_t> search_begin(std::span<const std::byte> area, const RecordScan& scan,
                                          RecordFormat format) {
  constexpr std::uint8_t erased_state = 0xff;
  const bool stepped_over = !scan.records.empty() && scan.records.back().state == erased_state;
  const std::uint32_t at = stepped_over ? scan.records.back().offset : scan.chain_end;
  if (!stepped_over && !may_be_torn(area, at, format)) return scan.chain_end;
  const auto from = search_behind_uncommitted(area, at, format);
  return from ? std::optional(std::max(*from, scan.chain_end)) : std::nullopt;
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
  if (scan.break_reason.empty()) return scan;
  if (const auto from = search_begin(area, scan, format))
    salvage(area, *from, format, scan.records);
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
