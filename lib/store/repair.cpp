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

  std::size_t count() const noexcept { return count_; }

 private:
  static void prefer(std::map<Key, Chosen>& among, const Key& key, Chosen chosen) {
    const auto [place, inserted] = among.try_emplace(key, chosen);
    if (!inserted && place->second.rank() < chosen.rank()) place->second = chosen;
  }

  void choose(const SalvagedRecord& salvaged) {
    const ScannedRecord& record = salvaged.record;
    const Key key{*record_name(area_, record, format_), record.guid};
    known_.insert(key);
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
  std::set<Key> known_;               ///< every name of which there is a record, live or dead
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
  std::vector<std::byte> current{};  ///< the variables as they stand
  std::vector<std::byte> wanted{};   ///< the same, if they are to stay as they are
};

Result<std::vector<std::byte>> read_range(flash::Device& device, flash::Range range) {
  std::vector<std::byte> bytes(range.size);
  if (auto done = device.read(range.offset, bytes); !done) return forward(std::move(done));
  return bytes;
}

void plan_headers(const Plan& plan, Actions& actions) {
  for (const Finding& finding : header_findings(plan.current, plan.layout)) {
    if (finding.severity != Severity::note)
      actions.add(RepairKind::rebuilt, finding.where, finding.what);
  }
}

/// A former content of the variables area in the spare, if there is a whole one.
Result<std::optional<std::vector<std::byte>>> read_former(flash::Device& device, const Plan& plan) {
  auto spare = read_range(device, {plan.layout.ftw_spare.offset, plan.layout.variables.size});
  if (!spare) return forward(std::move(spare));
  const auto volume = parse_volume_header(*spare);
  if (!volume || volume->volume_size_bytes != plan.layout.volume_size_bytes) return std::nullopt;
  const auto store = parse_store_header(std::span(*spare).subspan(volume->header_size_bytes), 0);
  if (!store || store->format != plan.layout.format) return std::nullopt;
  return std::move(*spare);
}

Status plan_variables(flash::Device& device, bool in_place, Plan& plan, Actions& actions) {
  const std::vector<std::byte> headers = mended_headers(plan.current, plan.layout);
  const auto begin = static_cast<std::uint32_t>(headers.size());
  RecordPlan records(plan.current, begin, plan.layout.format, plan.swallowed);
  plan.wanted = plan.current;
  if (!records.needed()) {
    std::ranges::copy(headers, plan.wanted.begin());
    return {};
  }
  std::optional<std::vector<std::byte>> former;
  if (records.lost() && in_place && plan.layout.ftw_spare.size >= plan.layout.variables.size) {
    auto read = read_former(device, plan);
    if (!read) return forward(std::move(read));
    former = std::move(*read);
    if (former) records.add_from(*former);
  }
  auto composed = records.compose(headers, actions);
  if (!composed) return forward(std::move(composed));
  plan.wanted = std::move(*composed);
  return {};
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
  if (!is_some_store(plan)) {
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

Status carry_out(flash::Device& device, const Plan& plan) {
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
  if (auto done = plan_variables(device, valid == plan.layout.variables, plan, actions); !done)
    return forward(std::move(done), device.name());
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
