// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "json_text.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "efistore/base/bytes.hpp"

namespace efistore::exchange {

std::vector<std::byte> json_text(const JsonSchema& schema, nlohmann::ordered_json entries,
                                 int indent) {
  nlohmann::ordered_json document;
  document[schema.version_key] = schema.version;
  document["variables"] = std::move(entries);
  // Every string in it is valid UTF-8; `replace` only keeps dump() from being able to throw.
  const std::string text =
      document.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  const auto raw = as_bytes(text);
  return {raw.begin(), raw.end()};
}

}  // namespace efistore::exchange
