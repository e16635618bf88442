// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/store/repair.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "efistore/base/bytes.hpp"
#include "efistore/base/ucs2.hpp"
#include "efistore/store/record_area.hpp"
#include "efistore/store/scan.hpp"

#include "fault_tolerant_write.hpp"
#include "firmware_volume.hpp"
#include "reconstruct.hpp"
#include "record_format.hpp"
#include "salvage.hpp"
#include "spare_content.hpp"

namespace efistore::store {

namespace {

constexpr std::byte erased{0xff};
/// A hostile area can hold as many oddities as records; nobody reads more than these.
constexpr std::size_t max_actions = 1000;

using Key = std::pair<std::u16string, Guid>;

std::string id_of(const Key& key) {
  return to_utf8(key.first) + "-" + to_string(key.second);
}

class Actions {
 public:
  void add(RepairKind kind, flash::Range where, std::string what) {
    if (actions_.size() < max_actions) {
      actions_.push_back({kind, where, std::move(what)});
    } else {
      ++left_out_;
    }
  }

  std::vector<RepairAction> take() {
    if (left_out_ != 0) {
      actions_.push_back(
          {RepairKind::dropped, {}, fmt::format("{} more actions, not listed", left_out_)});
    }
    return std::move(actions_);
  }

 private:
  std::vector<RepairAction> actions_;
  std::size_t left_out_ = 0;
};

/// A record that the repaired store is to hold, in the bytes of the area it comes from.
struct Chosen {
  std::span<const std::byte> area;
  ScannedRecord record;
  bool mended = false;

  /// Of two records of a name the higher one counts: an added one, one that needed no mending, the
  /// one that was written later.
  auto rank() const noexcept { return std::tuple(record.state == 0x3f, !mended, record.offset); }
};

/// The record's bytes, with the fields that may have been mended.
std::vector<std::byte> bytes_of(const Chosen& chosen, RecordFormat format) {
  const auto raw = chosen.area.subspan(chosen.record.offset, chosen.record.size);
  std::vector<std::byte> bytes(raw.begin(), raw.end());
  ByteWriter(bytes).u16(record_start_id);
  bytes[record_state_offset] = static_cast<std::byte>(RecordState::added);
  const std::size_t sizes_offset = format == RecordFormat::authenticated ? 36 : 8;
  ByteWriter writer{std::span{bytes}.subspan(sizes_offset)};
  writer.u32(chosen.record.name_size);
  writer.u32(chosen.record.data_size);
  return bytes;
}

/// Decides what the records of a repaired area are.
class RecordPlan {
 public:
  RecordPlan(std::span<const std::byte> area, std::uint32_t begin, RecordFormat format,
             Swallowed swallowed)
      : area_(area),
        begin_(begin),
        format_(format),
        scan_(scan_records(area, begin, format)),
        salvage_(salvage_records(area, begin, format, swallowed)) {
    for (const ScannedRecord& record : scan_.records) {
      const auto name = record_name(area_, record, format_);
      if (name && record.live() && !record.salvaged) in_chain_.insert(record.offset);
    }
    for (const SalvagedRecord& salvaged : salvage_.records) choose(salvaged);
    note_lost();
  }

  /// Whether the area is to be written anew.
  bool needed() const noexcept { return needed_; }
  /// Whether records were lost for which the spare may have others.
  bool lost() const noexcept { return needed_ && !salvage_.lost.empty(); }

  /// Takes from `spare`, a former content of the area, what this one has no trace of.
  void add_from(std::span<const std::byte> spare) {
    std::map<Key, Chosen> found;
    for (const ScannedRecord& record : scan_records(spare, begin_, format_).records) {
      auto name = record_name(spare, record, format_);
      if (!name || !record.live() || record.salvaged) continue;
      const Key key{std::move(*name), record.guid};
      if (!known_.contains(key)) prefer(found, key, {.area = spare, .record = record});
    }
    for (auto& [key, chosen] : found) from_spare_.emplace_back(key, chosen);
  }

