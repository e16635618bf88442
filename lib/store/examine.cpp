// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/store/examine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "efistore/base/bytes.hpp"
#include "efistore/base/ucs2.hpp"
#include "efistore/store/scan.hpp"

#include "fault_tolerant_write.hpp"
#include "firmware_volume.hpp"
#include "reconstruct.hpp"
#include "salvage.hpp"

namespace efistore::store {

namespace {

constexpr std::byte erased{0xff};
/// A hostile volume can hold as many oddities as records; nobody reads more than these.
constexpr std::size_t max_findings = 1000;

/// Collects regions and findings; a region that is not erased where it should be is the caller's
/// business.
class Examiner {
 public:
  explicit Examiner(const Layout& layout) { result_.layout = layout; }

  /// Offsets count from `base` from now on.
  void set_base(std::uint64_t base) noexcept { base_ = base; }

  void region(RegionKind kind, std::uint64_t begin, std::uint64_t end, std::string label = {}) {
    if (begin >= end) return;
    result_.regions.push_back({kind, {base_ + begin, end - begin}, std::move(label)});
  }

  void finding(Severity severity, flash::Range where, std::string what) {
    where.offset += base_;
    if (result_.findings.size() < max_findings) {
      result_.findings.push_back({severity, where, std::move(what)});
    } else if (severity == Severity::damage) {
      result_.findings.back() = {severity, where, std::move(what)};
    }
  }

  void set_ftw(FtwState state) { result_.ftw = state; }

  Examination take() { return std::move(result_); }

 private:
  Examination result_;
  std::uint64_t base_ = 0;
};

RegionKind kind_of(const ScannedRecord& record) noexcept {
  if (record.live()) return record.salvaged ? RegionKind::salvaged_record : RegionKind::live_record;
  const bool dead = record.state == 0x3c || record.state == 0x3d;
  return dead ? RegionKind::dead_record : RegionKind::uncommitted_record;
}

void examine_uncommitted(const ScannedRecord& record, bool named, Examiner& out) {
  const flash::Range where{record.offset, record.size};
  const std::uint8_t mended = mended_state(record.state);
  const bool hidden = named && mended != record.state && (mended == 0x3f || mended == 0x3e);
  if (hidden) {
    out.finding(Severity::damage, where,
                fmt::format("a record's state {:#04x} has bits cleared that no writer clears: its "
                            "variable is not seen",
                            record.state));
  } else {
    out.finding(Severity::note, where,
                fmt::format("an uncommitted record, state {:#04x}", record.state));
  }
}

/// What is odd about one record, its place in the chain apart.
void examine_record(std::span<const std::byte> area, const ScannedRecord& record, bool named,
                    Examiner& out) {
  const flash::Range where{record.offset, record.size};
  const RegionKind kind = kind_of(record);
  if (kind == RegionKind::uncommitted_record) {
    examine_uncommitted(record, named, out);
    return;
  }
  if (!named) {
    out.finding(
        record.live() ? Severity::damage : Severity::warning, where,
        fmt::format("a record whose name of {} bytes is empty, odd, or not ended by its only NUL",
                    record.name_size));
  }
  if (!record.live()) return;
  if (record.attributes == 0 || record.attributes > 0xff) {
    out.finding(Severity::warning, where,
                fmt::format("a live record with attributes {:#x}", record.attributes));
  }
  if (area[record.offset + 3] != std::byte{0}) {
    out.finding(Severity::note, where, "a live record whose reserved byte is not zero");
  }
  if (!record.time.is_zero() && !record.time.is_date()) {
    out.finding(Severity::warning, where,
                "a live record whose time is none, " + to_string(record.time) +
                    ": no signed write can be later than it, or any is");
  }
}

/// Two live records of one name, and transitions that were not completed.
class TwinCheck {
 public:
  void add(const std::string& id, const ScannedRecord& record, Examiner& out) {
    Seen& seen = by_id_[id];
    const flash::Range where{record.offset, record.size};
    const bool added = record.state == 0x3f;
    if (added && seen.added) {
      out.finding(Severity::warning, where, "a second live record of " + id);
    } else if (seen.any) {
      out.finding(Severity::note, where,
                  "an update of " + id + " was not completed; both records live");
    }
    seen.any = true;
    seen.added = seen.added || added;
  }

 private:
  struct Seen {
    bool any = false;
    bool added = false;
  };
  std::map<std::string, Seen> by_id_;
};

/// Records that the walk along the chain does not show, because a size in another one is wrong.
class HiddenCheck {
 public:
  HiddenCheck(std::span<const std::byte> area, std::uint32_t begin, const RecordScan& scan,
              RecordFormat format)
      : area_(area),
        begin_(begin),
        scan_(scan),
        format_(format),
        swallow_check_(area, scan, format) {}

