// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "powercut/runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "support/borrowed_device.hpp"

namespace efistore::test {

namespace {

using store::VariableStore;

constexpr Guid probe_guid = *Guid::parse("00000000-1111-2222-3333-444444444444");

/// What a cut may leave that is to be told and needs no repair.
constexpr std::array<std::string_view, 3> usual_notes = {
    "an uncommitted record",
    "an update of ",
    "bytes of an interrupted write stand behind the fault-tolerant queue",
};

std::unique_ptr<flash::Device> lend(flash::Device& device) {
  return std::make_unique<BorrowedDevice>(device);
}

/// Mixes the numbers of a case into one that picks it, or not, wherever it runs.
std::uint64_t mix(std::uint64_t hash, std::uint64_t value) noexcept {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
  return hash ^ (hash >> 29U);
}

std::uint64_t hash_of(std::uint64_t hash, const Cut& cut) noexcept {
  return mix(mix(mix(hash, cut.operation), static_cast<std::uint64_t>(cut.tear)), cut.seed);
}

std::string describe(const Cut& cut) {
  return fmt::format("{}:{}:{}", cut.operation, to_string(cut.tear), cut.seed);
}

std::optional<Cut> parse_cut(const std::string& text) {
  std::istringstream in(text);
  std::string operation;
  std::string tear;
  std::string seed;
  if (!std::getline(in, operation, ':') || !std::getline(in, tear, ':') || !std::getline(in, seed))
    return std::nullopt;
  Cut cut{.operation = std::strtoull(operation.c_str(), nullptr, 10),
          .seed = std::strtoull(seed.c_str(), nullptr, 10)};
  for (const auto tears :
       {std::span<const Tear>(program_tears), std::span<const Tear>(erase_tears)})
    for (const Tear known : tears) {
      if (to_string(known) != tear) continue;
      cut.tear = known;
      return cut;
    }
  return std::nullopt;
}

/// Whether it matters what bit of a header is chosen, so that one seed is not enough.
bool tears_headers(Tear tear) noexcept {
  return tear == Tear::one_bit || tear == Tear::all_but_a_bit || tear == Tear::few_bits_erased ||
         tear == Tear::front_erased || tear == Tear::back_erased;
}

/// Calls `visit` for every cut of `operations`.
template <typename Visit>
void for_each_cut(const std::vector<Operation>& operations, const store::Layout& layout,
                  std::uint64_t seeds, std::uint64_t header_seeds, Visit visit) {
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const auto tears = operations[i].kind == OperationKind::program
                           ? std::span<const Tear>(program_tears)
                           : std::span<const Tear>(erase_tears);
    const flash::Range where = operations[i].where;
    const bool headers =
        (where.offset < 0x64 || where.offset == layout.ftw_working.offset) && where.size > 8;
    for (const Tear tear : tears) {
      std::uint64_t variants = is_random(tear) ? seeds : 1;
      if (headers && tears_headers(tear)) variants = std::max(seeds, header_seeds);
      for (std::uint64_t seed = 0; seed < variants; ++seed)
        visit(Cut{.operation = i + 1, .tear = tear, .seed = seed});
    }
  }
}

/// The variables but the one with which the tests try whether a store is writable.
std::vector<store::Variable> without_probe(std::vector<store::Variable> variables) {
  std::erase_if(variables, [](const store::Variable& v) { return v.guid == probe_guid; });
  return variables;
}

/// Puts a variable and removes it again, and reclaims.
Status write_and_reclaim(VariableStore& opened) {
  const std::array<std::byte, 5> data{};
  auto put = opened.put({u"Probe", probe_guid, 3, data});
  if (!put && put.error().code == Errc::no_space)
    put = opened.reclaim_with({u"Probe", probe_guid, 3, data});
  if (!put) return put;
  const auto* probe = opened.find(u"Probe", probe_guid);
  if (probe == nullptr || !std::ranges::equal(probe->data, data))
    return fail(Errc::damaged, "what was put is not there");
  if (auto done = opened.remove(*probe); !done) return done;
  return opened.reclaim();
}

std::string names_of(const std::vector<store::Variable>& variables) {
  std::string text;
  for (const auto& v : variables) {
    for (const char16_t c : v.name) text += c < 0x7f && c > 0x1f ? static_cast<char>(c) : '?';
    text += fmt::format("[{}] ", v.data.size());
  }
  return text;
}

}  // namespace

void Runner::fail_case(const std::string& what) {
  if (enough()) return;
  failures_.push_back(fmt::format("EFISTORE_POWERCUT='{} {}': {}", scenario_.name, case_, what));
}