  /// The area with `headers` and what was chosen. Errors: no_space.
  Result<std::vector<std::byte>> compose(std::span<const std::byte> headers, Actions& actions) {
    for (const auto& [kind, where, what] : found_) actions.add(kind, where, what);
    std::vector<std::byte> area(area_.size(), erased);
    std::ranges::copy(headers, area.begin());
    std::size_t at = headers.size();
    auto append = [&](const Chosen& chosen) {
      const auto bytes = bytes_of(chosen, format_);
      if (bytes.size() > area.size() - std::min(at, area.size()) || count_ == max_live_variables) {
        return false;
      }
      std::ranges::copy(bytes, area.begin() + static_cast<long>(at));
      at = align_record(at + bytes.size());
      ++count_;
      return true;
    };
    for (const std::uint8_t state : {std::uint8_t{0x3f}, std::uint8_t{0x3e}}) {
      for (const auto& [offset, key] : in_order()) {
        const Chosen& chosen = chosen_.at(*key);
        if (chosen.record.state == state && !append(chosen)) {
          return fail(Errc::no_space, fmt::format("the record of {} at {:#x} does not fit any more",
                                                  id_of(*key), offset));
        }
      }
    }
    for (const auto& [key, chosen] : from_spare_) {
      const flash::Range where{chosen.record.offset, chosen.record.size};
      if (append(chosen)) {
        actions.add(RepairKind::from_spare, where,
                    id_of(key) + " is from the spare area, and may be old");
      } else {
        actions.add(RepairKind::dropped, where,
                    id_of(key) + " is in the spare area, and does not fit any more");
      }
    }
    return area;
  }

  /// The records that only the spare has, each as a writer would append it.
  std::vector<std::vector<std::byte>> only_in_spare() const {
    std::vector<std::vector<std::byte>> records;
    for (const auto& [key, chosen] : from_spare_) records.push_back(bytes_of(chosen, format_));
    return records;
  }

 private:
  static void prefer(std::map<Key, Chosen>& among, const Key& key, Chosen chosen) {
    const auto [place, inserted] = among.try_emplace(key, chosen);
    if (!inserted && place->second.rank() < chosen.rank()) place->second = chosen;
  }

  void choose(const SalvagedRecord& salvaged) {
    const ScannedRecord& record = salvaged.record;
    const Key key{*record_name(area_, record, format_), record.guid};
    // What never counted says nothing of what there was.
    if (record.live() || record.state == 0x3c || record.state == 0x3d) known_.insert(key);
    const flash::Range where{record.offset, record.size};
    const bool mended = !salvaged.mended.empty();
    if (mended) needed_ = true;
    if (!record.live()) return;
    if (mended) {
      found_.emplace_back(RepairKind::mended, where, id_of(key) + ": " + salvaged.mended);
    } else if (!in_chain_.contains(record.offset)) {
      needed_ = true;
      found_.emplace_back(RepairKind::salvaged, where,
                          id_of(key) + " stands where a walk along the records does not come");
    }
    const Chosen candidate{.area = area_, .record = record, .mended = mended};
    if (const auto other = chosen_.find(key);
        other != chosen_.end() && other->second.record.state == 0x3f && record.state == 0x3f) {
      // No writer leaves two: of one of them the state is wrong.
      needed_ = true;
      const bool newer = other->second.rank() < candidate.rank();
      const ScannedRecord& older = newer ? other->second.record : record;
      found_.emplace_back(RepairKind::dropped, flash::Range{older.offset, older.size},
                          id_of(key) + " has two live records; this is not the one that counts");
    }
    prefer(chosen_, key, candidate);
  }

  /// What of the area nothing is kept of. Bytes behind the chain are no loss as long as the walk
  /// reaches all that was found: an interrupted write leaves them.
  void note_lost() {
    std::set<std::uint32_t> kept;
    for (const SalvagedRecord& salvaged : salvage_.records) kept.insert(salvaged.record.offset);
    std::set<std::uint64_t> reported;
    for (const LostBytes& lost : salvage_.lost) {
      reported.insert(lost.where.offset);
      if (lost.where.offset < scan_.chain_end) needed_ = true;
    }
    for (const ScannedRecord& record : scan_.records) {
      const bool dead_or_live = record.live() || record.state == 0x3c || record.state == 0x3d;
      if (!dead_or_live || kept.contains(record.offset)) continue;
      needed_ = true;
      if (!reported.contains(record.offset)) {
        found_.emplace_back(RepairKind::dropped, flash::Range{record.offset, record.size},
                            "a record without a name");
      }
    }
    for (const LostBytes& lost : salvage_.lost)
      found_.emplace_back(RepairKind::dropped, lost.where, lost.what);
  }