  /// Behind `record` the chain goes on.
  void add(const ScannedRecord& record, bool named, Examiner& out) {
    suspect_ |= !named && (record.live() || record.state == 0x3c || record.state == 0x3d);
    if (!named || record.salvaged) return;
    if (const std::uint32_t size = swallow_check_.data_size_without(record); size != 0) {
      out.finding(Severity::warning, {record.offset, record.size},
                  fmt::format("the data of this record holds whole records from byte {} on: its "
                              "DataSize {} may be wrong by one bit, and hide variables",
                              size, record.data_size));
    } else if (const std::uint32_t first = swallow_check_.first_swallowed(record); first != 0) {
      out.finding(Severity::warning, {record.offset, record.size},
                  fmt::format("the data of this record reaches into free space, and holds whole "
                              "records from {:#x} on: its DataSize {} may be wrong, and hide "
                              "variables",
                              first, record.data_size));
    }
  }

  /// What a search finds where the chain is broken or leads through a record with wrong sizes.
  void finish(Examiner& out) const {
    if (!suspect_ && scan_.break_reason.empty()) return;
    std::set<std::uint32_t> shown;
    for (const ScannedRecord& record : scan_.records) shown.insert(record.offset);
    for (const SalvagedRecord& found :
         salvage_records(area_, begin_, format_, Swallowed::left).records) {
      const ScannedRecord& record = found.record;
      if (record.live() && !shown.contains(record.offset)) {
        out.finding(Severity::damage, {record.offset, record.size},
                    "a live record stands here, and a walk along the records misses it, because "
                    "a size in front of it is wrong");
      } else if (!found.mended.empty() && record.live() && record.offset < scan_.chain_end) {
        out.finding(Severity::damage, {record.offset, record.size},
                    "a live record whose header is wrong: " + found.mended);
      }
    }
  }

