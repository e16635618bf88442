// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/store/record_area.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <unordered_map>

#include "efistore/base/attributes.hpp"

#include "device_failure.hpp"
#include "record_format.hpp"

namespace efistore::store {

namespace {

constexpr std::byte erased{0xff};

/// A record's name, to look it up by without owning it, with its hash, which the table would
/// otherwise compute again for every neighbour it passes.
struct Key {
  Key(std::u16string_view record_name, const Guid& record_guid) noexcept
      : name(record_name), guid(record_guid) {
    std::uint64_t guid_part = 0;
    std::memcpy(&guid_part, guid.bytes.data(), sizeof guid_part);
    hash = std::hash<std::u16string_view>{}(name) ^ (guid_part * 0x9e3779b97f4a7c15ULL);
  }

  std::u16string_view name;
  Guid guid;
  std::size_t hash;
};

struct KeyHash {
  std::size_t operator()(const Key& key) const noexcept { return key.hash; }
};

/// With memcmp, because the standard library compares char16_t and std::byte one by one.
struct KeyEqual {
  bool operator()(const Key& a, const Key& b) const noexcept {
    return a.hash == b.hash && a.name.size() == b.name.size() &&
           std::memcmp(a.guid.bytes.data(), b.guid.bytes.data(), a.guid.bytes.size()) == 0 &&
           std::memcmp(a.name.data(), b.name.data(), a.name.size() * sizeof(char16_t)) == 0;
  }
};

std::uint32_t padded(const Record& record) noexcept {
  return static_cast<std::uint32_t>(align_record(record.size));
}

bool is_hardware_error(std::uint32_t attributes) noexcept {
  return (attributes & attributes::hardware_error_record) != 0;
}

}  // namespace

/// Live records by name, and in flash order. A node's address is stable; its key's name points into
/// the node itself.
struct RecordArea::Index {
  struct Node : Record {
    Node* previous = nullptr;
    Node* next = nullptr;
    /// Other live records of the name: an in-transition twin that an `added` one overrides, or
    /// duplicates that no writer leaves behind. They go when the variable changes.
    std::vector<std::uint32_t> overridden;
  };

  std::unordered_map<Key, std::unique_ptr<Node>, KeyHash, KeyEqual> by_name;
  Node* head = nullptr;
  Node* tail = nullptr;
  std::uint32_t chain_end = 0;

  Node* find(std::u16string_view name, const Guid& guid) const noexcept {
    if (by_name.empty()) return nullptr;  // the volatile store, most of the time: spare the hash
    const auto found = by_name.find(Key{name, guid});
    return found == by_name.end() ? nullptr : found->second.get();
  }

  void unlink(Node& node) noexcept {
    (node.previous != nullptr ? node.previous->next : head) = node.next;
    (node.next != nullptr ? node.next->previous : tail) = node.previous;
    node.previous = node.next = nullptr;
  }

  void append(Node& node) noexcept {
    node.previous = tail;
    (tail != nullptr ? tail->next : head) = &node;
    tail = &node;
  }

  /// Takes `record`, which lies behind all others, as the one that its name stands for.
  Node& insert(Record record) {
    auto node = std::make_unique<Node>();
    static_cast<Record&>(*node) = std::move(record);
    Node& inserted = *node;
    by_name.emplace(Key{inserted.name, inserted.guid}, std::move(node));
    append(inserted);
    return inserted;
  }

  void erase(Node& node) {
    unlink(node);
    by_name.erase(by_name.find(Key{node.name, node.guid}));
  }

  /// EDK2's FindVariable decides which of two records of a name counts: the first `added`, else the
  /// last one in transition.
  /// False if there is no room for another variable.
  bool add_scanned(Record record) {
    Node* const node = find(record.name, record.guid);
    if (node == nullptr) {
      if (by_name.size() == max_live_variables) return false;
      insert(std::move(record));
    } else if (node->state == RecordState::in_deleted_transition) {
      node->overridden.push_back(node->offset);
      auto overridden = std::move(node->overridden);
      unlink(*node);
      take_over(*node, record);
      node->overridden = std::move(overridden);
      append(*node);
    } else {
      node->overridden.push_back(record.offset);
    }
    return true;
  }