Status Runner::recover(std::unique_ptr<flash::Device> device) const {
  if (scenario_.formats) return scenario_.change(std::move(device));
  if (scenario_.repaired) {
    if (auto done = scenario_.change(lend(*device)); !done) return done;
  }
  auto opened = VariableStore::open(std::move(device));
  if (!opened) return forward(std::move(opened));
  if (!opened->report().not_written_because.empty())
    return fail(Errc::io, opened->report().not_written_because);
  // What the recovery has left half done shows in the next write that is cut.
  return write_and_reclaim(*opened);
}

/// The change without a cut, for what it does and what there is before and after it.
bool Runner::prepare() {
  case_ = "no cut";
  Medium medium{.content = scenario_.image};
  auto before = show(medium, "before");
  if (before) allowed_.push_back(std::move(*before));
  if (before && scenario_.repaired) fail_case("there is nothing to repair");
  TearingDevice device(medium);
  if (auto done = scenario_.change(lend(device)); !done) {
    fail_case(done.error().message);
    return false;
  }
  operations_ = device.operations();
  counts_.operations = operations_.size();
  auto after = show(medium, "after");
  if (!after) {
    fail_case("there is no store after the change");
    return false;
  }
  if (scenario_.repaired && *after != *scenario_.repaired)
    fail_case("the repair made of it: " + names_of(*after));
  allowed_.push_back(std::move(*after));
  allowed_.insert(allowed_.end(), scenario_.between.begin(), scenario_.between.end());
  return failures_.empty();
}

void Runner::run() {
  if (!prepare()) return;
  for_each_cut(operations_, scenario_.layout, effort_.seeds, effort_.header_seeds,
               [&](const Cut& cut) {
                 const bool chosen = counts_.cases++ % effort_.stride == 0;
                 if (chosen && !enough()) cut_change(cut);
               });
}

bool Runner::replay(const std::string& cuts) {
  std::istringstream in(cuts);
  std::string first;
  std::string second;
  in >> first >> second;
  const auto cut = parse_cut(first);
  const auto again = parse_cut(second);
  if (!cut || (!second.empty() && !again)) return false;
  if (!prepare()) return true;
  effort_.deep_stride = 0;
  case_ = describe(*cut);
  if (again) {
    if (auto medium = cut_in({.content = scenario_.image}, *cut, false))
      cut_recovery(*medium, *again);
  } else {
    cut_change(*cut);
  }
  return true;
}

void Runner::check_left(const Medium& medium, const std::string& label) {
  if (allowed_.empty() && !prepare()) return;
  case_ = label;
  check(medium, std::nullopt);
}

/// What a cut leaves of the change, or of a recovery. What unstable bits read as in a recovery does
/// not hang on how it is cut, or it would make other operations than those that were listed.
std::optional<Medium> Runner::cut_in(Medium medium, const Cut& cut, bool recovering) {
  TearingDevice device(medium, recovering ? 0 : cut.seed);
  device.cut_at(cut);
  const Status done = recovering ? recover(lend(device)) : scenario_.change(lend(device));
  if (!device.is_cut()) {
    fail_case(fmt::format("the cut did not happen: there were {} operations",
                          device.operations().size()));
    return std::nullopt;
  }
  ++counts_.cuts;
  if (done) fail_case("a change that was cut reported success");
  return medium;
}

void Runner::cut_change(const Cut& cut) {
  case_ = describe(cut);
  const auto left = cut_in({.content = scenario_.image}, cut, false);
  if (!left) return;
  check(*left, std::nullopt);
  // The many seeds of headers are for the change alone.
  if (effort_.deep_stride == 0 || cut.seed >= effort_.seeds) return;
  Medium medium = *left;
  TearingDevice device(medium);
  if (auto done = recover(lend(device)); !done) return fail_case(done.error().message);
  for_each_cut(device.operations(), scenario_.layout, effort_.deep_seeds, 1, [&](const Cut& again) {
    if (enough() || hash_of(hash_of(1, cut), again) % effort_.deep_stride != 0) return;
    case_ = describe(cut);
    cut_recovery(*left, again);
  });
}

void Runner::cut_recovery(const Medium& medium, const Cut& cut) {
  case_ += " " + describe(cut);
  const auto expected = show(medium, "before the recovery");
  // A format that is begun again goes on to a store of its own.
  const auto left = cut_in(medium, cut, true);
  if (left) check(*left, scenario_.formats ? std::nullopt : expected);
}

