// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include <algorithm>
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
  key_timestamp,
  key_digest,
};

constexpr std::array<std::string_view, 7> keys{"name", "guid",      "attr",  "data",
                                               "time", "timestamp", "digest"};

constexpr JsonSchema schema{
    .version_key = "version", .version = 2, .keys = keys, .tolerates_unknown_keys = true};

store::Variable variable_of(Entry& entry) {
  store::Variable variable;
  variable.name = entry.name(key_name);
  variable.guid = entry.guid(key_guid);
  variable.attributes = static_cast<std::uint32_t>(
      entry.number(key_attributes, std::numeric_limits<std::uint32_t>::max()));
  variable.data = entry.hex(key_data);
  if (entry.has(key_time)) {
    variable.time = entry.time(key_time);
    if (entry.has(key_timestamp)) entry.fail(key_timestamp, "given beside \"time\"");
  } else if (entry.has(key_timestamp)) {
    variable.time = entry.time(key_timestamp);
  }
  return variable;
}

/// False, with the reason in `left_out`, for a name that the format does not carry.
bool fits_name(const store::Variable& variable, Sentences& left_out) {
  if (!has_lone_surrogate(variable.name)) return true;
  left_out.add([&] {
    return label(variable.name, variable.guid) + ": the name has a surrogate without its partner";
  });
  return false;
}

void list_lost_name(const store::Variable& variable, Sentences& lost) {
  const auto is_ascii = [](char16_t unit) { return unit < 0x80; };
  if (std::ranges::all_of(variable.name, is_ascii)) return;
  lost.add([&] {
    return label(variable.name, variable.guid) +
           ": the name goes beyond ASCII, and QEMU itself will take it for another one";
  });
}

nlohmann::ordered_json entry_of(const store::Variable& variable, const QemuOptions& options) {
  nlohmann::ordered_json entry{{keys[key_name], to_utf8(variable.name)},
                               {keys[key_guid], to_string(variable.guid)},
                               {keys[key_attributes], variable.attributes}};
  const bool omit_time = options.omit_zero_time && variable.time.is_zero();
  if (has_time_attribute(variable) && !omit_time) {
    const Key key = options.time_key == TimeKey::time ? key_time : key_timestamp;
    entry[keys[key]] = to_hex(variable.time.bytes);
  }
  entry[keys[key_data]] = to_hex(variable.data);
  return entry;
}

}  // namespace

Exported export_qemu(std::span<const store::Variable> variables, const QemuOptions& options) {
  Losses losses;
  auto entries = nlohmann::ordered_json::array();
  for (const store::Variable& variable : variables) {
    if (!fits_foreign(variable, losses.left_out) || !fits_name(variable, losses.left_out)) continue;
    list_lost_fields(variable, losses.parts);
    list_lost_name(variable, losses.parts);
    entries.push_back(entry_of(variable, options));
  }
  return {.bytes = json_text(schema, std::move(entries), 4),
          .left_out = losses.left_out.take(),
          .losses = losses.parts.take()};
}

Result<Imported> import_qemu(std::span<const std::byte> bytes) {
  Collector collector;
  const Status read =
      read_json_document(bytes, schema, collector.losses(), [&](Entry& entry) -> Status {
        store::Variable variable = variable_of(entry);
        if (entry.has(key_digest)) {
          if (entry.hex(key_digest).size() != 32) {
            entry.fail(key_digest, "expected 64 hexadecimal digits");
          }
          collector.losses().parts.add([&] {
            return entry.place() +
                   ".digest: a store has no place for its signer's digest, left out";
          });
        }
        if (auto status = entry.status(); !status) return status;
        return collector.add_foreign(entry.place(), std::move(variable));
      });
  if (!read) return tl::unexpected(read.error());
  return collector.take();
}

}  // namespace efistore::exchange
