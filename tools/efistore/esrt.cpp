// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// esrt: the firmware resources and their last update.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <memory>

#include "common/escape.hpp"
#include "common/file_io.hpp"
#include "firmware.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer = R"(Examples:
  efistore --store mtd:uefi-vars esrt
  efistore --store mtd:uefi-vars esrt --json)";

constexpr std::array type_names{"unknown", "system", "device", "driver"};

Outcome<ExitCode> run_esrt(const GlobalOptions& global, const FirmwareOptions& options) {
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  auto firmware = Firmware::open(*locator, options, flash::OpenMode::read_only);
  if (!firmware) return tl::unexpected(std::move(firmware).error());
  const auto entries = (*firmware)->updater().esrt();
  if (!entries) return fail_with(entries.error());
  Json list = Json::array();
  for (const capsule::EsrtEntry& entry : *entries) {
    const std::string_view type =
        entry.fw_type < type_names.size() ? type_names[entry.fw_type] : "unknown";
    list.push_back({{"fw_class", to_string(entry.fw_class)},
                    {"fw_type", type},
                    {"fw_version", entry.version},
                    {"lowest_supported_fw_version", entry.lowest_supported_version},
                    {"capsule_flags", entry.capsule_flags},
                    {"last_attempt_version", entry.last_attempt_version},
                    {"last_attempt_status", static_cast<std::uint32_t>(entry.last_attempt_status)},
                    {"last_attempt_status_name", capsule::to_string(entry.last_attempt_status)}});
    if (global.json) continue;
    print(fmt::format("{} {:<7} version {:#x}, lowest supported {:#x}, last attempt {:#x}: {}\n",
                      to_string(entry.fw_class), type, entry.version,
                      entry.lowest_supported_version, entry.last_attempt_version,
                      capsule::to_string(entry.last_attempt_status)));
  }
  if (global.json) print_json(Json{{"entries", std::move(list)}});
  return ExitCode::success;
}

}  // namespace

void add_esrt(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("esrt", "List the firmware resources");
  command->footer(footer);
  auto options = std::make_shared<FirmwareOptions>();
  options->add_to(*command);
  command->callback([&action, options] {
    action = [options](const GlobalOptions& global) { return run_esrt(global, *options); };
  });
}

}  // namespace efistore::tools
