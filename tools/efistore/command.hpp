// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The commands, and what they share.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/store/variable_store.hpp"
#include "efistore/variable/variable_id.hpp"

#include "common/locator.hpp"
#include "common/outcome.hpp"
#include "common/session.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): the name is CLI11's
class App;
}

namespace efistore::tools {

inline constexpr std::string_view program_name = "efistore";

/// The options that every command takes.
struct GlobalOptions {
  std::optional<std::string> store;
  bool json = false;

  Outcome<std::string> locator() const { return choose_locator(process_sources(store)); }
};

/// What the command line asks for, once it is understood.
using Action = std::function<Outcome<ExitCode>(const GlobalOptions&)>;

/// Each adds its subcommand to `app`, which sets `action` when it is the one that is called.
void add_apply(CLI::App& app, Action& action);
void add_capsule(CLI::App& app, Action& action);
void add_check(CLI::App& app, Action& action);
void add_create(CLI::App& app, Action& action);
void add_delete(CLI::App& app, Action& action);
void add_esrt(CLI::App& app, Action& action);
void add_export(CLI::App& app, Action& action);
void add_get(CLI::App& app, Action& action);
void add_import(CLI::App& app, Action& action);
void add_info(CLI::App& app, Action& action);
void add_list(CLI::App& app, Action& action);
void add_map(CLI::App& app, Action& action);
void add_policy(CLI::App& app, Action& action);
void add_reclaim(CLI::App& app, Action& action);
void add_secureboot(CLI::App& app, Action& action);
void add_replay(CLI::App& app, Action& action);
void add_set(CLI::App& app, Action& action);
void add_watch(CLI::App& app, Action& action);

/// NAME-GUID, or NAME of the global namespace; anything else is wrong usage.
Outcome<variable::VariableId> variable_from_argument(const std::string& argument);

/// Says each of `messages` in a line of its own on standard error, with `prefix`.
void print_each(std::string_view prefix, const std::vector<std::string>& messages);

/// Says on standard error that the store is damaged, if it is.
void warn_of_damage(const std::string& locator, const store::VariableStore& store);
/// The same of a store that a daemon may have. Fails if nobody answers.
Outcome<void> warn_of_damage(const std::string& locator, Session& session);

/// The variable as the commands show it; valid as long as both are.
variable::VariableView view_of(const variable::VariableId& id, const runtime::Variable& variable);

}  // namespace efistore::tools
