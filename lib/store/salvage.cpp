// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "salvage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>
#include <set>
#include <utility>

#include "efistore/base/bytes.hpp"

#include "raw_record.hpp"

namespace efistore::store {

namespace {

constexpr std::byte erased{0xff};
constexpr std::uint8_t erased_state = 0xff;
/// The state bits that no writer clears.
constexpr std::uint8_t untouched_state_bits = 0x3c;

std::uint64_t used_end_of(std::span<const std::byte> area) noexcept {
  const auto last =
      std::find_if(area.rbegin(), area.rend(), [](std::byte b) { return b != erased; });
  return area.size() - static_cast<std::uint64_t>(last - area.rbegin());
}

/// Bytes of name that the text itself tells, its first NUL included; 0 if there is none in reach.
std::uint32_t name_size_by_nul(std::span<const std::byte> area, const ScannedRecord& record,
                               RecordFormat format) {
  ByteReader reader(area.subspan(record.offset + record_header_size(format)));
  for (std::uint32_t size = 2; size <= max_salvaged_name_size; size += 2) {
    const bool nul = reader.u16() == 0;
    if (!reader.ok()) return 0;
    if (nul) return size > 2 ? size : 0;
  }
  return 0;
}

/// What both searches ask of the bytes.
class Records {
 public:
  Records(std::span<const std::byte> area, RecordFormat format)
      : area_(area), format_(format), header_size_(record_header_size(format)) {}

  bool header_fits(std::uint64_t at) const noexcept { return at + header_size_ <= area_.size(); }

  RawHeader parse(std::uint64_t at) const {
    return parse_header(area_, static_cast<std::uint32_t>(at), format_);
  }

  bool named(const ScannedRecord& record) const {
    return record_name(area_, record, format_).has_value();
  }

  bool believable(RawHeader& raw) const {
    raw.record.state = mended_state(raw.record.state);
    return measure(area_, format_, raw.record) && plausible(area_, raw.record, format_);
  }

  /// A record with a valid StartId that is plausible in every field.
  std::optional<ScannedRecord> whole(std::uint64_t at) const {
    if (!header_fits(at)) return std::nullopt;
    RawHeader raw = parse(at);
    if (!raw.start_id_valid || !believable(raw)) return std::nullopt;
    return raw.record;
  }

  /// The same, whatever the StartId.
  bool whole_but_for_start_id(std::uint64_t at) const {
    if (!header_fits(at)) return false;
    RawHeader raw = parse(at);
    return believable(raw);
  }

  bool is_erased(std::uint64_t begin, std::uint64_t end) const {
    return is_filled(area_.subspan(begin, end - begin), erased);
  }

  std::uint64_t end_of(const ScannedRecord& record) const noexcept {
    return std::min<std::uint64_t>(align_record(std::uint64_t{record.offset} + record.size),
                                   area_.size());
  }

  /// Whether nothing but erased bytes stands between the record's data and the next multiple of 4.
  bool padded(const ScannedRecord& record) const {
    return is_erased(record.offset + record.size, end_of(record));
  }

  std::uint32_t header_size() const noexcept { return header_size_; }
  std::span<const std::byte> area() const noexcept { return area_; }
  RecordFormat format() const noexcept { return format_; }

 private:
  std::span<const std::byte> area_;
  RecordFormat format_;
  std::uint32_t header_size_;
};

/// The record with another data size, if it lies within the area.
std::optional<ScannedRecord> resized(const Records& records, ScannedRecord record,
                                     std::uint32_t name_size, std::uint32_t data_size) {
  record.name_size = name_size;
  record.data_size = data_size;
  if (!measure(records.area(), records.format(), record)) return std::nullopt;
  return record;
}

class Search {
 public:
  Search(std::span<const std::byte> area, std::uint32_t begin, RecordFormat format,
         Swallowed swallowed)
      : swallowed_(swallowed),
        records_(area, format),
        chain_(scan_records(area, begin, format)),
        swallow_check_(area, chain_, format),
        used_end_(used_end_of(area)),
        at_(begin) {}

