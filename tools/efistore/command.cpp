// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "command.hpp"

#include <fmt/format.h>

namespace efistore::tools {

Outcome<variable::VariableId> variable_from_argument(const std::string& argument) {
  auto id = variable::parse_variable_id(argument);
  if (!id) {
    return fail_usage(
        fmt::format("\"{}\" names no variable: NAME-GUID or NAME was expected", argument));
  }
  return std::move(*id);
}

void print_each(std::string_view prefix, const std::vector<std::string>& messages) {
  for (const std::string& message : messages) {
    print_message(program_name, fmt::format("{}{}", prefix, message));
  }
}

void warn_of_damage(const std::string& locator, const store::VariableStore& store) {
  if (!store.report().damaged) return;
  print_message(program_name,
                fmt::format("warning: {} is damaged, so that it can be read only; `efistore check` "
                            "has the details",
                            locator));
}

}  // namespace efistore::tools
