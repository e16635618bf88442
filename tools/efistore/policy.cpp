// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// policy: the rules that are kept beside a store for who may change which variables.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <limits>
#include <memory>
#include <vector>

#include "efistore/base/attributes.hpp"
#include "efistore/base/ucs2.hpp"

#include "command.hpp"
#include "common/escape.hpp"
#include "common/file_io.hpp"
#include "common/policies.hpp"
#include "json.hpp"
#include "policy_text.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer =
    R"(Policies are kept in a file beside the store. Whoever changes variables through SetVariable (set,
delete, a mount) has to keep to them: sizes and attributes, or EFI_INVALID_PARAMETER, and locks, or
EFI_WRITE_PROTECTED.

Examples:
  efistore --store vars.fd policy list
  efistore --store vars.fd policy register 'Boot####' --lock on-create
  efistore --store vars.fd policy lock
`efistore policy COMMAND --help` has the options of each.)";

constexpr const char* list_footer = R"(Examples:
  efistore --store vars.fd policy list
  efistore --store mtd:uefi-vars policy list --json)";

constexpr const char* register_footer =
    R"(In NAME each # stands for one hexadecimal digit; * is all variables of a namespace that have no
policy of their own. Of several policies for a variable the one with the fewest # applies.

Examples:
  efistore --store vars.fd policy register Serial-12345678-1234-1234-1234-123456789abc --lock now
  efistore --store vars.fd policy register 'Boot####' --max 4K --must nv,bs,rt
  efistore --store vars.fd policy register '*-12345678-1234-1234-1234-123456789abc' --cant ap
  efistore --store vars.fd policy register A --lock Sealed-12345678-1234-1234-1234-123456789abc=1
  efistore --store vars.fd policy register -f entry.bin)";

constexpr const char* lock_footer = R"(Examples:
  efistore --store vars.fd policy lock)";

/// The policies of a store, and the store, which is held open as long as they are worked with.
struct Kept {
  store::VariableStore store;
  std::filesystem::path path;
  variable::PolicyFile file;
};

/// Opened for writing, nobody else has the store; but nothing in it is changed.
Outcome<Kept> open_kept(const std::string& locator, flash::OpenMode mode) {
  auto device = open_flash(locator, mode);
  if (!device) return tl::unexpected(std::move(device).error());
  auto opened = open_store_on(locator, std::move(*device), flash::OpenMode::read_only);
  if (!opened) return tl::unexpected(std::move(opened).error());
  auto path = policy_path(locator, opened->device());
  auto file = load_policy_file(path);
  if (!file) return fail_with(file.error());
  return Kept{.store = std::move(*opened), .path = std::move(path), .file = std::move(*file)};
}

Json name_json(std::u16string_view name, const Guid& guid) {
  Json json;
  json["name"] = to_utf8(name);
  if (has_lone_surrogate(name)) json["name_utf16"] = name_in_hex(name);
  json["guid"] = to_string(guid);
  return json;
}

Json policy_json(const variable::Policy& policy) {
  Json json = policy.name ? name_json(*policy.name, policy.guid)
                          : Json{{"name", nullptr}, {"guid", to_string(policy.guid)}};
  json["min_size"] = policy.min_size_bytes;
  json["max_size"] = policy.max_size_bytes == variable::Policy::no_max_size
                         ? Json(nullptr)
                         : Json(policy.max_size_bytes);
  json["must_have"] = policy.attributes_must_have;
  json["must_have_names"] = attributes_to_string(policy.attributes_must_have);
  json["cant_have"] = policy.attributes_cant_have;
  json["cant_have_names"] = attributes_to_string(policy.attributes_cant_have);
  json["lock"] = lock_name(policy.lock);
  if (policy.state) {
    json["state"] = name_json(policy.state->name, policy.state->guid);
    json["state"]["value"] = policy.state->value;
  }
  return json;
}

struct ShownPolicies {
  std::optional<std::string> file;
  bool locked = false;
  std::vector<variable::Policy> policies;
};

Outcome<ShownPolicies> policies_kept(const std::string& locator) {
  auto kept = open_kept(locator, flash::OpenMode::read_only);
  if (!kept) return tl::unexpected(std::move(kept).error());
  const auto locked = is_locked(kept->file);
  if (!locked) return fail_with(locked.error());
  return ShownPolicies{kept->path.string(), *locked, std::move(kept->file.policies)};
}

/// Those that it enforces.
Outcome<ShownPolicies> policies_of_daemon(const std::string& locator) {
  auto session = Session::open(locator, flash::OpenMode::read_only);
  if (!session) return tl::unexpected(std::move(session).error());
  const auto state = session->client().state();
  if (!state) return fail_with(locator, state.error());
  const auto dump = session->client().dump_policies();
  if (!dump) return fail_with(locator, dump.error());
  auto policies = variable::read_policies(*dump);
  if (!policies) return fail_with(policies.error());
  return ShownPolicies{std::nullopt, state->policies_locked, std::move(*policies)};
}

Outcome<ExitCode> register_with_daemon(const std::string& locator,
                                       const std::vector<variable::Policy>& policies) {
  auto session = Session::open(locator, flash::OpenMode::read_write);
  if (!session) return tl::unexpected(std::move(session).error());
  for (const auto& policy : policies) {
    if (auto done = session->client().register_policy(policy); !done) {
      return fail_with(to_string(policy), done.error());
    }
  }
  return ExitCode::success;
}

