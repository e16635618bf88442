// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "efistore/base/guid.hpp"

namespace efistore::variable {

/// A variable's name and GUID.
struct VariableId {
  std::u16string name;
  Guid guid;

  friend auto operator<=>(const VariableId&, const VariableId&) = default;
};

/// "Boot0000-8be4df61-93ca-11d2-aa0d-00e098032b8c", as the tools print and take it. A lone
/// surrogate is written as generalised UTF-8.
std::string to_string(const VariableId& id);
std::string to_string(std::u16string_view name, const Guid& guid);

/// The inverse; "NAME" alone is in the global namespace. None for an empty name, for text that is
/// not UTF-8 and for a name with a NUL.
std::optional<VariableId> parse_variable_id(std::string_view text);

}  // namespace efistore::variable