 private:
  std::span<const std::byte> area_;
  std::uint32_t begin_;
  const RecordScan& scan_;
  RecordFormat format_;
  SwallowCheck swallow_check_;
  bool suspect_ = false;
};

void examine_records(std::span<const std::byte> area, std::uint32_t begin, RecordFormat format,
                     Examiner& out) {
  const RecordScan scan = scan_records(area, begin, format);
  TwinCheck twins;
  HiddenCheck hidden(area, begin, scan, format);
  std::uint64_t at = begin;
  std::size_t lost = 0;
  for (const ScannedRecord& record : scan.records) {
    out.region(RegionKind::residue, at, record.offset);
    const auto name = record_name(area, record, format);
    std::string id;
    if (name) id = to_utf8(*name) + "-" + to_string(record.guid);
    at = std::min<std::uint64_t>(align_record(record.offset + record.size), area.size());
    out.region(kind_of(record), record.offset, at, id);
    examine_record(area, record, name.has_value(), out);
    if (!is_filled(area.subspan(record.offset + record.size, at - record.offset - record.size),
                   erased)) {
      out.finding(Severity::note, {record.offset + record.size, at - record.offset - record.size},
                  "padding behind a record that is not erased");
    }
    if (name && record.live()) twins.add(id, record, out);
    hidden.add(record, name.has_value(), out);
    if (record.salvaged && record.live()) ++lost;
  }
  hidden.finish(out);
  const auto tail = area.subspan(at);
  const auto last_used =
      std::find_if(tail.rbegin(), tail.rend(), [](std::byte b) { return b != erased; });
  const std::uint64_t residue_end =
      area.size() - static_cast<std::uint64_t>(last_used - tail.rbegin());
  out.region(RegionKind::residue, at, residue_end);
  out.region(RegionKind::free_space, residue_end, area.size());
  if (lost != 0) {
    out.finding(
        Severity::damage, {scan.chain_end, residue_end - scan.chain_end},
        fmt::format("the chain of records is broken, and EDK2 would lose {} live records from "
                    "it on: {}",
                    lost, scan.break_reason));
  } else if (scan.tail_used) {
    out.finding(Severity::note, {scan.chain_end, residue_end - scan.chain_end},
                "bytes of an interrupted write behind the records; a reclaim removes them" +
                    (scan.break_reason.empty() ? "" : ": " + scan.break_reason));
  }
}

void examine_ftw(const FtwInspection& ftw, const Layout& layout, Examiner& out) {
  const flash::Range where = layout.ftw_working;
  out.set_ftw(ftw.state);
  switch (ftw.state) {
    case FtwState::absent:
      out.finding(Severity::warning, {layout.variables.end(), 0},
                  "no working area for fault-tolerant writes was found: the store cannot be "
                  "compacted");
      break;
    case FtwState::idle:
      if (ftw.tail_used) {
        out.finding(Severity::note, where,
                    "bytes of an interrupted write stand behind the fault-tolerant queue");
      }
      break;
    case FtwState::invalid:
      out.finding(Severity::warning, where,
                  "the fault-tolerant working area is not valid: " + ftw.detail);
      break;
    case FtwState::staged:
      out.finding(Severity::note, where,
                  "a fault-tolerant write was begun and not staged; it will be dropped");
      break;
    case FtwState::copying:
      out.finding(Severity::note, layout.variables,
                  "a fault-tolerant write was interrupted while the variables were copied from the "
                  "spare area; it will be finished");
      break;
    case FtwState::copied:
      out.finding(Severity::note, where,
                  "a fault-tolerant write is done and not marked complete; it will be");
      break;
    case FtwState::foreign:
      out.finding(Severity::warning, where,
                  "the firmware was interrupted in a write that only it can finish: " + ftw.detail);
      break;
    case FtwState::broken:
      out.finding(
          Severity::damage, where,
          "the fault-tolerant queue cannot be followed, and EDK2 can crash on it: " + ftw.detail);
      break;
  }
}

/// Headers and records of the variables area, wherever it is valid.
Status examine_variables(flash::Device& device, flash::Range where, const Layout& layout,
                         Examiner& out) {
  std::vector<std::byte> area(where.size);
  if (auto done = device.read(where.offset, area); !done) return done;
  out.set_base(where.offset);
  for (Finding& finding : header_findings(area, layout))
    out.finding(finding.severity, finding.where, std::move(finding.what));
  const auto first = static_cast<std::uint32_t>(mended_headers(area, layout).size());
  const std::uint32_t store_header = first - store_header_size;
  out.region(RegionKind::volume_header, 0, store_header);
  out.region(RegionKind::store_header, store_header, first);
  examine_records(area, first, layout.format, out);
  out.set_base(0);
  return {};
}

/// The layout that the volume has or, where its headers are damaged, had.
Result<Layout> layout_to_examine(flash::Device& device) {
  auto reconstructed = reconstruct_layout(device);
  if (reconstructed || reconstructed.error().code == Errc::io) return reconstructed;
  return detect_layout(device);
}

}  // namespace

std::string_view to_string(Severity severity) noexcept {
  switch (severity) {
    case Severity::note:
      return "note";
    case Severity::warning:
      return "warning";
    case Severity::damage:
      return "damage";
  }
  return "unknown";
}

std::string_view to_string(RegionKind kind) noexcept {
  switch (kind) {
    case RegionKind::volume_header:
      return "volume-header";
    case RegionKind::store_header:
      return "store-header";
    case RegionKind::live_record:
      return "live-record";
    case RegionKind::dead_record:
      return "dead-record";
    case RegionKind::uncommitted_record:
      return "uncommitted-record";
    case RegionKind::salvaged_record:
      return "salvaged-record";
    case RegionKind::superseded:
      return "superseded";
    case RegionKind::residue:
      return "residue";
    case RegionKind::free_space:
      return "free-space";
    case RegionKind::event_log:
      return "event-log";
    case RegionKind::ftw_header:
      return "ftw-header";
    case RegionKind::ftw_queue:
      return "ftw-queue";
    case RegionKind::ftw_spare:
      return "ftw-spare";
    case RegionKind::unknown:
      return "unknown";
  }
  return "unknown";
}

std::string_view to_string(FtwState state) noexcept {
  switch (state) {
    case FtwState::absent:
      return "absent";
    case FtwState::invalid:
      return "invalid";
    case FtwState::idle:
      return "idle";
    case FtwState::staged:
      return "staged";
    case FtwState::copying:
      return "copying";
    case FtwState::copied:
      return "copied";
    case FtwState::foreign:
      return "foreign";
    case FtwState::broken:
      return "broken";
  }
  return "unknown";
}

bool Examination::damaged() const noexcept {
  return std::ranges::any_of(findings,
                             [](const Finding& f) { return f.severity == Severity::damage; });
}

Result<Examination> examine(flash::Device& device) {
  const auto layout = layout_to_examine(device);
  if (!layout) return forward(Result<Layout>(layout));
  const auto ftw = read_ftw(device, *layout);
  if (!ftw) return forward(Result<FtwInspection>(ftw), device.name());
  const flash::Range valid = valid_variables(*ftw, *layout);
  const bool in_place = valid == layout->variables;

  Examiner out(*layout);
  if (!in_place) {
    out.region(RegionKind::superseded, layout->variables.offset, layout->variables.end());
  } else if (auto done = examine_variables(device, valid, *layout, out); !done) {
    return forward(std::move(done), device.name());
  }
  out.region(RegionKind::event_log, layout->event_log.offset, layout->event_log.end());
  std::uint64_t at = std::max(layout->variables.end(), layout->event_log.end());
  examine_ftw(*ftw, *layout, out);
  if (const flash::Range working = layout->ftw_working; working.size != 0) {
    out.region(RegionKind::ftw_header, working.offset, working.offset + ftw_header_size);
    out.region(RegionKind::ftw_queue, working.offset + ftw_header_size, working.end());
    out.region(RegionKind::unknown, working.end(), layout->ftw_spare.offset);
    at = layout->ftw_spare.offset;
    if (!in_place) {
      if (auto done = examine_variables(device, valid, *layout, out); !done)
        return forward(std::move(done), device.name());
      at = valid.end();
    }
    out.region(RegionKind::ftw_spare, at, layout->ftw_spare.end());
    at = layout->ftw_spare.end();
  }
  out.region(RegionKind::unknown, at, layout->volume_size_bytes);
  return out.take();
}

}  // namespace efistore::store
