// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "efistore/variable/examine.hpp"

#include "command.hpp"
#include "common/escape.hpp"
#include "common/file_io.hpp"
#include "examined.hpp"
#include "json.hpp"
#include "repair.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer =
    R"(Without --repair nothing is changed. Exit code 0: nothing is lost (notes and warnings are
reported all the same); 1: the store is damaged, blank, or none at all.

With --repair a damaged store is made whole with all variables that can be had. Its image is
saved first, as the new file FILE. Exit code 0: the store is healthy now.

Examples:
  efistore --store vars.fd check
  efistore --store mtd:uefi-vars check --json
  efistore --store vars.fd check --repair --keep damaged.fd)";

/// What opening the store, as the other commands do, comes to.
struct OpenTrial {
  std::string error;  ///< empty if it opened
  std::size_t variables = 0;
  /// What the variables themselves have; the bytes of the store are store::examine()'s.
  std::vector<store::Finding> findings{};
};

OpenTrial try_open(const std::string& locator, std::unique_ptr<flash::Device> device) {
  const auto services = open_services_on(locator, std::move(device), flash::OpenMode::read_only);
  if (!services) return {.error = services.error().message};
  return {.error = {},
          .variables = services->store().usage().live_records,
          .findings = variable::examine_variables(services->store(), services->limits())};
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
  OpenTrial trial = try_open(*locator, std::move(examined->device));
  std::ranges::move(trial.findings, std::back_inserter(examination.findings));
  std::ranges::stable_sort(examination.findings, std::ranges::greater{}, &store::Finding::severity);
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
  auto* const command =
      app.add_subcommand("check", "Examine every byte of the volume, and repair it");
  struct Arguments {
    bool repair = false;
    RepairRequest request;
  };
  const auto arguments = std::make_shared<Arguments>();
  auto* const repair =
      command->add_flag("--repair", arguments->repair, "Make a damaged store whole again");
  command
      ->add_option("--keep", arguments->request.keep,
                   "New file for the damaged image, saved before anything is written")
      ->type_name("FILE")
      ->needs(repair);
  command
      ->add_option("--layout", arguments->request.layout,
                   "The volume's layout, where damage leaves it open")
      ->check(CLI::IsMember({"ovmf-4m", "ovmf-2m", "aavmf", "custom"}))
      ->needs(repair);
  command
      ->add_flag("--swallowed", arguments->request.swallowed,
                 "Make variables of records that stand inside the data of others, too")
      ->needs(repair);
  command->footer(footer);
  command->callback([arguments, &action] {
    action = [arguments](const GlobalOptions& global) -> Outcome<ExitCode> {
      if (!arguments->repair) return run_check(global);
      const auto locator = global.locator();
      if (!locator) return tl::unexpected(locator.error());
      return run_repair(*locator, global.json, arguments->request);
    };
  });
}

}  // namespace efistore::tools