  Salvage run() {
    bool due = true;
    while (at_ < used_end_ && records_.header_fits(at_)) {
      const std::uint64_t from = at_;
      if (take(due)) {
        close_gap(from);
        due = true;
      } else {
        if (!gap_) gap_ = at_;
        at_ += 4;
        due = false;
      }
    }
    if (!gap_ && at_ < used_end_) gap_ = at_;
    close_gap(used_end_);
    return std::move(result_);
  }

 private:
  void close_gap(std::uint64_t end) {
    if (!gap_) return;
    if (*gap_ < end && !records_.is_erased(*gap_, end))
      result_.lost.push_back({{*gap_, end - *gap_}, "bytes that are no record"});
    gap_.reset();
  }

  void keep(const ScannedRecord& record, std::string mended = {}) {
    result_.records.push_back({record, std::move(mended)});
    at_ = records_.end_of(record);
  }

  /// Whether what stands at `at` speaks for the record that ends there.
  bool followed_at(std::uint64_t at) const {
    if (at >= used_end_) return true;
    if (!records_.header_fits(at)) return false;
    const RawHeader next = records_.parse(at);
    if (next.start_id_valid) return true;
    return records_.whole_but_for_start_id(at);
  }

  /// The same, for sizes that nothing else speaks for.
  bool surely_followed_at(std::uint64_t at) const {
    if (at >= used_end_) return at < used_end_ + 4;
    return records_.whole(at).has_value();
  }

  /// The first whole record with another behind it, or nothing, that stands in what `record` claims
  /// to be its data.
  std::optional<std::uint64_t> first_inside(const ScannedRecord& record) const {
    const std::uint64_t data =
        std::uint64_t{record.offset} + records_.header_size() + record.name_size;
    for (std::uint64_t at = align_record(data); at < records_.end_of(record); at += 4) {
      const auto inner = records_.whole(at);
      if (inner && followed_at(records_.end_of(*inner))) return at;
    }
    return std::nullopt;
  }

  /// The record with one bit of its DataSize cleared, so that it ends where `accepts` says.
  template <typename Accepts>
  std::optional<ScannedRecord> with_less_data(const ScannedRecord& record, Accepts accepts) const {
    for (std::uint32_t bit = 1; bit != 0; bit <<= 1U) {
      if ((record.data_size & bit) == 0) continue;
      const auto smaller = resized(records_, record, record.name_size, record.data_size & ~bit);
      if (smaller && records_.padded(*smaller) && accepts(records_.end_of(*smaller)))
        return smaller;
    }
    return std::nullopt;
  }

  /// Takes what stands at at_, which follows a record if it is `due`, and moves behind it.
  bool take(bool due) {
    RawHeader raw = records_.parse(at_);
    if (!raw.start_id_valid && !due) return false;
    const std::uint8_t state = raw.record.state;
    if (raw.header_only) {
      const bool uncommitted =
          raw.start_id_valid || may_be_torn(records_.area(), raw.record.offset, records_.format());
      return due && uncommitted && step_over(raw);
    }
    raw.record.state = mended_state(state);
    std::string mended;
    if (raw.record.state != state)
      mended = fmt::format("its state {:#04x} has bits cleared that no writer clears", state);
    if (!raw.start_id_valid) mended = "its first two bytes should be aa 55";
    const bool known =
        measure(records_.area(), records_.format(), raw.record) &&
        (due && raw.start_id_valid ? records_.named(raw.record)
                                   : plausible(records_.area(), raw.record, records_.format()));
    if (known) return take_known(raw.record, std::move(mended));
    return raw.start_id_valid && take_of_unknown_size(raw);
  }

