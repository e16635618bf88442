// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <array>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

#include "efistore/base/bytes.hpp"
#include "efistore/base/ucs2.hpp"
#include "efistore/exchange/exchange.hpp"

#include "collector.hpp"
#include "json_document.hpp"
#include "json_text.hpp"
#include "naming.hpp"

namespace efistore::exchange {

namespace {

enum Key : std::size_t {
  key_name,
  key_guid,
  key_attributes,
  key_data,
  key_time,
  key_monotonic_count,
  key_public_key_index,
  key_name_utf16,
};

constexpr std::array<std::string_view, 8> keys{
    "name",      "guid", "attributes", "data", "time", "monotonic_count", "public_key_index",
    "name_utf16"};

constexpr JsonSchema schema{
    .version_key = "efistore", .version = 1, .keys = keys, .tolerates_unknown_keys = false};

/// What a store reads as a record whose header was not finished.
constexpr std::uint32_t unfinished_attributes = 0xffffffff;

std::string utf16_hex(std::u16string_view name) {
  std::vector<std::byte> raw(name.size() * 2);
  ByteWriter out(raw);
  for (const char16_t unit : name) out.u16(unit);
  return to_hex(raw);
}

std::u16string name_of(Entry& entry) {
  std::u16string readable = entry.name(key_name);
  if (!entry.has(key_name_utf16)) return readable;
  const std::vector<std::byte> raw = entry.hex(key_name_utf16);
  if (raw.size() % 2 != 0) entry.fail(key_name_utf16, "expected two bytes a character");
  std::u16string name;
  name.reserve(raw.size() / 2);
  for (ByteReader in(raw); in.remaining() >= 2;) name += static_cast<char16_t>(in.u16());
  // Two names in one entry that differ would leave it to the reader which of them counts.
  if (readable_name(name) != to_utf8(readable)) {
    entry.fail(key_name_utf16, "expected the name that \"name\" shows");
  }
  return name;
}

store::Variable variable_of(Entry& entry) {
  store::Variable variable;
  variable.name = name_of(entry);
  variable.guid = entry.guid(key_guid);
  variable.attributes =
      static_cast<std::uint32_t>(entry.number(key_attributes, unfinished_attributes - 1));
  variable.data = entry.hex(key_data);
  if (entry.has(key_time)) variable.time = entry.time(key_time);
  if (entry.has(key_monotonic_count)) {
    variable.monotonic_count =
        entry.number(key_monotonic_count, std::numeric_limits<std::uint64_t>::max());
  }
  if (entry.has(key_public_key_index)) {
    variable.public_key_index = static_cast<std::uint32_t>(
        entry.number(key_public_key_index, std::numeric_limits<std::uint32_t>::max()));
  }
  return variable;
}

nlohmann::ordered_json entry_of(const store::Variable& variable) {
  nlohmann::ordered_json entry{{keys[key_name], readable_name(variable.name)},
                               {keys[key_guid], to_string(variable.guid)},
                               {keys[key_attributes], variable.attributes},
                               {keys[key_data], to_hex(variable.data)}};
  if (!variable.time.is_zero()) entry[keys[key_time]] = to_hex(variable.time.bytes);
  if (variable.monotonic_count != 0) {
    entry[keys[key_monotonic_count]] = variable.monotonic_count;
  }
  if (variable.public_key_index != 0) {
    entry[keys[key_public_key_index]] = variable.public_key_index;
  }
  if (has_lone_surrogate(variable.name)) entry[keys[key_name_utf16]] = utf16_hex(variable.name);
  return entry;
}

}  // namespace

Exported export_json(std::span<const store::Variable> variables) {
  Losses losses;
  auto entries = nlohmann::ordered_json::array();
  for (const store::Variable& variable : variables) {
    const std::string_view problem = name_problem(variable.name);
    if (problem.empty()) {
      entries.push_back(entry_of(variable));
    } else {
      losses.left_out.add([&] {
        return label(variable.name, variable.guid) + ": the name " + std::string(problem);
      });
    }
  }
  return {.bytes = json_text(schema, std::move(entries), 2),
          .left_out = losses.left_out.take(),
          .losses = losses.parts.take()};
}

Result<Imported> import_json(std::span<const std::byte> bytes) {
  Collector collector;
  const Status read =
      read_json_document(bytes, schema, collector.losses(), [&](Entry& entry) -> Status {
        store::Variable variable = variable_of(entry);
        if (auto status = entry.status(); !status) return status;
        return collector.add(entry.place(), std::move(variable));
      });
  if (!read) return tl::unexpected(read.error());
  return collector.take();
}

}  // namespace efistore::exchange
