// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "options.hpp"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdlib>
#include <istream>
#include <memory>
#include <sstream>
#include <string_view>

#include "common/locator.hpp"

namespace efistore::daemon {

namespace {

using tools::ExitCode;

constexpr const char* description =
    "Serves a UEFI variable store to programs, to efivarfs-shim and, through the kernel module, to "
    "the kernel's own efivarfs.";

constexpr const char* footer =
    R"(A store S is an image file, /dev/mtdN, or mtd:NAME.
A permission is WHO=RIGHTS: user:NAME, group:NAME or any; all, none, or some of
read,write,lock,update. root and the daemon's own user may do everything; without
--allow all others may read.
On SIGHUP the permissions are read again from the configuration file.

Examples:
  efistored --store mtd:uefi-vars --kmod
  efistored --store vars.fd --socket run/efistored.sock --allow group:wheel=all)";

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blank = " \t\r";
  const std::size_t first = text.find_first_not_of(blank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

/// NAME=VALUE lines. CLI11's own format takes values apart at commas and blanks, which rights and
/// paths have, and drops what an option that was given before is given farther down.
class ConfigFile final : public CLI::Config {
 public:
  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return {}; }

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    std::vector<CLI::ConfigItem> lines;
    for (std::string line; std::getline(input, line);) {
      const std::string_view text = trimmed(line);
      if (text.empty() || text.front() == '#') continue;
      const std::size_t equals = text.find('=');
      const std::string name(trimmed(text.substr(0, equals)));
      std::string_view value =
          equals == std::string_view::npos ? "true" : trimmed(text.substr(equals + 1));
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
        value = value.substr(1, value.size() - 2);
      }
      auto item = std::ranges::find(lines, name, &CLI::ConfigItem::name);
      if (item == lines.end()) item = lines.insert(lines.end(), {.parents = {}, .name = name});
      item->inputs.emplace_back(value);
    }
    return lines;
  }
};

/// What the parser wrote for help or version.
EarlyExit explain(CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream out;
  std::ostringstream ignored;
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
    app.exit(error, out, ignored);
    return {ExitCode::success, out.str()};
  }
  const bool file = dynamic_cast<const CLI::FileError*>(&error) != nullptr ||
                    dynamic_cast<const CLI::ConfigError*>(&error) != nullptr;
  return {file ? ExitCode::failure : ExitCode::usage, error.what()};
}

}  // namespace

tl::expected<Options, EarlyExit> parse_command_line(int argc, const char* const* argv) {
  Options options;
  std::vector<std::string> allow;
  std::string phase = "runtime";
  CLI::App app(description, "efistored");
  app.footer(footer);
  app.set_version_flag("--version", fmt::format("efistored {}", EFISTORE_VERSION));
  CLI::Option* const config =
      app.set_config("--config", "", "Read options from FILE, which has NAME=VALUE lines")
          ->type_name("FILE");
  app.config_formatter(std::make_shared<ConfigFile>());
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.add_option("--store", options.store, "The store to serve; $EFISTORE without it")
      ->type_name("S");
  app.add_option("--socket", options.socket,
                 fmt::format("Listen at PATH ({})", tools::daemon_socket))
      ->type_name("PATH");
  app.add_flag("--kmod", options.kmod, "Serve the kernel module, too");
  app.add_option("--module-node", options.module_node, "The module's node for --kmod")
      ->type_name("NODE")
      ->capture_default_str();
  app.add_option("--firmware", options.firmware_folder,
                 "Show the firmware resources that DIR describes in the module's ESRT")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_flag("--read-only", options.read_only, "Change nothing");
  app.add_option("--phase", phase, "boot: stay before ExitBootServices until it is signalled")
      ->check(CLI::IsMember({"boot", "runtime"}))
      ->capture_default_str();
  app.add_option("--allow", allow, "Give a right to a user, a group or any")
      ->type_name("WHO=RIGHTS")
      ->take_all();
  app.add_option("--user", options.user, "Become NAME once flash and sockets are open")
      ->type_name("NAME");
  app.add_option("--capture", options.capture, "Append the frames that are served to FILE (pcapng)")
      ->type_name("FILE");
  app.add_option("--capsules", options.capsule_folder, "Take capsules, and keep them in DIR")
      ->type_name("DIR");
  app.add_option("--max-variable-size", options.max_variable_size_bytes,
                 "The largest variable, with its header and name")
      ->type_name("BYTES");
  app.add_option("--hardware-error-storage", options.hardware_error_storage_bytes,
                 "Space for hardware-error records")
      ->type_name("BYTES");
  CLI::Option* const budget =
      app.add_option("--budget", options.budget_bytes_per_hour,
                     "What each user may write an hour; more is refused (0: no limit)")
          ->type_name("BYTES");
  app.add_option("--burst", options.burst_bytes,
                 "What each user may write at once before that; without it, an hour's")
      ->type_name("BYTES")
      ->needs(budget);
  app.add_option("--policy", options.policy_files,
                 "Enforce the policies in FILE, EDK2's entries, besides those beside the store")
      ->type_name("FILE")
      ->take_all();
  app.add_option("--idle", options.idle_seconds,
                 "Compact, if that is worth it, after so many quiet seconds; 0: never")
      ->type_name("SECONDS")
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return tl::unexpected(explain(app, error));
  }
  if (config->count() != 0) options.config = config->as<std::string>();
  if (options.store.empty()) {
    if (const char* const environment = std::getenv("EFISTORE")) options.store = environment;
  }
  if (options.store.empty()) {
    return tl::unexpected(EarlyExit{ExitCode::usage, "no store: give --store or set $EFISTORE"});
  }
  options.boot_phase = phase == "boot";
  for (const std::string& text : allow) {
    const auto permission = parse_permission(text);
    if (!permission) {
      return tl::unexpected(EarlyExit{permission.error().code, permission.error().message});
    }
    options.permissions.push_back(*permission);
  }
  return options;
}

}  // namespace efistore::daemon