std::optional<Runner::Contents> Runner::show(Medium medium, const std::string& when) {
  no_store_ = false;
  damaged_ = false;
  TearingDevice device(medium, 1);
  ++counts_.reopenings;
  const auto opened = VariableStore::open(lend(device), {.read_only = true});
  if (opened) {
    if (!device.operations().empty()) fail_case("reading wrote " + when);
    damaged_ = opened->report().damaged;
    if (damaged_ && scenario_.repaired) return std::nullopt;
    if (damaged_) fail_case("damaged " + when);
    return without_probe(contents_of(*opened));
  }
  const Errc code = opened.error().code;
  no_store_ = scenario_.formats && (code == Errc::blank || code == Errc::damaged);
  damaged_ = scenario_.repaired && code == Errc::damaged;
  if (!no_store_ && !damaged_)
    fail_case(fmt::format("not opened {}: {}", when, opened.error().message));
  return std::nullopt;
}

/// The power is on again: what there is must be old or new, and stay so.
void Runner::check(Medium medium, const std::optional<Contents>& expected) {
  const auto shown = show(medium, "after the cut");
  if (shown) {
    if (std::ranges::find(allowed_, *shown) == allowed_.end())
      return fail_case("neither old nor new: " + names_of(*shown));
    if (expected && *shown != *expected)
      return fail_case("the recovery changed it to: " + names_of(*shown));
    Medium recovered = medium;
    {
      TearingDevice device(recovered, 4);
      ++counts_.reopenings;
      if (auto opened = VariableStore::open(lend(device)); !opened)
        return fail_case("not opened for writing: " + opened.error().message);
    }
    if (const auto later = show(recovered, "after the recovery"); later && *later != *shown)
      return fail_case("after the recovery it became: " + names_of(*later));
    Medium written = medium;
    check_store(written, *shown);
    const auto later = show(written, "at last");
    if (later && *later != *shown) fail_case("at last it became: " + names_of(*later));
    if (!later && (no_store_ || damaged_)) fail_case("at last it is gone");
  } else if (!no_store_ && !damaged_) {
    return;
  }
  if (scenario_.formats) check_format(medium);
  if (scenario_.repaired) check_repair(std::move(medium), !shown);
}

void Runner::check_store(Medium& medium, const Contents& shown) {
  TearingDevice device(medium, 2);
  ++counts_.reopenings;
  auto opened = VariableStore::open(lend(device));
  if (!opened) return fail_case("not opened for writing: " + opened.error().message);
  if (opened->read_only() || opened->report().damaged)
    return fail_case("opened, and not for writing: " + opened->report().not_written_because);
  if (opened->layout() != scenario_.layout) return fail_case("another layout");
  if (const auto now = without_probe(contents_of(*opened)); now != shown)
    return fail_case("the recovery made of it: " + names_of(now));
  check_findings(device);
  if (auto done = write_and_reclaim(*opened); !done)
    return fail_case("not written after it: " + done.error().message);
  if (const auto now = contents_of(*opened); now != shown)
    fail_case("the reclaim made of it: " + names_of(now));
  check_findings(device);
}

void Runner::check_findings(flash::Device& device) {
  const auto examined = store::examine(device);
  if (!examined) return fail_case("not examined: " + examined.error().message);
  for (const auto& finding : examined->findings) {
    const bool usual =
        finding.severity == store::Severity::note &&
        std::ranges::any_of(usual_notes, [&](auto note) { return finding.what.starts_with(note); });
    if (!usual)
      fail_case(fmt::format("{} at {:#x}: {}", to_string(finding.severity), finding.where.offset,
                            finding.what));
  }
}

/// A repair that was cut can be repeated, also after somebody has tried to use the store.
void Runner::check_repair(Medium medium, bool damaged) {
  {
    TearingDevice device(medium, 3);
    if (damaged) {
      ++counts_.reopenings;
      static_cast<void>(VariableStore::open(lend(device)));
      if (!device.operations().empty()) fail_case("a damaged store was written");
    }
    if (auto done = scenario_.change(lend(device)); !done)
      return fail_case("no repair after it: " + done.error().message);
  }
  const auto shown = show(medium, "after the next repair");
  if (!shown) return fail_case("the next repair did not make a store");
  if (*shown != *scenario_.repaired)
    return fail_case("the next repair made of it: " + names_of(*shown));
  if (damaged) check_store(medium, *shown);
}

/// A format that was cut can be repeated.
void Runner::check_format(Medium& medium) {
  {
    TearingDevice device(medium, 3);
    if (auto done = scenario_.change(lend(device)); !done)
      return fail_case("no format after it: " + done.error().message);
  }
  const auto formatted = show(medium, "after the next format");
  if (!formatted || !formatted->empty()) return fail_case("the next format did not make a store");
  check_store(medium, *formatted);
}

}  // namespace efistore::test
