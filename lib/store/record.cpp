// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/store/record.hpp"

#include "efistore/base/bytes.hpp"

#include "record_format.hpp"

namespace efistore::store {

RecordContent::RecordContent(const Variable& variable)
    : RecordContent(variable.name, variable.guid, variable.attributes, variable.data) {
  time = variable.time;
  monotonic_count = variable.monotonic_count;
  public_key_index = variable.public_key_index;
}

RecordContent::RecordContent(const Record& record)
    : RecordContent(record.name, record.guid, record.attributes, record.data) {
  time = record.time;
  monotonic_count = record.monotonic_count;
  public_key_index = record.public_key_index;
}

Variable Record::to_variable() const {
  return {.name = name,
          .guid = guid,
          .attributes = attributes,
          .data = {data.begin(), data.end()},
          .time = time,
          .monotonic_count = monotonic_count,
          .public_key_index = public_key_index};
}

std::size_t record_size(RecordFormat format, const RecordContent& content) noexcept {
  return record_header_size(format) + (content.name.size() + 1) * sizeof(char16_t) +
         content.data.size();
}

std::vector<std::byte> encode_record(RecordFormat format, const RecordContent& content,
                                     RecordState state) {
  std::vector<std::byte> bytes(record_size(format, content));
  ByteWriter writer(bytes);
  writer.u16(record_start_id);
  writer.u8(static_cast<std::uint8_t>(state));
  writer.u8(0);
  writer.u32(content.attributes);
  if (format == RecordFormat::authenticated) {
    writer.u64(content.monotonic_count);
    writer.bytes(content.time.bytes);
    writer.u32(content.public_key_index);
  }
  writer.u32(static_cast<std::uint32_t>((content.name.size() + 1) * sizeof(char16_t)));
  writer.u32(static_cast<std::uint32_t>(content.data.size()));
  writer.bytes(content.guid.bytes);
  for (const char16_t c : content.name) writer.u16(c);
  writer.u16(0);
  writer.bytes(content.data);
  return bytes;
}

}  // namespace efistore::store
