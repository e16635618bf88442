// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "record_log.hpp"

#include <algorithm>
#include <cstring>

#include "efistore/store/record.hpp"

#include "workload.hpp"

namespace efistore::bench {

namespace {

// Offsets in the authenticated record header (SPEC.md).
constexpr std::size_t state_offset = 2;
constexpr std::size_t attributes_offset = 4;
constexpr std::size_t name_size_offset = 36;
constexpr std::size_t data_size_offset = 40;
constexpr std::size_t guid_offset = 44;
constexpr std::size_t header_size = 60;
/// Where OVMF's variables area has its first record.
constexpr std::size_t first_record = 0x64;
constexpr std::size_t nowhere = SIZE_MAX;

constexpr std::byte added{0x3f};
constexpr std::byte in_transition{0x3e};

std::uint32_t load_u16(const std::byte* from) {
  return std::to_integer<std::uint32_t>(from[0]) | std::to_integer<std::uint32_t>(from[1]) << 8;
}

std::uint32_t load_u32(const std::byte* from) {
  return load_u16(from) | load_u16(from + 2) << 16;
}

void store_u32(std::byte* to, std::uint32_t value) {
  for (std::size_t i = 0; i < sizeof value; ++i) {
    to[i] = static_cast<std::byte>((value >> (8 * i)) & 0xff);
  }
}

bool is_record(const std::byte* at) {
  return load_u16(at) == 0x55aa;
}

bool is_live(const std::byte* record) {
  return record[state_offset] == added || record[state_offset] == in_transition;
}

/// Names lie little-endian on flash, and the machines that this runs on are.
std::u16string_view name_of(const std::byte* record) {
  const std::size_t size = load_u32(record + name_size_offset) / sizeof(char16_t) - 1;
  return {reinterpret_cast<const char16_t*>(record + header_size), size};
}

bool has_name(const std::byte* record, std::u16string_view name, const Guid& guid) {
  return std::memcmp(record + guid_offset, guid.bytes.data(), guid.bytes.size()) == 0 &&
         name_of(record) == name;
}

}  // namespace

RecordLog::RecordLog(std::span<const std::byte> image) {
  const auto area = image.first(store::Layout::ovmf_4m().variables.size);
  bytes_.assign(area.begin(), area.end());
  end_ = first_record;
  while (end_ + header_size <= bytes_.size() && is_record(bytes_.data() + end_)) {
    end_ = record_end(end_);
  }
}

std::size_t RecordLog::record_end(std::size_t at) const {
  const std::byte* record = bytes_.data() + at;
  return store::align_record(at + header_size + load_u32(record + name_size_offset) +
                             load_u32(record + data_size_offset));
}

std::size_t RecordLog::find_offset(std::u16string_view name, const Guid& guid) const {
  std::size_t transition = nowhere;
  for (std::size_t at = first_record; at < end_; at = record_end(at)) {
    const std::byte* record = bytes_.data() + at;
    if (!is_record(record)) break;
    if (!is_live(record) || !has_name(record, name, guid)) continue;
    if (record[state_offset] == added) return at;
    transition = at;
  }
  return transition;
}

std::optional<std::span<const std::byte>> RecordLog::find(std::u16string_view name,
                                                          const Guid& guid) const {
  const std::size_t at = find_offset(name, guid);
  if (at == nowhere) return std::nullopt;
  const std::byte* record = bytes_.data() + at;
  return std::span(record + header_size + load_u32(record + name_size_offset),
                   load_u32(record + data_size_offset));
}

RecordLog::Position RecordLog::live_from(std::size_t at) const {
  for (; at < end_; at = record_end(at)) {
    const std::byte* record = bytes_.data() + at;
    if (!is_live(record)) continue;
    return {.at = at,
            .end = false,
            .name = name_of(record),
            .guid = Guid::from_bytes(std::span(record + guid_offset, 16))};
  }
  return {.at = end_, .end = true, .name = {}, .guid = {}};
}

RecordLog::Position RecordLog::first() const {
  return live_from(first_record);
}

RecordLog::Position RecordLog::next(std::u16string_view name, const Guid& guid) const {
  const std::size_t at = find_offset(name, guid);
  if (at == nowhere) give_up("the reference lost a variable");
  return live_from(record_end(at));
}

void RecordLog::update(std::u16string_view name, const Guid& guid,
                       std::span<const std::byte> data) {
  const std::size_t name_size = (name.size() + 1) * sizeof(char16_t);
  const std::size_t size = header_size + name_size + data.size();
  if (size > free()) reclaim();
  const std::size_t old = find_offset(name, guid);
  if (old == nowhere) give_up("the reference lost a variable");
  bytes_[old + state_offset] &= std::byte{0xfe};
  std::byte* record = bytes_.data() + end_;
  // The new header is the old one but for the state and the size.
  std::memcpy(record, bytes_.data() + old, header_size + name_size);
  record[state_offset] = std::byte{0xff};
  store_u32(record + attributes_offset, attributes::default_new);
  store_u32(record + data_size_offset, static_cast<std::uint32_t>(data.size()));
  std::memcpy(record + header_size + name_size, data.data(), data.size());
  record[state_offset] &= added;
  bytes_[old + state_offset] &= std::byte{0xfd};
  end_ = record_end(end_);
}

void RecordLog::reclaim() {
  std::vector<std::byte> compacted(bytes_.size(), std::byte{0xff});
  std::copy_n(bytes_.begin(), first_record, compacted.begin());
  std::size_t to = first_record;
  for (std::size_t at = first_record; at < end_; at = record_end(at)) {
    if (!is_live(bytes_.data() + at)) continue;
    const std::size_t size = record_end(at) - at;
    std::memcpy(compacted.data() + to, bytes_.data() + at, size);
    to += size;
  }
  std::memcpy(bytes_.data(), compacted.data(), bytes_.size());
  end_ = to;
}

}  // namespace efistore::bench
