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

namespace {

void warn_if_damaged(const std::string& locator, bool damaged) {
  if (!damaged) return;
  print_message(program_name,
                fmt::format("warning: {} is damaged, so that it can be read only; `efistore check` "
                            "has the details",
                            locator));
}

}  // namespace

void warn_of_damage(const std::string& locator, const store::VariableStore& store) {
  warn_if_damaged(locator, store.report().damaged);
}

Outcome<void> warn_of_damage(const std::string& locator, Session& session) {
  const auto info = session.client().store_info();
  if (!info) return fail_with(locator, info.error());
  warn_if_damaged(locator, info->damaged);
  return {};
}

variable::VariableView view_of(const variable::VariableId& id, const runtime::Variable& variable) {
  return {.name = id.name,
          .guid = id.guid,
          .attributes = variable.attributes,
          .data = variable.data,
          .time = variable.time};
}

}  // namespace efistore::tools
