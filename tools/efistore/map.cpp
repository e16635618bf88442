// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "efistore/base/bytes.hpp"

#include "command.hpp"
#include "common/escape.hpp"
#include "common/file_io.hpp"
#include "examined.hpp"
#include "json.hpp"
#include "map_svg.hpp"
#include "region_style.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer = R"(Examples:
  efistore --store vars.fd map
  efistore --store vars.fd map --svg map.svg)";

constexpr std::size_t bar_columns = 64;

/// `range` of the volume as a line of letters, each for an equal share of it. A letter stands for
/// what takes most of its share, free space only where there is nothing else.
std::string bar(const std::vector<store::Region>& regions, const flash::Range& range) {
  struct Share {
    std::uint64_t bytes = 0;
    char letter = style_of(store::RegionKind::free_space).letter;
  };
  std::array<Share, bar_columns> shares{};
  for (const store::Region& region : regions) {
    if (region.kind == store::RegionKind::free_space) continue;
    const std::uint64_t begin = std::max(region.where.offset, range.offset);
    const std::uint64_t end = std::min(region.where.end(), range.end());
    for (std::uint64_t at = begin; at < end;) {
      const std::uint64_t column = (at - range.offset) * bar_columns / range.size;
      // The first byte that belongs to the next column.
      const std::uint64_t column_end =
          range.offset + ((column + 1) * range.size + bar_columns - 1) / bar_columns;
      const std::uint64_t bytes = std::min(end, column_end) - at;
      Share& share = shares.at(column);
      if (bytes > share.bytes) share = {bytes, style_of(region.kind).letter};
      at += bytes;
    }
  }
  std::string line;
  for (const Share& share : shares) line += share.letter;
  return line;
}

std::string bar_line(std::string_view title, const store::Examination& examination,
                     const flash::Range& range) {
  return fmt::format("{:<10}[{}]\n", title, bar(examination.regions, range));
}

void print_as_text(const std::string& locator, const store::Examination& examination) {
  const store::Layout& layout = examination.layout;
  print(headline(locator, layout) + "\n\n");
  print(bar_line("volume", examination, {0, layout.volume_size_bytes}));
  print(bar_line("variables", examination, layout.variables));
  print("\n");
  for (const KindTotal& total : total_by_kind(examination.regions)) {
    print(fmt::format(
        "{}  {:<19}{:>10} bytes {:>6.2f} % {:>6} {}\n", style_of(total.kind).letter,
        store::to_string(total.kind), total.bytes,
        100.0 * static_cast<double>(total.bytes) / static_cast<double>(layout.volume_size_bytes),
        total.regions, total.regions == 1 ? "region" : "regions"));
  }
  print(fmt::format("\n{:<12}{:>9}  {}\n", "offset", "bytes", "what"));
  for (const store::Region& region : examination.regions) {
    print(fmt::format("{:#010x}  {:>9}  {}{}{}\n", region.where.offset, region.where.size,
                      store::to_string(region.kind), region.label.empty() ? "" : "  ",
                      escape(region.label, EscapeStyle::line)));
  }
}

/// Runs of blocks that were erased equally often.
void print_wear(const flash::WearCounts& wear) {
  print("\nerases    blocks\n");
  for (std::size_t first = 0; first < wear.erases.size();) {
    std::size_t end = first + 1;
    while (end < wear.erases.size() && wear.erases[end] == wear.erases[first]) ++end;
    print(fmt::format(
        "{:>6}    {}\n", wear.erases[first],
        end - first == 1 ? fmt::format("{}", first) : fmt::format("{} to {}", first, end - 1)));
    first = end;
  }
}

void print_as_json(const std::string& locator, const store::Examination& examination,
                   const std::optional<flash::WearCounts>& wear) {
  Json regions = Json::array();
  for (const store::Region& region : examination.regions) {
    Json json{{"kind", store::to_string(region.kind)},
              {"offset", region.where.offset},
              {"size", region.where.size}};
    if (!region.label.empty()) json["label"] = region.label;
    regions.push_back(std::move(json));
  }
  print_json(Json{{"store", locator},
                  {"layout", examination.layout.name()},
                  {"volume_size", examination.layout.volume_size_bytes},
                  {"erase_counts", wear ? Json(wear->erases) : Json(nullptr)},
                  {"regions", std::move(regions)}});
}

Outcome<ExitCode> run_map(const GlobalOptions& global, const std::optional<std::string>& picture) {
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  if (picture) {
    if (auto safe = check_output(*locator, *picture); !safe) return tl::unexpected(safe.error());
  }
  const auto examined = examine_store(*locator);
  if (!examined) return tl::unexpected(examined.error());
  const store::Examination& examination = examined->examination;
  std::optional<flash::WearCounts> wear;
  if (auto counts = wear_of(*locator, *examined->device)) wear = std::move(*counts);
  if (picture) {
    const std::string svg = draw_map(headline(*locator, examination.layout), examination, wear);
    if (auto done = write_file(*picture, as_bytes(svg)); !done) return tl::unexpected(done.error());
  }
  if (global.json) {
    print_as_json(*locator, examination, wear);
  } else if (!picture) {
    print_as_text(*locator, examination);
    if (wear) print_wear(*wear);
  }
  return ExitCode::success;
}

}  // namespace

void add_map(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("map", "Show what lies where in the volume");
  const auto picture = std::make_shared<std::optional<std::string>>();
  command->add_option("--svg", *picture, "Draw a picture instead of printing a table")
      ->type_name("FILE");
  command->footer(footer);
  command->callback([picture, &action] {
    action = [picture](const GlobalOptions& global) { return run_map(global, *picture); };
  });
}

}  // namespace efistore::tools
