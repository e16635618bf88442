// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The efistore command: reads the command line and runs the command that it names.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstddef>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "command.hpp"
#include "common/file_io.hpp"
#include "common/locator.hpp"

namespace efistore::tools {
namespace {

constexpr const char* description =
    "UEFI variables in the flash of boards that have no UEFI: EDK2's variable store, from Linux.";

constexpr const char* footer =
    R"(A store S is an image file, /dev/mtdN, mtd:NAME (the MTD device or partition of that
name), unix:PATH (a daemon's socket) or /dev/efistore (the kernel module). Without --store it is $EFISTORE, else /dev/efistore or
unix:/run/efistore/efistored.sock, whichever exists.

Examples:
  efistore --store vars.fd create
  efistore --store vars.fd list -l
  efistore --store vars.fd set Timeout --data 0500
  EFISTORE=mtd:uefi-vars efistore info
`efistore COMMAND --help` has the options and examples of a command.)";

/// Turns what the command line parser threw into an exit code. Help and version go to standard
/// output, wrong usage to standard error as one line.
ExitCode report_parse(CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
    app.exit(error);
    return ExitCode::success;
  }
  std::string message = error.what();
  const auto chosen = app.get_subcommands();
  CLI::App& command = chosen.empty() ? app : *chosen.front();
  // Groups of options are subcommands without a name.
  const bool has_commands =
      !command.get_subcommands([](CLI::App* each) { return !each->get_name().empty(); }).empty();
  if (has_commands && command.get_subcommands().empty()) {
    const std::string of = chosen.empty() ? "" : " of " + command.get_name();
    const std::string prefix = chosen.empty() ? "" : command.get_name() + ": ";
    const std::string help =
        chosen.empty() ? "efistore --help" : fmt::format("efistore {} --help", command.get_name());
    // The parser finds fault with the missing command before it looks at what stands in its place.
    const std::vector<std::string> unknown = app.remaining(true);
    if (!unknown.empty()) {
      message = fmt::format("\"{}\" is neither a command{} nor an option; `{}` has them",
                            unknown.front(), of, help);
    } else if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
      message = fmt::format("{}a command is required; `{}` lists them", prefix, help);
    }
  }
  print_message(program_name, message);
  return ExitCode::usage;
}

/// "--store=" with nothing behind it: the parser would take the next word for the store, which is
/// the command more often than not.
bool has_empty_store(int argc, char** argv) {
  for (const std::string_view word : std::span(argv, static_cast<std::size_t>(argc))) {
    if (word == "--") return false;
    if (word == "--store=") return true;
  }
  return false;
}

ExitCode run(int argc, char** argv) {
  if (has_empty_store(argc, argv)) {
    print_message(program_name, choose_locator(process_sources(std::string())).error().message);
    return ExitCode::usage;
  }
  CLI::App app(description, std::string(program_name));
  GlobalOptions global;
  Action action;
  app.add_option("--store", global.store, "The store to work on")->type_name("S");
  app.add_flag("--json", global.json, "Print results as JSON");
  app.set_version_flag("--version", fmt::format("{} {}", program_name, EFISTORE_VERSION));
  app.footer(footer);
  app.get_formatter()->label("SUBCOMMAND", "COMMAND");
  app.group("Commands");  // the heading of those that inherit it
  app.require_subcommand(1);
  // Global options are taken behind the command, too.
  app.fallthrough();
  for (const auto add : {add_create, add_info, add_list, add_get, add_set, add_delete, add_check,
                         add_map, add_reclaim, add_export, add_import, add_apply, add_policy,
                         add_secureboot, add_capsule, add_esrt, add_watch, add_replay}) {
    add(app, action);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return report_parse(app, error);
  }

  auto outcome = action(global);
  if (auto flushed = flush_output(); !flushed && outcome) {
    outcome = tl::unexpected(flushed.error());
  }
  if (outcome) return *outcome;
  print_message(program_name, outcome.error().message);
  return outcome.error().code;
}

}  // namespace
}  // namespace efistore::tools

int main(int argc, char** argv) {
  using efistore::tools::ExitCode;
  try {
    return static_cast<int>(efistore::tools::run(argc, argv));
  } catch (const std::exception& error) {
    efistore::tools::print_message(efistore::tools::program_name, error.what());
    return static_cast<int>(ExitCode::failure);
  }
}
