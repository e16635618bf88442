// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <utility>

#include "efistore/base/attributes.hpp"

#include "command.hpp"
#include "common/escape.hpp"
#include "common/file_io.hpp"
#include "examined.hpp"
#include "info_remote.hpp"
#include "json.hpp"
#include "size.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer = R"(Examples:
  efistore --store vars.fd info
  efistore --store mtd:uefi-vars info --json)";

struct Information {
  std::string locator;
  std::string device_name;
  flash::Geometry geometry;
  store::Examination examination;
  /// Only of a store that could be opened.
  std::optional<variable::Services> services;
  /// Why it could not.
  std::string open_error;
  std::optional<flash::WearCounts> wear;
  std::string wear_error;
};

Json areas_json(const store::Layout& layout) {
  Json areas;
  for (const auto& [name, range] :
       {std::pair{"variables", layout.variables}, std::pair{"event_log", layout.event_log},
        std::pair{"ftw_working", layout.ftw_working}, std::pair{"ftw_spare", layout.ftw_spare}}) {
    areas[name] = range_json(range);
  }
  return areas;
}

Json space_json(const store::Usage& usage) {
  return Json{{"capacity", usage.capacity},
              {"live", usage.live},
              {"reclaimable", usage.used - usage.live},
              {"free", usage.free()}};
}

Outcome<variable::VariableInfo> query_limits(const Information& information) {
  auto limits = information.services->query(attributes::default_new);
  if (!limits) return fail_with(information.locator, limits.error());
  return *limits;
}

Outcome<void> print_as_json(const Information& information) {
  const store::Layout& layout = information.examination.layout;
  const FindingCounts counts = count_findings(information.examination);
  Json json{{"store", information.locator},
            {"device", information.device_name},
            {"device_size", information.geometry.size_bytes},
            {"erase_block_size", information.geometry.erase_block_size_bytes},
            {"layout", layout.name()},
            {"format", store::to_string(layout.format)},
            {"volume_size", layout.volume_size_bytes},
            {"block_size", layout.block_size_bytes},
            {"areas", areas_json(layout)},
            {"health", counts.health()},
            {"findings",
             {{"note", counts.notes}, {"warning", counts.warnings}, {"damage", counts.damage}}},
            {"ftw", store::to_string(information.examination.ftw)},
            {"erase_counts", nullptr}};
  if (information.wear) json["erase_counts"] = information.wear->erases;
  if (information.services) {
    const store::Usage& usage = information.services->store().usage();
    const auto limits = query_limits(information);
    if (!limits) return tl::unexpected(limits.error());
    json["variables"] = usage.live_records;
    json["dead_records"] = usage.dead_records;
    json["space"] = space_json(usage);
    json["limits"] = {{"maximum_storage_size", limits->maximum_storage_size},
                      {"remaining_storage_size", limits->remaining_storage_size},
                      {"maximum_variable_size", limits->maximum_variable_size}};
  } else {
    json["open_error"] = information.open_error;
  }
  print_json(json);
  return {};
}

std::string range_text(const flash::Range& range) {
  if (range.size == 0) return "none";
  return fmt::format("{} at {:#x}", format_size(range.size), range.offset);
}

void print_line(std::string_view key, std::string_view value) {
  print(fmt::format("{:<22}{}\n", key, value));
}

/// "12345 bytes (4.7 %)"
std::string share_text(std::uint64_t part, std::uint64_t whole) {
  const double percent =
      whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  return fmt::format("{} bytes ({:.1f} %)", part, percent);
}

std::string wear_text(const Information& information) {
  if (!information.wear) return "not known: " + escape(information.wear_error, EscapeStyle::line);
  const flash::WearCounts& wear = *information.wear;
  const std::size_t worst = wear.most_worn();
  return fmt::format("{} of {} blocks, at most {} (block {})", wear.total(), wear.erases.size(),
                     wear.erases[worst], worst);
}

void print_usage(const store::Usage& usage) {
  print_line("variables",
             fmt::format("{} (dead records: {})", usage.live_records, usage.dead_records));
  print_line("space for records", fmt::format("{} bytes", usage.capacity));
  print_line("  live", share_text(usage.live, usage.capacity));
  print_line("  reclaimable", share_text(usage.used - usage.live, usage.capacity));
  print_line("  free", share_text(usage.free(), usage.capacity));
}

Outcome<void> print_as_text(const Information& information) {
  const store::Layout& layout = information.examination.layout;
  const FindingCounts counts = count_findings(information.examination);
  print_line("store", escape(information.locator, EscapeStyle::line));
  print_line("device", fmt::format("{}, {}, erase blocks of {}",
                                   escape(information.device_name, EscapeStyle::line),
                                   format_size(information.geometry.size_bytes),
                                   format_size(information.geometry.erase_block_size_bytes)));
  print_line("layout", fmt::format("{}, {} in blocks of {}", layout.name(),
                                   format_size(layout.volume_size_bytes),
                                   format_size(layout.block_size_bytes)));
  print_line("format", store::to_string(layout.format));
  print_line("variables area", range_text(layout.variables));
  print_line("event log", range_text(layout.event_log));
  print_line("ftw working area", range_text(layout.ftw_working));
  print_line("ftw spare area", range_text(layout.ftw_spare));
  print_line("ftw state", store::to_string(information.examination.ftw));
  print_line("erase counts", wear_text(information));
  print_line("health", fmt::format("{} (notes {}, warnings {}, damage {})", counts.health(),
                                   counts.notes, counts.warnings, counts.damage));
  if (!information.services) {
    print_line("variables", "not known: " + escape(information.open_error, EscapeStyle::line));
    return {};
  }
  print_usage(information.services->store().usage());
  const auto limits = query_limits(information);
  if (!limits) return tl::unexpected(limits.error());
  print_line("largest variable", fmt::format("{} bytes", limits->maximum_variable_size));
  print_line("remaining storage", fmt::format("{} of {} bytes", limits->remaining_storage_size,
                                              limits->maximum_storage_size));
  return {};
}

Outcome<ExitCode> run_info(const GlobalOptions& global) {
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  if (is_remote(*locator)) return run_remote_info(*locator, global.json);
  auto examined = examine_store(*locator);
  if (!examined) return tl::unexpected(std::move(examined).error());
  Information information{.locator = *locator,
                          .device_name = examined->device->name(),
                          .geometry = examined->device->geometry(),
                          .examination = std::move(examined->examination),
                          .services = std::nullopt,
                          .open_error = {},
                          .wear = std::nullopt,
                          .wear_error = {}};
  if (auto wear = wear_of(*locator, *examined->device)) {
    information.wear = std::move(*wear);
  } else {
    information.wear_error =
        wear.error().code == Errc::not_found ? "none are kept" : wear.error().message;
  }
  auto services =
      open_services_on(*locator, std::move(examined->device), flash::OpenMode::read_only);
  if (services) {
    information.services.emplace(std::move(*services));
  } else {
    information.open_error = services.error().message;
  }
  const auto printed = global.json ? print_as_json(information) : print_as_text(information);
  if (!printed) return tl::unexpected(printed.error());
  return ExitCode::success;
}

}  // namespace

void add_info(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("info", "Show layout, health and free space");
  command->footer(footer);
  command->callback([&action] { action = run_info; });
}

}  // namespace efistore::tools
