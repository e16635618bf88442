// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "efistore/flash/device.hpp"
#include "efistore/variable/services.hpp"

namespace efistore::tools {

/// Keys in the order in which they are documented.
using Json = nlohmann::ordered_json;

/// Prints `value`, indented, to standard output. What is no UTF-8 is replaced by U+FFFD.
void print_json(const Json& value);

/// A name's bytes, little-endian, without NUL.
std::string name_in_hex(std::u16string_view name);

/// {"name","guid","attributes","attribute_names","size"} and "name_utf16" (hexadecimal,
/// little-endian) for a name that JSON's strings cannot carry.
Json variable_json(const variable::VariableView& view);

/// Adds "data" and, for a variable that has one, "time".
void add_data(Json& variable, const variable::VariableView& view);

/// {"offset","size"}
Json range_json(const flash::Range& range);

}  // namespace efistore::tools
