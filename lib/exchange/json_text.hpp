// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "json_document.hpp"

namespace efistore::exchange {

/// The document of `entries` as text, indented by `indent` and with a final newline.
std::vector<std::byte> json_text(const JsonSchema& schema, nlohmann::ordered_json entries,
                                 int indent);

}  // namespace efistore::exchange
