// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <algorithm>
#include <utility>
#include <vector>

#include "command.hpp"
#include "common/escape.hpp"
#include "common/file_io.hpp"
#include "examined.hpp"
#include "json.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer =
    R"(Nothing is changed. Exit code 0: nothing is lost (notes and warnings are reported all the
same); 1: the store is damaged, blank, or none at all.

Examples:
  efistore --store vars.fd check
  efistore --store mtd:uefi-vars check --json)";

/// What opening the store, as the other commands do, comes to.
struct OpenTrial {
  std::string error;  ///< empty if it opened
  std::size_t variables = 0;
};

OpenTrial try_open(const std::string& locator, std::unique_ptr<flash::Device> device) {
  const auto services = open_services_on(locator, std::move(device), flash::OpenMode::read_only);
  if (!services) return {.error = services.error().message};
  return {.error = {}, .variables = services->store().usage().live_records};
}

void print_as_json(const std::string& locator, const store::Examination& examination,
                   const OpenTrial& trial, bool damaged) {
  Json findings = Json::array();
  for (const store::Finding& finding : examination.findings) {
    findings.push_back({{"severity", store::to_string(finding.severity)},
                        {"offset", finding.where.offset},
                        {"size", finding.where.size},
                        {"what", finding.what}});
  }
  Json json{{"store", locator},
            {"layout", examination.layout.name()},
            {"format", store::to_string(examination.layout.format)},
            {"damaged", damaged},
            {"health", damaged ? "damaged" : count_findings(examination).health()},
            {"findings", std::move(findings)}};
  if (trial.error.empty()) {
    json["variables"] = trial.variables;
  } else {
    json["open_error"] = trial.error;
  }
  print_json(json);
}

void print_as_text(const std::string& locator, const store::Examination& examination,
                   const OpenTrial& trial) {
  for (const store::Finding& finding : examination.findings) {
    print(fmt::format("{:<8} {:#09x}+{:#x}  {}\n", store::to_string(finding.severity),
                      finding.where.offset, finding.where.size,
                      escape(finding.what, EscapeStyle::line)));
  }
  const FindingCounts counts = count_findings(examination);
  print(fmt::format("{}: {}", headline(locator, examination.layout), counts.health()));
  if (!examination.findings.empty()) {
    print(fmt::format(" (notes {}, warnings {}, damage {})", counts.notes, counts.warnings,
                      counts.damage));
  }
  print(trial.error.empty() ? fmt::format(", variables: {}\n", trial.variables)
                            : std::string("\n"));
}

Outcome<ExitCode> run_check(const GlobalOptions& global) {
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  auto examined = examine_store(*locator);
  if (!examined) return tl::unexpected(std::move(examined).error());
  store::Examination examination = std::move(examined->examination);
  std::ranges::stable_sort(examination.findings, std::ranges::greater{}, &store::Finding::severity);
  const OpenTrial trial = try_open(*locator, std::move(examined->device));
  const bool damaged = examination.damaged() || !trial.error.empty();
  if (global.json) {
    print_as_json(*locator, examination, trial, damaged);
  } else {
    print_as_text(*locator, examination, trial);
  }
  if (!trial.error.empty()) return fail_with(trial.error);
  if (damaged) {
    return fail_with(
        fmt::format("{} is damaged ({})", *locator, examination.findings.front().what));
  }
  return ExitCode::success;
}

}  // namespace

void add_check(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("check", "Examine every byte of the volume");
  command->footer(footer);
  command->callback([&action] { action = run_check; });
}

}  // namespace efistore::tools