  /// The chosen records in flash order.
  std::map<std::uint32_t, const Key*> in_order() const {
    std::map<std::uint32_t, const Key*> order;
    for (const auto& [key, chosen] : chosen_) order.emplace(chosen.record.offset, &key);
    return order;
  }

  std::span<const std::byte> area_;
  std::uint32_t begin_;
  RecordFormat format_;
  RecordScan scan_;
  Salvage salvage_;
  std::set<std::uint32_t> in_chain_;  ///< offsets of live records that the walk reaches
  std::set<Key> known_;               ///< every name of which there is a live or a dead record
  std::map<Key, Chosen> chosen_;
  std::vector<std::pair<Key, Chosen>> from_spare_;
  std::vector<std::tuple<RepairKind, flash::Range, std::string>> found_;
  bool needed_ = false;
  std::size_t count_ = 0;
};

/// What is to be written, all of it known before the first write.
struct Plan {
  Layout layout;
  Swallowed swallowed = Swallowed::left;
  bool restart_queue = false;
  bool take_spare = false;  ///< the spare is what is wanted, and stays as it is
  /// Records to be brought out of the spare, into what is free of the area, before it is erased.
  std::vector<std::vector<std::byte>> rescued{};
  std::size_t rescue_offset = 0;
  std::vector<std::byte> current{};  ///< the variables as they stand
  std::vector<std::byte> wanted{};   ///< the same, if they are to stay as they are
};

Result<std::vector<std::byte>> read_range(flash::Device& device, flash::Range range) {
  std::vector<std::byte> bytes(range.size);
  if (auto done = device.read(range.offset, bytes); !done) return forward(std::move(done));
  return bytes;
}

/// Where what is free of `area` begins.
std::size_t free_from(std::span<const std::byte> area) noexcept {
  const auto last =
      std::find_if(area.rbegin(), area.rend(), [](std::byte b) { return b != erased; });
  return std::min(area.size(), align_record(static_cast<std::size_t>(area.rend() - last)));
}

void plan_headers(const Plan& plan, Actions& actions) {
  for (const Finding& finding : header_findings(plan.current, plan.layout)) {
    if (finding.severity != Severity::note)
      actions.add(RepairKind::rebuilt, finding.where, finding.what);
  }
}

/// What the spare has for a repair. Of a write that is being staged it holds a part, with records
/// that may be torn; and in a copy under way it is what is repaired.
Result<std::optional<std::vector<std::byte>>> read_former(flash::Device& device,
                                                          const FtwInspection& ftw,
                                                          const Plan& plan) {
  if (ftw.state == FtwState::staged || ftw.state == FtwState::copying) return std::nullopt;
  return read_spare_content(device, plan.layout);
}

/// Whether the queue has nothing of the writes that were: it is lost, or was started anew.
bool knows_nothing(const FtwInspection& ftw) noexcept {
  return ftw.state == FtwState::invalid || ftw.state == FtwState::broken ||
         (ftw.state == FtwState::idle && ftw.queue_end == ftw_header_size);
}

/// Whether a salvage of `area` would find live records of these sizes, one behind the other, at
/// `offset`, and everything that it found before.
bool finds_all(std::span<const std::byte> area, std::uint32_t begin, const Plan& plan,
               std::size_t found_before) {
  const auto found = salvage_records(area, begin, plan.layout.format, plan.swallowed).records;
  std::size_t offset = plan.rescue_offset;
  for (const auto& record : plan.rescued) {
    const auto place = std::ranges::find_if(
        found, [offset](const SalvagedRecord& s) { return s.record.offset == offset; });
    if (place == found.end() || !place->mended.empty() || place->record.size != record.size())
      return false;
    offset += align_record(record.size());
  }
  return found.size() == found_before + plan.rescued.size();
}

/// Brings what only the spare has into the plan, if there is room for it behind all used bytes of
/// the area, where the next repair finds it: what a former one that was cut has left there can
/// claim to reach farther. Without room the image that was kept is all that has it in the write.
void plan_rescue(const RecordPlan& records, std::uint32_t begin, Plan& plan) {
  constexpr std::size_t largest_page = 1024;  // as much as a torn header without sizes explains
  plan.rescued = records.only_in_spare();
  std::size_t size = 0;
  for (const auto& record : plan.rescued) size += align_record(record.size());
  const std::size_t free = free_from(plan.current);
  const std::size_t before =
      salvage_records(plan.current, begin, plan.layout.format, plan.swallowed).records.size();
  for (const std::size_t offset : {free, align_record(free + largest_page),
                                   plan.current.size() - std::min(size, plan.current.size())}) {
    if (offset < free || offset > plan.current.size() || size > plan.current.size() - offset)
      continue;
    plan.rescue_offset = offset;
    std::vector<std::byte> area = plan.current;
    auto at = area.begin() + static_cast<long>(offset);
    for (const auto& record : plan.rescued) {
      std::ranges::copy(record, at);
      at += static_cast<long>(align_record(record.size()));
    }
    if (finds_all(area, begin, plan, before)) return;
  }
  plan.rescued.clear();
}

Status plan_variables(const std::optional<std::vector<std::byte>>& former, Plan& plan,
                      Actions& actions) {
  const std::vector<std::byte> headers = mended_headers(plan.current, plan.layout);
  const auto begin = static_cast<std::uint32_t>(headers.size());
  RecordPlan records(plan.current, begin, plan.layout.format, plan.swallowed);
  plan.wanted = plan.current;
  if (!records.needed()) {
    std::ranges::copy(headers, plan.wanted.begin());
    return {};
  }
  if (records.lost() && former) {
    records.add_from(*former);
    plan_rescue(records, begin, plan);
  }
  auto composed = records.compose(headers, actions);
  if (!composed) return forward(std::move(composed));
  plan.wanted = std::move(*composed);
  return {};
}

void plan_copy(Plan& plan, Actions& actions) {
  plan.take_spare = true;
  actions.add(RepairKind::from_spare, plan.layout.ftw_spare,
              "all variables are from the spare area: a write of them was interrupted, and the "
              "queue that told of it is lost");
}

void plan_queue(const FtwInspection& ftw, Plan& plan, Actions& actions) {
  if (ftw.state != FtwState::invalid && ftw.state != FtwState::broken) return;
  plan.restart_queue = true;
  actions.add(RepairKind::restarted, plan.layout.ftw_working,
              "the fault-tolerant working area is started anew: " + ftw.detail);
}

/// Whether there is anything of a store at all where a layout was only named.
bool is_some_store(const Plan& plan) {
  const auto findings = header_findings(plan.current, plan.layout);
  const auto damages = std::ranges::count(findings, Severity::damage, &Finding::severity);
  constexpr auto most_fields = 6;
  return damages < most_fields ||
         !salvage_records(plan.current, first_record_offset(volume_header_size), plan.layout.format,
                          plan.swallowed)
              .records.empty();
}

Status check_possible(const flash::Device& device, const Plan& plan, const FtwInspection& ftw) {
  if (!plan.take_spare && !is_some_store(plan)) {
    return fail(
        Errc::damaged,
        fmt::format("{}: no header and no record of a variable store is there", device.name()));
  }
  if (device.read_only())
    return fail(Errc::read_only, fmt::format("{} is open read-only", device.name()));
  const Layout& layout = plan.layout;
  if (layout.ftw_working.size == 0 || layout.ftw_spare.size < layout.variables.size) {
    return fail(Errc::unsupported,
                fmt::format("{} has no spare area that holds its variables, without which they "
                            "cannot be rewritten safely",
                            device.name()));
  }
  if (ftw.state == FtwState::foreign) {
    return fail(Errc::unsupported,
                fmt::format("{}: the firmware was interrupted in a write that only it can finish, "
                            "and which a repair would lose: {}",
                            device.name(), ftw.detail));
  }
  return {};
}

Status keep_image(flash::Device& device, const RepairOptions& options) {
  if (!options.keep) return {};
  const auto image = read_range(
      device, {0, std::min<std::uint64_t>(device.geometry().size_bytes, max_volume_size_bytes)});
  if (!image) return forward(Result<std::vector<std::byte>>(image), device.name());
  return options.keep(*image);
}

/// Appends the rescued records to the area, wherever its chain ends: a repair that is begun again
/// finds them there, those that are whole.
Status rescue(flash::Device& device, const Plan& plan) {
  std::uint64_t at = plan.layout.variables.offset + plan.rescue_offset;
  for (std::vector<std::byte> record : plan.rescued) {
    const std::byte state = std::exchange(record[record_state_offset], erased);
    if (auto done = device.program(at, record); !done) return done;
    if (auto done = device.sync(); !done) return done;
    if (auto done = device.program(at + record_state_offset, std::span(&state, 1)); !done)
      return done;
    if (auto done = device.sync(); !done) return done;
    at += align_record(record.size());
  }
  return {};
}

Status carry_out(flash::Device& device, const Plan& plan) {
  if (plan.take_spare) return take_spare(device, plan.layout);
  if (auto done = rescue(device, plan); !done) return done;
  if (plan.restart_queue) {
    if (auto done = restart_queue(device, plan.layout); !done) return done;
  } else if (auto done = recover_variables(device, plan.layout); !done) {
    return forward(std::move(done));
  }
  return write_variables(device, plan.layout, plan.wanted);
}

}  // namespace

std::string_view to_string(RepairKind kind) noexcept {
  switch (kind) {
    case RepairKind::rebuilt:
      return "rebuilt";
    case RepairKind::salvaged:
      return "salvaged";
    case RepairKind::mended:
      return "mended";
    case RepairKind::from_spare:
      return "from-spare";
    case RepairKind::dropped:
      return "dropped";
    case RepairKind::restarted:
      return "restarted";
  }
  return "unknown";
}

Result<RepairReport> repair(flash::Device& device, const RepairOptions& options) {
  const auto layout = reconstruct_layout(device, options.layout_name);
  if (!layout) return forward(Result<Layout>(layout));
  Plan plan{.layout = *layout,
            .swallowed = options.take_swallowed ? Swallowed::taken : Swallowed::left};
  const auto ftw = read_ftw(device, plan.layout);
  if (!ftw) return forward(Result<FtwInspection>(ftw), device.name());
  const flash::Range valid = valid_variables(*ftw, plan.layout);
  auto current = read_range(device, valid);
  if (!current) return forward(std::move(current), device.name());
  plan.current = std::move(*current);

  Actions actions;
  plan_headers(plan, actions);
  const auto former = read_former(device, *ftw, plan);
  if (!former) return forward(Result<std::optional<std::vector<std::byte>>>(former), device.name());
  if (*former && knows_nothing(*ftw) && is_cut_copy(plan.current, **former, plan.layout)) {
    plan_copy(plan, actions);
  } else if (auto done = plan_variables(*former, plan, actions); !done) {
    return forward(std::move(done), device.name());
  }
  plan_queue(*ftw, plan, actions);

  RepairReport report;
  report.layout = plan.layout;
  report.actions = actions.take();
  if (!report.actions.empty()) {
    if (auto possible = check_possible(device, plan, *ftw); !possible)
      return forward(std::move(possible));
    if (auto kept = keep_image(device, options); !kept) return forward(std::move(kept));
    if (auto done = carry_out(device, plan); !done) return forward(std::move(done), device.name());
  }
  auto after = examine(device);
  if (!after) return forward(std::move(after));
  report.after = std::move(*after);
  report.variables = static_cast<std::size_t>(
      std::ranges::count(report.after.regions, RegionKind::live_record, &Region::kind));
  return report;
}

}  // namespace efistore::store
