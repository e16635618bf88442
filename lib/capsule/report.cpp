// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/capsule/report.hpp"

#include <fmt/xchar.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "efistore/base/bytes.hpp"

#include "field.hpp"

namespace efistore::capsule {

namespace {

constexpr std::size_t fmp_state_size = 20;
constexpr std::size_t result_header_size = 48;
constexpr std::size_t result_payload_size = 20;
constexpr std::uint16_t result_payload_version = 1;
constexpr std::size_t esrt_header_size = 16;
constexpr std::size_t esrt_entry_size = 40;
constexpr std::uint64_t esrt_version = 1;
constexpr std::u16string_view result_prefix = u"Capsule";

std::size_t text_size(std::u16string_view text) noexcept {
  return (text.size() + 1) * sizeof(char16_t);
}

void write_text(ByteWriter& writer, std::u16string_view text) {
  for (const char16_t character : text) writer.u16(character);
  writer.u16(0);
}

/// Up to its NUL, which must be there.
std::optional<std::u16string> read_text(ByteReader& reader) {
  std::u16string text;
  while (const auto character = static_cast<char16_t>(reader.u16())) text += character;
  if (!reader.ok()) return std::nullopt;
  return text;
}

}  // namespace

std::u16string state_variable_name(std::u16string_view word, std::uint64_t hardware_instance,
                                   std::uint8_t index) {
  std::u16string name(word);
  if (hardware_instance != 0) name += fmt::format(u"{:016X}", hardware_instance);
  if (index != 1) name += fmt::format(u"-{:02X}", index);
  return name;
}

std::u16string fmp_state_name(std::uint64_t hardware_instance, std::uint8_t index) {
  return state_variable_name(u"FmpState", hardware_instance, index);
}

std::vector<std::byte> encode_fmp_state(const FmpState& state) {
  std::vector<std::byte> data(fmp_state_size);
  ByteWriter writer(data);
  writer.u8(state.version ? 1 : 0);
  writer.u8(state.lowest_supported_version ? 1 : 0);
  writer.u8(state.last_attempt_status ? 1 : 0);
  writer.u8(state.last_attempt_version ? 1 : 0);
  writer.u32(state.version.value_or(0));
  writer.u32(state.lowest_supported_version.value_or(0));
  writer.u32(
      static_cast<std::uint32_t>(state.last_attempt_status.value_or(LastAttemptStatus::success)));
  writer.u32(state.last_attempt_version.value_or(0));
  return data;
}

Result<FmpState> parse_fmp_state(std::span<const std::byte> data) {
  if (data.size() != fmp_state_size) {
    return fail(Errc::invalid_argument,
                fmt::format("FmpState: it has {} bytes, expected {}", data.size(), fmp_state_size));
  }
  ByteReader reader(data);
  std::array<bool, 4> valid{};
  for (bool& flag : valid) flag = reader.u8() != 0;
  FmpState state;
  const auto next = [&](std::size_t index) {
    const std::uint32_t value = reader.u32();
    return valid[index] ? std::optional(value) : std::nullopt;
  };
  state.version = next(0);
  state.lowest_supported_version = next(1);
  if (const auto status = next(2)) state.last_attempt_status = LastAttemptStatus{*status};
  state.last_attempt_version = next(3);
  return state;
}

Result<std::vector<std::byte>> encode_capsule_result(const CapsuleResult& result) {
  std::size_t size = result_header_size;
  if (result.payload) {
    for (const std::u16string_view text : {std::u16string_view(result.payload->file_name),
                                           std::u16string_view(result.payload->target)}) {
      if (text.find(u'\0') != std::u16string_view::npos) {
        return fail(Errc::invalid_argument, "capsule result: a NUL stands inside of a name");
      }
      size += text_size(text);
    }
    size += result_payload_size;
  }
  if (size > std::numeric_limits<std::uint32_t>::max()) {
    return fail(Errc::no_space, "capsule result: it is larger than its size can say");
  }
  std::vector<std::byte> data(size);
  ByteWriter writer(data);
  writer.u32(static_cast<std::uint32_t>(size));
  writer.u32(0);
  writer.bytes(result.capsule_guid.bytes);
  writer.bytes(result.processed.bytes);
  writer.u64(static_cast<std::uint64_t>(result.status));
  if (result.payload) {
    writer.u16(result_payload_version);
    writer.u8(result.payload->payload_index);
    writer.u8(result.payload->image_index);
    writer.bytes(result.payload->type_id.bytes);
    write_text(writer, result.payload->file_name);
    write_text(writer, result.payload->target);
  }
  return data;
}

Result<CapsuleResult> parse_capsule_result(std::span<const std::byte> data) {
  constexpr std::string_view structure = "capsule result";
  if (data.size() < result_header_size) {
    return too_short(structure, {0, data.size()}, result_header_size);
  }
  ByteReader reader(data);
  const std::uint32_t size = reader.u32();
  if (size != data.size()) {
    return bad_field(structure, "VariableTotalSize", 0, size, fmt::format("{}", data.size()));
  }
  reader.skip(4);
  CapsuleResult result;
  result.capsule_guid = Guid::from_bytes(reader.take(sizeof(Guid)));
  result.processed = EfiTime::from_bytes(reader.take(sizeof(EfiTime)));
  result.status = EfiStatus{reader.u64()};
  if (reader.remaining() == 0) return result;
  const std::uint16_t version = reader.u16();
  CapsuleResult::Payload payload;
  payload.payload_index = reader.u8();
  payload.image_index = reader.u8();
  const auto type_id = reader.take(sizeof(Guid));
  if (!reader.ok())
    return too_short(structure, {0, data.size()}, result_header_size + result_payload_size);
  if (version != result_payload_version) {
    return bad_field(structure, "Version", result_header_size, version, "1");
  }
  payload.type_id = Guid::from_bytes(type_id);
  auto file_name = read_text(reader);
  auto target = file_name ? read_text(reader) : std::nullopt;
  if (!target) {
    return fail(Errc::invalid_argument, fmt::format("{}: a name lacks its NUL", structure));
  }
  payload.file_name = *std::move(file_name);
  payload.target = *std::move(target);
  result.payload = std::move(payload);
  return result;
}

std::u16string capsule_result_name(std::uint32_t number) {
  return fmt::format(u"Capsule{:04}", number);
}

std::optional<std::uint32_t> capsule_result_number(std::u16string_view name) {
  constexpr std::size_t digits = 4;
  if (!name.starts_with(result_prefix) || name.size() != result_prefix.size() + digits) {
    return std::nullopt;
  }
  std::uint32_t number = 0;
  for (const char16_t digit : name.substr(result_prefix.size())) {
    if (digit < u'0' || digit > u'9') return std::nullopt;
    number = number * 10 + (digit - u'0');
  }
  return number;
}

std::vector<std::byte> encode_capsule_result_name(std::uint32_t number) {
  const std::u16string name = capsule_result_name(number);
  std::vector<std::byte> data(name.size() * sizeof(char16_t));
  ByteWriter writer(data);
  for (const char16_t character : name) writer.u16(character);
  return data;
}

std::vector<std::byte> encode_esrt(std::span<const EsrtEntry> entries) {
  std::vector<std::byte> table(esrt_header_size + entries.size() * esrt_entry_size);
  ByteWriter writer(table);
  const auto count = static_cast<std::uint32_t>(entries.size());
  writer.u32(count);
  writer.u32(count);
  writer.u64(esrt_version);
  for (const EsrtEntry& entry : entries) {
    writer.bytes(entry.fw_class.bytes);
    writer.u32(entry.fw_type);
    writer.u32(entry.version);
    writer.u32(entry.lowest_supported_version);
    writer.u32(entry.capsule_flags);
    writer.u32(entry.last_attempt_version);
    writer.u32(static_cast<std::uint32_t>(entry.last_attempt_status));
  }
  return table;
}

Result<std::vector<EsrtEntry>> parse_esrt(std::span<const std::byte> table) {
  constexpr std::string_view structure = "ESRT";
  if (table.size() < esrt_header_size)
    return too_short(structure, {0, table.size()}, esrt_header_size);
  ByteReader reader(table);
  const std::uint32_t count = reader.u32();
  const std::uint32_t count_max = reader.u32();
  const std::uint64_t version = reader.u64();
  if (version != esrt_version) return bad_field(structure, "FwResourceVersion", 8, version, "1");
  if (count != (table.size() - esrt_header_size) / esrt_entry_size ||
      (table.size() - esrt_header_size) % esrt_entry_size != 0) {
    return bad_field(structure, "FwResourceCount", 0, count,
                     fmt::format("entries of {} bytes that fill {}", esrt_entry_size,
                                 table.size() - esrt_header_size));
  }
  if (count > count_max) {
    return bad_field(structure, "FwResourceCountMax", 4, count_max,
                     fmt::format("at least {}", count));
  }
  std::vector<EsrtEntry> entries(count);
  for (EsrtEntry& entry : entries) {
    entry.fw_class = Guid::from_bytes(reader.take(sizeof(Guid)));
    entry.fw_type = reader.u32();
    entry.version = reader.u32();
    entry.lowest_supported_version = reader.u32();
    entry.capsule_flags = reader.u32();
    entry.last_attempt_version = reader.u32();
    entry.last_attempt_status = LastAttemptStatus{reader.u32()};
  }
  return entries;
}

std::vector<EsrtEntry> merge_esrt(std::span<const EsrtEntry> entries) {
  std::vector<EsrtEntry> merged;
  for (const EsrtEntry& entry : entries) {
    const auto same = std::ranges::find(merged, entry.fw_class, &EsrtEntry::fw_class);
    if (same == merged.end()) {
      merged.push_back(entry);
      continue;
    }
    same->version = std::min(same->version, entry.version);
    same->lowest_supported_version =
        std::min(same->lowest_supported_version, entry.lowest_supported_version);
    if (same->last_attempt_status == LastAttemptStatus::success) {
      same->last_attempt_status = entry.last_attempt_status;
      same->last_attempt_version = entry.last_attempt_version;
    }
  }
  return merged;
}

}  // namespace efistore::capsule