Outcome<ExitCode> run_policy_list(const GlobalOptions& global) {
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  const auto shown = is_remote(*locator) ? policies_of_daemon(*locator) : policies_kept(*locator);
  if (!shown) return tl::unexpected(shown.error());
  if (global.json) {
    Json policies = Json::array();
    for (const auto& policy : shown->policies) policies.push_back(policy_json(policy));
    print_json(Json{{"store", *locator},
                    {"file", shown->file ? Json(*shown->file) : Json(nullptr)},
                    {"locked", shown->locked},
                    {"policies", std::move(policies)}});
    return ExitCode::success;
  }
  if (shown->locked) print("(locked until the next boot)\n");
  for (const auto& policy : shown->policies) {
    print(escape(policy_line(policy), EscapeStyle::line) + "\n");
  }
  return ExitCode::success;
}

/// What the command line asks to register.
Outcome<std::vector<variable::Policy>> policies_from_options(const PolicyOptions& options) {
  if (!options.file) {
    auto policy = policy_from_options(options);
    if (!policy) return tl::unexpected(std::move(policy).error());
    return std::vector{std::move(*policy)};
  }
  const auto bytes = read_input(*options.file, variable::max_policy_table_size_bytes);
  if (!bytes) return tl::unexpected(bytes.error());
  const std::string name = *options.file == "-" ? "standard input" : *options.file;
  auto policies = variable::read_policies(*bytes);
  if (!policies) {
    return fail_with(name, {EfiStatus::invalid_parameter, std::move(policies).error().message});
  }
  if (policies->empty()) return fail_with(name + ": no bytes, expected a policy's entry");
  return std::move(*policies);
}

Outcome<ExitCode> run_policy_register(const GlobalOptions& global, const PolicyOptions& options) {
  // Before the store is opened, which others may use as long as a pipe makes us wait.
  auto policies = policies_from_options(options);
  if (!policies) return tl::unexpected(std::move(policies).error());
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  if (is_remote(*locator)) return register_with_daemon(*locator, *policies);
  auto kept = open_kept(*locator, flash::OpenMode::read_write);
  if (!kept) return tl::unexpected(std::move(kept).error());
  const auto locked = is_locked(kept->file);
  if (!locked) return fail_with(locked.error());

  variable::PolicyTable table;
  for (const auto& present : kept->file.policies) {
    if (auto done = table.register_policy(present); !done) {
      return fail_with(kept->path.string(), done.error());
    }
  }
  if (*locked) static_cast<void>(table.lock());
  for (auto& policy : *policies) {
    const std::string name = to_string(policy);
    if (auto done = table.register_policy(policy); !done) return fail_with(name, done.error());
    kept->file.policies.push_back(std::move(policy));
  }
  if (auto saved = save_policy_file(kept->path, kept->file); !saved) {
    return tl::unexpected(std::move(saved).error());
  }
  return ExitCode::success;
}

Outcome<ExitCode> run_policy_lock(const GlobalOptions& global) {
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  if (is_remote(*locator)) {
    auto session = Session::open(*locator, flash::OpenMode::read_write);
    if (!session) return tl::unexpected(std::move(session).error());
    if (auto done = session->client().lock_policies(); !done) {
      return fail_with(*locator, done.error());
    }
    return ExitCode::success;
  }
  auto kept = open_kept(*locator, flash::OpenMode::read_write);
  if (!kept) return tl::unexpected(std::move(kept).error());
  const auto boot = read_boot_id();
  if (!boot) return fail_with(boot.error());
  if (kept->file.locked_in_boot == *boot) {
    return fail_with(*locator, {EfiStatus::write_protected, "policies are locked already"});
  }
  kept->file.locked_in_boot = *boot;
  if (auto saved = save_policy_file(kept->path, kept->file); !saved) {
    return tl::unexpected(std::move(saved).error());
  }
  return ExitCode::success;
}

void add_policy_register(CLI::App& policy, Action& action) {
  auto* const command = policy.add_subcommand("register", "Add a policy");
  const auto options = std::make_shared<PolicyOptions>();
  auto* const name = command->add_option(
      "NAME", options->name, "NAME-GUID or *-GUID; without a GUID in the global namespace");
  const auto add = [&](const char* flags, std::optional<std::string>& value, const char* help,
                       const char* type) {
    return command->add_option(flags, value, help)->type_name(type);
  };
  auto* const file =
      add("-f,--file", options->file,
          "Take the bytes of EDK2's entries from a file, - for standard input", "FILE");
  name->excludes(file);
  for (auto* option :
       {add("--min", options->min, "The least bytes of data", "N"),
        add("--max", options->max, "The most bytes of data", "N"),
        add("--must", options->must, "Attributes that a write must have", "ATTRS"),
        add("--cant", options->cant, "Attributes that a write must not have", "ATTRS"),
        add("--lock", options->lock,
            "When it can be neither changed nor deleted: none, now, on-create (once it exists), or "
            "NAME-GUID=VALUE (while that variable is one byte of VALUE)",
            "WHEN")}) {
    option->excludes(file);
  }
  command->footer(register_footer);
  command->callback([options, &action] {
    action = [options](const GlobalOptions& global) {
      return run_policy_register(global, *options);
    };
  });
}

}  // namespace

void add_policy(CLI::App& app, Action& action) {
  auto* const command =
      app.add_subcommand("policy", "List, add and lock rules for changing variables");
  command->require_subcommand(1);
  command->get_formatter()->label("SUBCOMMAND", "COMMAND");
  command->footer(footer);

  auto* const list = command->add_subcommand("list", "List the policies");
  list->footer(list_footer);
  list->callback([&action] { action = run_policy_list; });

  add_policy_register(*command, action);

  auto* const lock = command->add_subcommand("lock", "Let no policy be added until the next boot");
  lock->footer(lock_footer);
  lock->callback([&action] { action = run_policy_lock; });
}

}  // namespace efistore::tools
