// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "map_svg.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

#include "common/escape.hpp"
#include "region_style.hpp"
#include "size.hpp"
#include "wear_scale.hpp"

namespace efistore::tools {

namespace {

// All in pixels.
constexpr double page_width = 960;
constexpr double margin = 24;
constexpr double label_width = 84;
constexpr double bar_left = margin + label_width;
constexpr double bar_width = page_width - bar_left - margin;
constexpr double bar_height = 26;
constexpr double wear_height = 14;
constexpr double row_height = 16;
constexpr double row_gap = 3;
constexpr double legend_row_height = 20;
constexpr std::size_t legend_columns = 3;
/// Narrower than this, an area's name does not fit below it.
constexpr double narrowest_named_area = 60;
/// Narrower than this, an edge would hide its region.
constexpr double narrowest_edged_region = 3;
constexpr std::uint64_t most_rows = 20;
constexpr std::uint64_t smallest_row_bytes = 1024;
/// With more regions than this, neighbours of one kind are drawn as one.
constexpr std::size_t most_single_regions = 4000;

std::string xml_escape(std::string_view text) {
  std::string safe;
  for (const char c : escape(text, EscapeStyle::line)) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

std::vector<store::Region> merge_neighbours(const std::vector<store::Region>& regions) {
  std::vector<store::Region> merged;
  for (const store::Region& region : regions) {
    if (!merged.empty() && merged.back().kind == region.kind &&
        merged.back().where.end() == region.where.offset) {
      merged.back().where.size += region.where.size;
      merged.back().label.clear();
    } else {
      merged.push_back(region);
    }
  }
  return merged;
}

/// The picture as it grows downwards.
class Canvas {
 public:
  double y() const noexcept { return y_; }
  void advance(double by) noexcept { y_ += by; }

  void text(double x, double baseline, std::string_view text, std::string_view style) {
    add(R"(<text x="{:.1f}" y="{:.1f}" class="{}">{}</text>)", x, baseline, style,
        xml_escape(text));
  }

  /// `part` of `range`, which is drawn over the width of the bar with its top at `top`.
  void segment(const store::Region& region, const flash::Range& part, const flash::Range& range,
               double top, double height) {
    const double scale = bar_width / static_cast<double>(range.size);
    const double x = bar_left + static_cast<double>(part.offset - range.offset) * scale;
    std::string title = fmt::format("{}, {:#x}+{:#x}", store::to_string(region.kind),
                                    region.where.offset, region.where.size);
    if (!region.label.empty()) title += ": " + region.label;
    const double width = static_cast<double>(part.size) * scale;
    add(R"(<rect x="{:.2f}" y="{:.1f}" width="{:.2f}" height="{:.1f}" fill="{}"{}><title>{}</title></rect>)",
        x, top, width, height, style_of(region.kind).colour,
        width < narrowest_edged_region ? "" : R"( class="edge")", xml_escape(title));
  }

  /// A part of a strip over the width of the bar.
  void strip(double x, double width, double height, std::string_view colour,
             std::string_view title) {
    add(R"(<rect x="{:.2f}" y="{:.1f}" width="{:.2f}" height="{:.1f}" fill="{}"><title>{}</title></rect>)",
        x, y_, width, height, colour, xml_escape(title));
  }

  void frame(double top, double width, double height) {
    add(R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="frame"/>)", bar_left,
        top, width, height);
  }

  void swatch(double x, double top, std::string_view colour) {
    add(R"(<rect x="{:.1f}" y="{:.1f}" width="12" height="12" fill="{}" stroke="#808b96" stroke-width="0.5"/>)",
        x, top, colour);
  }

  std::string finish() const {
    const double height = y_ + margin;
    return fmt::format(
        R"(<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{0:.0f}" height="{1:.0f}" viewBox="0 0 {0:.0f} {1:.0f}">
<style>
text {{ font-family: sans-serif; fill: #1c2833; }}
.title {{ font-size: 17px; font-weight: bold; }}
.heading {{ font-size: 13px; font-weight: bold; }}
.small {{ font-size: 11px; }}
.offset {{ font-size: 11px; font-family: monospace; fill: #566573; }}
.edge {{ stroke: #ffffff; stroke-width: 0.6; }}
.frame {{ fill: none; stroke: #808b96; stroke-width: 0.7; }}
</style>
<rect width="100%" height="100%" fill="#ffffff"/>
{2}</svg>
)",
        page_width, height, body_);
  }

 private:
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(body_), format, std::forward<Args>(args)...);
    body_ += '\n';
  }

  std::string body_;
  double y_ = margin;
};

/// The regions of `range`, clipped to it.
void draw_range(Canvas& canvas, const std::vector<store::Region>& regions,
                const flash::Range& range, const flash::Range& scale, double height) {
  // Regions are in order and do not overlap: the first one that reaches into the range.
  auto region = std::ranges::upper_bound(regions, range.offset, {},
                                         [](const store::Region& r) { return r.where.end(); });
  for (; region != regions.end() && region->where.offset < range.end(); ++region) {
    const std::uint64_t begin = std::max(region->where.offset, range.offset);
    const std::uint64_t end = std::min(region->where.end(), range.end());
    canvas.segment(*region, {begin, end - begin}, scale, canvas.y(), height);
  }
}

void draw_volume(Canvas& canvas, const store::Layout& layout,
                 const std::vector<store::Region>& regions) {
  const flash::Range volume{0, layout.volume_size_bytes};
  canvas.text(margin, canvas.y() + bar_height / 2 + 4, "Volume", "heading");
  draw_range(canvas, regions, volume, volume, bar_height);
  canvas.frame(canvas.y(), bar_width, bar_height);
  canvas.advance(bar_height + 14);
  for (const auto& [name, area] :
       {std::pair{"variables", layout.variables}, std::pair{"event log", layout.event_log},
        std::pair{"working", layout.ftw_working}, std::pair{"spare", layout.ftw_spare}}) {
    const double scale = bar_width / static_cast<double>(volume.size);
    if (static_cast<double>(area.size) * scale < narrowest_named_area) continue;
    canvas.text(bar_left + static_cast<double>(area.offset) * scale, canvas.y(),
                fmt::format("{}, {}", name, format_size(area.size)), "small");
  }
  canvas.advance(26);
}

/// Neighbouring erase blocks, from `first` to before `end`, with erase counts of a range.
struct WearRun {
  std::size_t first;
  std::size_t end;
  WearStep counts;

  std::string title() const {
    const std::string times = counts.range() + (counts.last == 1 ? " time" : " times");
    return end - first == 1 ? fmt::format("block {}: erased {}", first, times)
                            : fmt::format("blocks {} to {}: erased {}", first, end - 1, times);
  }
};

/// Those of one count are drawn as one, or where these are too many those of one step.
std::vector<WearRun> wear_runs(std::span<const std::uint64_t> erases,
                               const std::vector<WearStep>& scale) {
  std::vector<WearRun> runs;
  for (const bool by_step : {false, true}) {
    runs.clear();
    for (std::size_t block = 0; block < erases.size(); ++block) {
      WearStep counts = scale[step_of(scale, erases[block])];
      if (!by_step) counts.first = counts.last = erases[block];
      if (!runs.empty() && runs.back().counts.first == counts.first) {
        runs.back().end = block + 1;
      } else {
        runs.push_back({block, block + 1, counts});
      }
    }
    if (runs.size() <= most_single_regions) break;
  }
  return runs;
}

/// Right below the volume, at its scale.
void draw_wear(Canvas& canvas, std::uint64_t volume_size, const flash::WearCounts& wear) {
  const std::uint64_t block_size = wear.erase_block_size_bytes;
  const std::span erases =
      std::span(wear.erases)
          .first(std::min<std::size_t>(wear.erases.size(), volume_size / block_size));
  if (erases.empty()) return;
  const auto scale = wear_scale(std::ranges::max(erases));
  const double width =
      bar_width * static_cast<double>(block_size) / static_cast<double>(volume_size);
  canvas.text(margin, canvas.y() + wear_height - 3, "Erases", "heading");
  for (const WearRun& run : wear_runs(erases, scale)) {
    canvas.strip(bar_left + width * static_cast<double>(run.first),
                 width * static_cast<double>(run.end - run.first), wear_height, run.counts.colour,
                 run.title());
  }
  canvas.frame(canvas.y(), bar_width, wear_height);
  canvas.advance(wear_height + 8);
  constexpr double column_width = 120;
  double x = bar_left;
  for (const WearStep& step : scale) {
    canvas.swatch(x, canvas.y(), step.colour);
    canvas.text(x + 18, canvas.y() + 10, step.range(), "small");
    x += column_width;
  }
  canvas.advance(36);
}

void draw_variables(Canvas& canvas, const flash::Range& area,
                    const std::vector<store::Region>& regions) {
  const std::uint64_t row_bytes =
      std::bit_ceil(std::max(smallest_row_bytes, (area.size + most_rows - 1) / most_rows));
  canvas.text(margin, canvas.y() + 4,
              fmt::format("Variables area, a row is {}", format_size(row_bytes)), "heading");
  canvas.advance(16);
  for (std::uint64_t at = area.offset; at < area.end(); at += row_bytes) {
    const flash::Range scale{at, row_bytes};
    const flash::Range row{at, std::min(row_bytes, area.end() - at)};
    canvas.text(margin, canvas.y() + row_height - 4, fmt::format("{:#08x}", at), "offset");
    draw_range(canvas, regions, row, scale, row_height);
    canvas.frame(canvas.y(),
                 bar_width * static_cast<double>(row.size) / static_cast<double>(row_bytes),
                 row_height);
    canvas.advance(row_height + row_gap);
  }
  canvas.advance(20);
}

void draw_legend(Canvas& canvas, const std::vector<store::Region>& regions) {
  constexpr double column_width = (page_width - 2 * margin) / legend_columns;
  std::size_t column = 0;
  for (const KindTotal& total : total_by_kind(regions)) {
    const double x = margin + column_width * static_cast<double>(column);
    canvas.swatch(x, canvas.y(), style_of(total.kind).colour);
    canvas.text(x + 18, canvas.y() + 10,
                fmt::format("{}: {}, {} {}", store::to_string(total.kind), format_size(total.bytes),
                            total.regions, total.regions == 1 ? "region" : "regions"),
                "small");
    if (++column == legend_columns) {
      column = 0;
      canvas.advance(legend_row_height);
    }
  }
  if (column != 0) canvas.advance(legend_row_height);
}

}  // namespace

std::string draw_map(std::string_view title, const store::Examination& examination,
                     const std::optional<flash::WearCounts>& wear) {
  const auto regions = examination.regions.size() > most_single_regions
                           ? merge_neighbours(examination.regions)
                           : examination.regions;
  Canvas canvas;
  canvas.text(margin, canvas.y() + 10, title, "title");
  canvas.advance(34);
  draw_volume(canvas, examination.layout, regions);
  if (wear) draw_wear(canvas, examination.layout.volume_size_bytes, *wear);
  draw_variables(canvas, examination.layout.variables, regions);
  draw_legend(canvas, examination.regions);
  return canvas.finish();
}

}  // namespace efistore::tools