  /// A record whose sizes are possible.
  bool take_known(const ScannedRecord& record, std::string mended) {
    const std::uint64_t end = records_.end_of(record);
    if (followed_at(end)) {
      if (swallowed_ == Swallowed::left) {
        keep(record, std::move(mended));
        return true;
      }
      if (const std::uint32_t size = swallow_check_.data_size_without(record); size != 0) {
        keep(*resized(records_, record, record.name_size, size),
             fmt::format("its {} bytes of data hold other records from byte {} on",
                         record.data_size, size));
        return true;
      }
      if (const std::uint32_t first = swallow_check_.first_swallowed(record); first != 0)
        return shorten(record, first);
      keep(record, std::move(mended));
      return true;
    }
    const auto inside = first_inside(record);
    if (inside) return shorten(record, *inside);
    keep(record, std::move(mended));
    return true;
  }

  /// Takes a record that cannot reach beyond `inside`, where another one stands.
  bool shorten(const ScannedRecord& record, std::uint64_t inside) {
    const auto smaller =
        with_less_data(record, [&](std::uint64_t smaller_end) { return smaller_end == inside; });
    if (smaller) {
      keep(*smaller, fmt::format("its DataSize {} should be {}: another record follows there",
                                 record.data_size, smaller->data_size));
      return true;
    }
    result_.lost.push_back({{record.offset, inside - record.offset},
                            "a record whose sizes are wrong: another one stands inside it"});
    at_ = inside;
    return true;
  }

  /// A record with a valid StartId whose name does not fit to its NameSize, or which claims to
  /// reach beyond the area.
  bool take_of_unknown_size(const RawHeader& raw) {
    const ScannedRecord& record = raw.record;
    if (record.attributes == 0 || record.attributes > 0xff) return false;
    if (const std::uint32_t name_size =
            name_size_by_nul(records_.area(), record, records_.format())) {
      const auto renamed = resized(records_, record, name_size, record.data_size);
      if (renamed && surely_followed_at(records_.end_of(*renamed))) {
        keep(*renamed, fmt::format("its NameSize {} should be {}, where the name ends",
                                   record.name_size, name_size));
        return true;
      }
      if (name_size == record.name_size) {
        const auto smaller = with_less_data(
            record, [&](std::uint64_t smaller_end) { return surely_followed_at(smaller_end); });
        if (smaller) {
          keep(*smaller, fmt::format("its DataSize {} should be {}: another record follows there",
                                     record.data_size, smaller->data_size));
          return true;
        }
      }
    }
    // A name that cannot be read, in a record whose sizes are right all the same.
    if (record.size != 0 && surely_followed_at(records_.end_of(record)) && !first_inside(record)) {
      result_.lost.push_back(
          {{record.offset, record.size},
           fmt::format("a record whose name of {} bytes is not ended by its only NUL",
                       record.name_size)});
      at_ = records_.end_of(record);
      return true;
    }
    return false;
  }

  /// Steps over a record that was not committed: over its header, as EDK2 does, if something stands
  /// right behind that, else as far as a cut in its writing explains what stands there.
  bool step_over(const RawHeader& raw) {
    const std::uint32_t at = raw.record.offset;
    const std::uint64_t header_end = at + std::uint64_t{records_.header_size()};
    if (raw.start_id_valid && header_end < used_end_ && records_.whole(header_end)) {
      at_ = header_end;
      return true;
    }
    const auto from = search_behind_uncommitted(records_.area(), at, records_.format());
    if (from && *from == at) return false;
    at_ = from.value_or(static_cast<std::uint32_t>(used_end_));
    if (from && named_as_claimed(raw)) {
      result_.lost.push_back({{at, *from - at},
                              "a record with the state of one that was not committed, although "
                              "others follow"});
    }
    return true;
  }

  bool named_as_claimed(const RawHeader& raw) const {
    const auto record = resized(records_, raw.record, raw.claimed_name_size, raw.claimed_data_size);
    return record && records_.named(*record);
  }

