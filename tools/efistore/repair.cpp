// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "repair.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "efistore/store/repair.hpp"
#include "efistore/variable/examine.hpp"

#include "common/escape.hpp"
#include "common/file_io.hpp"
#include "examined.hpp"
#include "json.hpp"

namespace efistore::tools {

namespace {

void print_as_json(const std::string& locator, const RepairRequest& request,
                   const store::RepairReport& report) {
  Json actions = Json::array();
  for (const store::RepairAction& action : report.actions) {
    actions.push_back({{"kind", store::to_string(action.kind)},
                       {"offset", action.where.offset},
                       {"size", action.where.size},
                       {"what", action.what}});
  }
  Json json{{"store", locator},
            {"layout", report.layout.name()},
            {"format", store::to_string(report.layout.format)},
            {"repaired", !report.actions.empty()},
            {"actions", std::move(actions)},
            {"damaged", report.after.damaged()},
            {"health", count_findings(report.after).health()},
            {"variables", report.variables}};
  if (!report.actions.empty()) json["kept"] = request.keep;
  print_json(json);
}

void print_as_text(const std::string& locator, const RepairRequest& request,
                   const store::RepairReport& report) {
  for (const store::RepairAction& action : report.actions) {
    print(fmt::format("{:<10} {:#09x}+{:#x}  {}\n", store::to_string(action.kind),
                      action.where.offset, action.where.size,
                      escape(action.what, EscapeStyle::line)));
  }
  if (report.actions.empty()) {
    print(fmt::format("{}: nothing needs repair, variables: {}\n", headline(locator, report.layout),
                      report.variables));
    return;
  }
  print(fmt::format("{}: repaired, {} now, variables: {}; the damaged image is in {}\n",
                    headline(locator, report.layout), count_findings(report.after).health(),
                    report.variables, escape(request.keep, EscapeStyle::line)));
}

}  // namespace

Outcome<ExitCode> run_repair(const std::string& locator, bool json, const RepairRequest& request) {
  if (!request.keep.empty()) {
    if (auto safe = check_output(locator, request.keep); !safe) return tl::unexpected(safe.error());
  }
  auto device = open_flash(locator, flash::OpenMode::read_write);
  if (!device) return tl::unexpected(std::move(device).error());
  std::optional<Failure> not_kept;
  auto keep = [&](std::span<const std::byte> image) -> Status {
    if (request.keep.empty()) {
      not_kept = Failure{ExitCode::usage, fmt::format("{} is damaged: --keep FILE is required, for "
                                                      "its image as it is now",
                                                      locator)};
    } else if (auto written = create_file(request.keep, image); !written) {
      not_kept = std::move(written).error();
    }
    if (not_kept) return fail(Errc::io, not_kept->message);
    return {};
  };
  const auto report = store::repair(**device, {.layout_name = request.layout,
                                               .take_swallowed = request.swallowed,
                                               .keep = std::move(keep)});
  if (not_kept) return tl::unexpected(std::move(*not_kept));
  if (!report) {
    std::string message = report.error().message;
    if (message.find(locator) == std::string::npos) message = locator + ": " + message;
    if (report.error().code == Errc::damaged && request.layout.empty()) message += " (--layout)";
    return fail_with(std::move(message));
  }
  if (json) {
    print_as_json(locator, request, *report);
  } else {
    print_as_text(locator, request, *report);
  }
  // What opens is healthy; the store is looked at as every command does.
  const auto opened = open_services_on(locator, std::move(*device), flash::OpenMode::read_only);
  if (!opened) return tl::unexpected(opened.error());
  auto findings = report->after.findings;
  std::ranges::move(variable::examine_variables(opened->store(), opened->limits()),
                    std::back_inserter(findings));
  const auto damage =
      std::ranges::find(findings, store::Severity::damage, &store::Finding::severity);
  if (damage == findings.end()) return ExitCode::success;
  return fail_with(fmt::format("{} is still damaged ({})", locator, damage->what));
}

}  // namespace efistore::tools