  /// Makes `node` stand for `record`, which has the same name.
  static void take_over(Node& node, const Record& record) noexcept {
    node.attributes = record.attributes;
    node.data = record.data;
    node.time = record.time;
    node.monotonic_count = record.monotonic_count;
    node.public_key_index = record.public_key_index;
    node.state = record.state;
    node.offset = record.offset;
    node.size = record.size;
  }
};

RecordArea::RecordArea(std::vector<std::byte> mirror, std::uint32_t begin, RecordFormat format,
                       flash::Device* device)
    : mirror_(std::move(mirror)), begin_(begin), format_(format), device_(device) {
  rebuild();
}

RecordArea::RecordArea(RecordArea&&) noexcept = default;
RecordArea& RecordArea::operator=(RecordArea&&) noexcept = default;
RecordArea::~RecordArea() = default;

RecordArea RecordArea::in_memory() const {
  return {mirror_, begin_, format_, nullptr};
}

void RecordArea::rebuild() {
  const RecordScan scan = scan_records(mirror_, begin_, format_);
  index_ = std::make_unique<Index>();
  index_->chain_end = scan.chain_end;
  tail_used_ = scan.tail_used;
  has_salvaged_ = scan.has_salvaged();
  overfull_ = false;
  usage_ = {.capacity = static_cast<std::uint32_t>(mirror_.size()) - begin_,
            .used = scan.chain_end - begin_};
  std::uint32_t named = 0;
  for (const ScannedRecord& scanned : scan.records) {
    const auto size = static_cast<std::uint32_t>(align_record(scanned.size));
    if (!scanned.salvaged && is_hardware_error(scanned.attributes)) {
      usage_.hardware_error_used += size;
    }
    auto name = record_name(mirror_, scanned, format_);
    if (!name) continue;
    ++named;
    if (!scanned.live()) continue;
    overfull_ = !index_->add_scanned({.name = std::move(*name),
                                      .guid = scanned.guid,
                                      .attributes = scanned.attributes,
                                      .data = record_data(mirror_, scanned, format_),
                                      .time = scanned.time,
                                      .monotonic_count = scanned.monotonic_count,
                                      .public_key_index = scanned.public_key_index,
                                      .state = RecordState{scanned.state},
                                      .offset = scanned.offset,
                                      .size = scanned.size});
    // Names can be chosen so that all of them meet in one bucket of the index.
    if (overfull_) break;
  }
  for (const Index::Node* node = index_->head; node != nullptr; node = node->next) {
    usage_.live += padded(*node);
    if (is_hardware_error(node->attributes)) usage_.hardware_error_live += padded(*node);
    ++usage_.live_records;
  }
  usage_.dead_records = named - usage_.live_records;
}

const Record* RecordArea::find(std::u16string_view name, const Guid& guid) const noexcept {
  return index_->find(name, guid);
}

const Record* RecordArea::first() const noexcept {
  return index_->head;
}

const Record* RecordArea::next(const Record& record) const noexcept {
  return static_cast<const Index::Node&>(record).next;
}

void RecordArea::for_each_record(const std::function<void(const RecordSummary&)>& visit) const {
  for (const ScannedRecord& scanned : scan_records(mirror_, begin_, format_).records) {
    const auto name = record_name(mirror_, scanned, format_);
    if (!name) continue;
    visit({.name = *name,
           .guid = scanned.guid,
           .attributes = scanned.attributes,
           .size = static_cast<std::uint32_t>(align_record(scanned.size)),
           .live = scanned.live()});
  }
}

Status RecordArea::program(std::uint32_t offset, std::span<const std::byte> data) {
  if (device_ != nullptr) {
    if (auto done = device_->program(offset, data); !done) return device_failure(std::move(done));
    // The next step must not reach the medium before this one.
    if (auto done = device_->sync(); !done) return device_failure(std::move(done));
  }
  std::ranges::copy(data, mirror_.begin() + offset);
  return {};
}

Status RecordArea::clear_state(std::uint32_t record_offset, RecordState mask) {
  const std::uint32_t at = record_offset + record_state_offset;
  const std::byte state = mirror_[at] & static_cast<std::byte>(mask);
  if (state == mirror_[at]) return {};
  return program(at, std::span(&state, 1));
}

/// After a failed change nobody knows what the medium holds: looks, and hands the failure on. The
/// owner makes no further change after one, so that a mirror that cannot be read again does no
/// harm.
Status RecordArea::reload_after(Status failed) {
  std::vector<std::byte> mirror(mirror_.size());
  if (device_->read(0, mirror)) reset(std::move(mirror));
  return failed;
}

namespace {

/// The bits that a transition leaves, to be combined with the state there is (EDK2's VAR_ masks).
constexpr RecordState header_valid_mask{0x7f};
constexpr RecordState added_mask{0x3f};
constexpr RecordState transition_mask{0xfe};
constexpr RecordState deleted_mask{0xfd};

/// Whether the name's first character can read as a StartId, when all of it is programmed or a
/// part.
bool can_pass_for_record(std::u16string_view name) noexcept {
  const auto first = static_cast<std::uint16_t>(name.empty() ? u'\0' : name.front());
  return (first & ~record_start_id) == 0;
}

}  // namespace

/// Puts a record that is not committed, state 0xff, at `at`. The walk steps over its header alone
/// until its state says more, and would take a name that begins like a record for one; of such a
/// record the header goes first and is made valid, after which the walk steps over all of it.
Status RecordArea::append(std::uint32_t at, std::span<const std::byte> bytes, bool header_first) {
  if (!header_first) return program(at, bytes);
  const std::uint32_t header_size = record_header_size(format_);
  if (auto done = program(at, bytes.first(header_size)); !done) return done;
  if (auto done = clear_state(at, header_valid_mask); !done) return done;
  return program(at + header_size, bytes.subspan(header_size));
}

Status RecordArea::put(const RecordContent& content) {
  const auto bytes = encode_record(format_, content, RecordState::header_only);
  const std::uint32_t at = index_->chain_end;
  if (tail_used_ || bytes.size() > usage_.free()) {
    return fail(Errc::no_space,
                fmt::format("a record of {} bytes does not fit behind {:#x}", bytes.size(), at));
  }
  Index::Node* node = index_->find(content.name, content.guid);
  if (auto room = check_count(node == nullptr); !room) return room;
  auto steps = [&]() -> Status {
    if (node != nullptr) {
      if (auto done = clear_state(node->offset, transition_mask); !done) return done;
    }
    if (auto done = append(at, bytes, can_pass_for_record(content.name)); !done) return done;
    if (auto done = clear_state(at, added_mask); !done) return done;
    if (node == nullptr) return {};
    for (const std::uint32_t twin : node->overridden) {
      if (auto done = clear_state(twin, deleted_mask); !done) return done;
    }
    return clear_state(node->offset, deleted_mask);
  };
  if (auto done = steps(); !done) return reload_after(std::move(done));

  const auto size = static_cast<std::uint32_t>(bytes.size());
  Record record{
      .name = node != nullptr ? std::u16string() : std::u16string(content.name),
      .guid = content.guid,
      .attributes = content.attributes,
      .data = std::span(mirror_).subspan(at + size - content.data.size(), content.data.size()),
      .time = content.time,
      .monotonic_count = content.monotonic_count,
      .public_key_index = content.public_key_index,
      .state = RecordState::added,
      .offset = at,
      .size = size};
  if (node != nullptr) {
    count_live(*node, false);
    usage_.dead_records += 1;
    node->overridden.clear();
    index_->unlink(*node);
    Index::take_over(*node, record);
    index_->append(*node);
  } else {
    node = &index_->insert(std::move(record));
  }
  count_live(*node, true);
  const std::uint32_t chain_end = static_cast<std::uint32_t>(align_record(at + size));
  usage_.used += chain_end - at;
  if (is_hardware_error(content.attributes)) usage_.hardware_error_used += chain_end - at;
  index_->chain_end = chain_end;
  return {};
}

void RecordArea::count_live(const Record& record, bool live) noexcept {
  const std::uint32_t size = live ? padded(record) : -padded(record);
  usage_.live += size;
  if (is_hardware_error(record.attributes)) usage_.hardware_error_live += size;
  usage_.live_records += live ? 1U : -1U;
}

Status RecordArea::remove(const Record& record) {
  auto& node = *index_->find(record.name, record.guid);
  auto steps = [&]() -> Status {
    for (const std::uint32_t twin : node.overridden) {
      if (auto done = clear_state(twin, deleted_mask); !done) return done;
    }
    return clear_state(node.offset, deleted_mask);
  };
  if (auto done = steps(); !done) return reload_after(std::move(done));
  count_live(node, false);
  usage_.dead_records += 1;
  index_->erase(node);
  return {};
}

Status RecordArea::clear_data_bits(const Record& record, std::size_t index, std::byte mask) {
  const std::size_t data_offset = record.offset + record.size - record.data.size();
  const std::byte value = record.data[index] & mask;
  if (value == record.data[index]) return {};
  auto done = program(static_cast<std::uint32_t>(data_offset + index), std::span(&value, 1));
  return done ? std::move(done) : reload_after(std::move(done));
}

Status RecordArea::check_count(bool adds_one) const {
  if (!adds_one || usage_.live_records < max_live_variables) return {};
  return fail(Errc::no_space, fmt::format("there are {} variables already", max_live_variables));
}

Result<std::vector<std::byte>> RecordArea::compacted(const RecordContent* content) const {
  if (content != nullptr) {
    const bool adds_one = index_->find(content->name, content->guid) == nullptr;
    if (auto room = check_count(adds_one); !room) return forward(std::move(room));
  }
  std::vector<std::byte> area(mirror_.size(), erased);
  std::copy_n(mirror_.begin(), begin_, area.begin());
  std::size_t at = begin_;
  auto copy_all_in = [&](RecordState state) {
    for (const Index::Node* node = index_->head; node != nullptr; node = node->next) {
      if (node->state != state) continue;
      if (content != nullptr && node->name == content->name && node->guid == content->guid)
        continue;
      std::copy_n(mirror_.begin() + node->offset, node->size, area.begin() + static_cast<long>(at));
      area[at + record_state_offset] = static_cast<std::byte>(RecordState::added);
      at = align_record(at + node->size);
    }
  };
  copy_all_in(RecordState::added);
  copy_all_in(RecordState::in_deleted_transition);
  if (content != nullptr) {
    const auto bytes = encode_record(format_, *content, RecordState::added);
    if (bytes.size() > area.size() - at) {
      return fail(Errc::no_space,
                  fmt::format("a record of {} bytes does not fit: {} bytes are free "
                              "besides the live records",
                              bytes.size(), area.size() - at));
    }
    std::ranges::copy(bytes, area.begin() + static_cast<long>(at));
  }
  return area;
}

Result<std::vector<std::byte>> RecordArea::composed(std::span<const RecordContent> records) const {
  if (records.size() > max_live_variables) {
    return fail(Errc::no_space, fmt::format("{} variables are more than a store holds, {}",
                                            records.size(), max_live_variables));
  }
  std::vector<std::byte> area(mirror_.size(), erased);
  std::copy_n(mirror_.begin(), begin_, area.begin());
  std::size_t at = begin_;
  for (const RecordContent& content : records) {
    const auto bytes = encode_record(format_, content, RecordState::added);
    if (bytes.size() > area.size() - std::min(at, area.size())) {
      return fail(Errc::no_space, fmt::format("{} variables do not fit into {} bytes",
                                              records.size(), usage_.capacity));
    }
    std::ranges::copy(bytes, area.begin() + static_cast<long>(at));
    at = align_record(at + bytes.size());
  }
  return area;
}

void RecordArea::reset(std::vector<std::byte> mirror) {
  mirror_ = std::move(mirror);
  rebuild();
}

}  // namespace efistore::store