  Swallowed swallowed_;
  Records records_;
  RecordScan chain_;
  SwallowCheck swallow_check_;
  std::uint64_t used_end_;
  std::uint64_t at_;
  std::optional<std::uint64_t> gap_;
  Salvage result_;
};

using Names = std::set<std::pair<std::u16string, Guid>>;

/// Whether nothing but whole records stands from `at` to `end`, or to the end of all used bytes,
/// and none of them is a second live one of its name.
bool swallowed_chain(const Records& records, std::uint64_t at, std::uint64_t end,
                     std::uint64_t used_end, const Names& live_elsewhere) {
  Names seen;
  while (at < end && at < used_end) {
    const auto inner = records.whole(at);
    if (!inner || records.end_of(*inner) > end) return false;
    if (inner->state == 0x3f) {
      auto key = std::pair(*record_name(records.area(), *inner, records.format()), inner->guid);
      if (live_elsewhere.contains(key) || !seen.insert(std::move(key)).second) return false;
    }
    at = records.end_of(*inner);
  }
  return true;
}

}  // namespace

std::uint8_t mended_state(std::uint8_t state) noexcept {
  return state == erased_state ? state : static_cast<std::uint8_t>(state | untouched_state_bits);
}

struct SwallowCheck::State {
  Records records;
  const RecordScan& chain;
  std::uint64_t used_end;
  std::optional<Names> live{};  ///< of the chain, once it is asked for

  const Names& live_names() {
    if (!live) {
      live.emplace();
      for (const ScannedRecord& record : chain.records) {
        if (record.state != 0x3f) continue;
        if (auto name = record_name(records.area(), record, records.format()))
          live->emplace(std::move(*name), record.guid);
      }
    }
    return *live;
  }
};

SwallowCheck::SwallowCheck(std::span<const std::byte> area, const RecordScan& chain,
                           RecordFormat format)
    : state_(std::make_unique<State>(
          State{.records = {area, format}, .chain = chain, .used_end = used_end_of(area)})) {}

SwallowCheck::~SwallowCheck() = default;

std::uint32_t SwallowCheck::data_size_without(const ScannedRecord& record) {
  const Records& records = state_->records;
  for (std::uint32_t bit = std::bit_floor(record.data_size); bit >= records.header_size() / 2;
       bit >>= 1U) {
    if ((record.data_size & bit) == 0) continue;
    const auto smaller = resized(records, record, record.name_size, record.data_size & ~bit);
    if (!smaller || !records.padded(*smaller)) continue;
    const std::uint64_t first = records.end_of(*smaller);
    if (records.whole(first) && swallowed_chain(records, first, records.end_of(record),
                                                state_->used_end, state_->live_names()))
      return smaller->data_size;
  }
  return 0;
}

std::uint32_t SwallowCheck::first_swallowed(const ScannedRecord& record) {
  constexpr std::size_t several = 4;
  const Records& records = state_->records;
  if (records.end_of(record) < align_record(state_->used_end) + 4) return 0;
  const std::uint64_t data =
      std::uint64_t{record.offset} + records.header_size() + record.name_size;
  std::uint64_t first = 0;
  std::size_t found = 0;
  bool nothing_else = true;
  Names seen;
  for (std::uint64_t at = align_record(data); at < state_->used_end;) {
    const auto inner = records.whole(at);
    if (!inner || records.end_of(*inner) > records.end_of(record)) {
      if (first != 0) nothing_else = false;
      at += 4;
      continue;
    }
    if (first == 0) first = at;
    ++found;
    if (inner->state == 0x3f) {
      auto key = std::pair(*record_name(records.area(), *inner, records.format()), inner->guid);
      if (state_->live_names().contains(key) || !seen.insert(std::move(key)).second) return 0;
    }
    at = records.end_of(*inner);
  }
  return nothing_else || found >= several ? static_cast<std::uint32_t>(first) : 0;
}

Salvage salvage_records(std::span<const std::byte> area, std::uint32_t begin, RecordFormat format,
                        Swallowed swallowed) {
  return Search(area, begin, format, swallowed).run();
}

}  // namespace efistore::store
