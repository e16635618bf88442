// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "raw_record.hpp"

#include <algorithm>

#include "efistore/base/bytes.hpp"

#include "record_format.hpp"

namespace efistore::store {

namespace {

constexpr std::byte erased{0xff};

}  // namespace

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
  raw.claimed_name_size = record.name_size;
  raw.claimed_data_size = record.data_size;
  constexpr std::uint32_t unwritten = 0xffffffff;
  raw.header_only = record.state == 0xff || record.name_size == unwritten ||
                    record.data_size == unwritten || record.attributes == unwritten;
  if (raw.header_only) {
    record.name_size = 0;
    record.data_size = 0;
  }
  return raw;
}

bool measure(std::span<const std::byte> area, RecordFormat format, ScannedRecord& record) {
  const std::uint64_t size =
      std::uint64_t{record_header_size(format)} + record.name_size + record.data_size;
  if (size > area.size() - record.offset) return false;
  record.size = static_cast<std::uint32_t>(size);
  return true;
}

std::optional<std::uint32_t> search_behind_uncommitted(std::span<const std::byte> area,
                                                       std::uint32_t at, RecordFormat format) {
  // Pages are programmed one after the other. Where the sizes in the header did not arrive, nothing
  // behind the page that holds them did.
  constexpr std::uint64_t largest_page = 1024;
  const RawHeader raw = parse_header(area, at, format);
  const std::uint64_t header_end = std::uint64_t{at} + record_header_size(format);
  const std::uint64_t end =
      align_record(header_end + raw.claimed_name_size + raw.claimed_data_size);
  const bool sizes_arrived = end <= area.size();
  const std::uint64_t limit =
      sizes_arrived ? end : std::min<std::uint64_t>(header_end + largest_page, area.size());
  if (is_filled(area.subspan(limit), erased)) return std::nullopt;
  if (!sizes_arrived || end + record_header_size(format) > area.size()) return at;
  RawHeader next = parse_header(area, static_cast<std::uint32_t>(end), format);
  const bool believed = next.start_id_valid && measure(area, format, next.record) &&
                        plausible(area, next.record, format);
  return believed ? static_cast<std::uint32_t>(end) : at;
}

bool may_be_torn(std::span<const std::byte> area, std::uint32_t at, RecordFormat format) {
  const auto header = area.subspan(at, record_header_size(format));
  ByteReader reader(header);
  const std::uint16_t start_id = reader.u16();
  return (start_id & record_start_id) == record_start_id && reader.u8() == 0xff &&
         !is_filled(header, erased);
}

bool plausible(std::span<const std::byte> area, const ScannedRecord& record, RecordFormat format) {
  const bool state_known =
      record.state == 0x3f || record.state == 0x3e || record.state == 0x3d || record.state == 0x3c;
  if (!state_known || record.attributes == 0 || record.attributes > 0xff) return false;
  if (record.name_size > max_salvaged_name_size) return false;
  return record_name(area, record, format).has_value();
}

}  // namespace efistore::store
