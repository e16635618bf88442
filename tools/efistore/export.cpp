// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "efistore/exchange/exchange.hpp"

#include "command.hpp"
#include "common/file_io.hpp"
#include "json.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer =
    R"(Formats: json carries everything; qemu is the file of QEMU's uefi-vars devices; ubootefi
is U-Boot's ubootefi.var; image is the volume's bytes as they are. What a format cannot carry
is listed on standard error.

Examples:
  efistore --store mtd:uefi-vars export --format image -o backup.fd
  efistore --store vars.fd export --format qemu -o uefi-vars.json
  efistore --store vars.fd export --format json | jq .)";

struct ExportOptions {
  std::string format;
  std::optional<std::string> output;
};

Outcome<std::vector<std::byte>> read_volume(const std::string& locator) {
  auto device = open_flash(locator, flash::OpenMode::read_only);
  if (!device) return tl::unexpected(std::move(device).error());
  const auto layout = store::detect_layout(**device);
  if (!layout) return fail_with(layout.error());
  std::vector<std::byte> volume(layout->volume_size_bytes);
  if (auto done = (*device)->read(0, volume); !done) return fail_with(done.error());
  return volume;
}

Outcome<exchange::Exported> export_variables(const std::string& locator, const std::string& format,
                                             std::size_t& count) {
  const auto opened = open_store(locator, flash::OpenMode::read_only);
  if (!opened) return tl::unexpected(opened.error());
  warn_of_damage(locator, *opened);
  std::vector<store::Variable> variables;
  for (const store::Record* record = opened->first(); record != nullptr;
       record = opened->next(*record)) {
    variables.push_back(record->to_variable());
  }
  count = variables.size();
  if (format == "json") return exchange::export_json(variables);
  if (format == "qemu") return exchange::export_qemu(variables);
  return exchange::export_ubootefi(variables);
}

Outcome<ExitCode> run_export(const GlobalOptions& global, const ExportOptions& options) {
  if (global.json && !options.output) {
    return fail_usage("export --json: the report would be mixed with the data; add -o FILE");
  }
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  if (options.output) {
    if (auto safe = check_output(*locator, *options.output); !safe) {
      return tl::unexpected(safe.error());
    }
  }
  exchange::Exported exported;
  Json report{
      {"store", *locator}, {"format", options.format}, {"file", options.output.value_or("")}};
  if (options.format == "image") {
    auto volume = read_volume(*locator);
    if (!volume) return tl::unexpected(std::move(volume).error());
    exported.bytes = std::move(*volume);
  } else {
    std::size_t count = 0;
    auto result = export_variables(*locator, options.format, count);
    if (!result) return tl::unexpected(std::move(result).error());
    exported = std::move(*result);
    report["variables"] = count;
  }
  report["size"] = exported.bytes.size();
  report["not_exported"] = exported.left_out;
  report["exported_with_loss"] = exported.losses;

  const auto written = options.output ? write_file(*options.output, exported.bytes)
                                      : write_raw_output(exported.bytes);
  if (!written) return tl::unexpected(written.error());
  print_each("not exported: ", exported.left_out);
  print_each("exported with loss: ", exported.losses);
  if (global.json) print_json(report);
  return ExitCode::success;
}

}  // namespace

void add_export(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("export", "Write all variables in another format");
  const auto options = std::make_shared<ExportOptions>();
  command->add_option("--format", options->format, "The format")
      ->required()
      ->check(CLI::IsMember({"json", "qemu", "ubootefi", "image"}));
  command->add_option("-o,--output", options->output, "Instead of standard output")
      ->type_name("FILE");
  command->footer(footer);
  command->callback([options, &action] {
    action = [options](const GlobalOptions& global) { return run_export(global, *options); };
  });
}

}  // namespace efistore::tools
