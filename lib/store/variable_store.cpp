// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/store/variable_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "efistore/base/bytes.hpp"

#include "fault_tolerant_write.hpp"
#include "firmware_volume.hpp"

namespace efistore::store {

namespace {

constexpr std::byte erased{0xff};

Status check_blocks(const flash::Device& device, const Layout& layout) {
  const flash::Geometry& geometry = device.geometry();
  if (layout.volume_size_bytes > geometry.size_bytes) {
    return fail(Errc::invalid_argument,
                fmt::format("{} has {:#x} bytes, the layout needs {:#x}", device.name(),
                            geometry.size_bytes, layout.volume_size_bytes));
  }
  if (layout.block_size_bytes % geometry.erase_block_size_bytes != 0) {
    return fail(
        Errc::invalid_argument,
        fmt::format("{} erases blocks of {:#x} bytes, the layout has blocks of {:#x}",
                    device.name(), geometry.erase_block_size_bytes, layout.block_size_bytes));
  }
  return {};
}

/// Reads the variables as they stand, from the spare area while they are copied from there.
Result<std::vector<std::byte>> read_variables(flash::Device& device, const Layout& layout) {
  const auto ftw = read_ftw(device, layout);
  if (!ftw) return forward(Result<FtwInspection>(ftw));
  std::vector<std::byte> variables(layout.variables.size);
  const flash::Range valid = valid_variables(*ftw, layout);
  if (auto done = device.read(valid.offset, variables); !done) return forward(std::move(done));
  return variables;
}

Status program(flash::Device& device, std::uint64_t offset, std::span<const std::byte> data) {
  if (auto done = device.program(offset, data); !done) return done;
  return device.sync();
}

/// Clears what of `range` is not erased.
Status clear(flash::Device& device, flash::Range range) {
  std::vector<std::byte> bytes(range.size);
  if (auto done = device.read(range.offset, bytes); !done) return done;
  if (is_filled(bytes, erased)) return {};
  std::ranges::fill(bytes, std::byte{0});
  return program(device, range.offset, bytes);
}

/// Clears the headers that stand where a volume of `layout` is to come, so that no mixture of old
/// and erased bits, in a block whose erase was cut, can pass for one: those of the volume, and of
/// every working area that could speak of a copy of it. The volume's signature is first, because
/// headers in which it is torn are none, and in which another field is torn could be others.
Status clear_headers(flash::Device& device, const Layout& layout) {
  const flash::Range signature{volume_signature_offset, volume_signature_size};
  if (auto done = clear(device, signature); !done) return done;
  if (auto done = clear(device, {0, volume_header_size}); !done) return done;
  std::array<std::byte, ftw_header_size> header{};
  for (std::uint64_t at = 0; at + header.size() <= layout.volume_size_bytes;
       at += ftw_search_step) {
    if (auto done = device.read(at, header); !done) return done;
    if (ftw_working_size(header) == 0) continue;
    if (auto done = clear(device, {at, header.size()}); !done) return done;
  }
  return {};
}

}  // namespace

Status VariableStore::format(flash::Device& device, const Layout& layout) {
  if (auto fits = check_blocks(device, layout); !fits) return fits;
  if (auto done = clear_headers(device, layout); !done) return done;
  // Every block, those that read as erased too: an earlier erase of theirs may have been cut.
  for (std::uint64_t at = 0; at < layout.volume_size_bytes; at += layout.block_size_bytes) {
    if (auto done = device.erase({at, layout.block_size_bytes}); !done) return done;
  }
  if (layout.ftw_working.size != 0) {
    const auto ftw = build_ftw_header(static_cast<std::uint32_t>(layout.ftw_working.size));
    if (auto done = device.program(layout.ftw_working.offset, ftw); !done) return done;
  }
  if (auto done = device.sync(); !done) return done;
  // The headers come last, and of them the signature: a volume that was cut short is none.
  auto headers = build_headers(layout);
  const auto signature = std::span(headers).subspan(volume_signature_offset, volume_signature_size);
  const std::vector<std::byte> last(signature.begin(), signature.end());
  std::ranges::fill(signature, erased);
  if (auto done = program(device, 0, headers); !done) return done;
  return program(device, volume_signature_offset, last);
}

VariableStore::VariableStore(std::unique_ptr<flash::Device> device, const Layout& layout,
                             RecordArea area)
    : device_(std::move(device)), layout_(layout), area_(std::move(area)) {}

Result<VariableStore> VariableStore::open(std::unique_ptr<flash::Device> device,
                                          const OpenOptions& options) {
  const auto layout = detect_layout(*device);
  if (!layout) return forward(Result<Layout>(layout));
  if (auto fits = check_blocks(*device, *layout); !fits) return forward(std::move(fits));
  OpenReport report;
  bool read_only = options.read_only || device->read_only();
  // What is damaged is left as it is: a recovery could erase what is whole, be it the old variables
  // under a damaged copy or the copy behind damaged variables.
  auto examination = examine(*device);
  if (examination && !read_only && !examination->damaged()) {
    const auto recovered = recover_variables(*device, *layout);
    if (recovered) {
      report.recovery = *recovered;
    } else {
      read_only = true;
      report.not_written_because = recovered.error().message;
    }
    if (!recovered || *recovered != FtwRecovery::none) examination = examine(*device);
  }
  if (!examination) return forward(std::move(examination));
  auto mirror = read_variables(*device, *layout);
  if (!mirror) return forward(std::move(mirror), device->name());
  const auto volume = parse_volume_header(*mirror);
  if (!volume) return forward(Result<VolumeHeader>(volume), device->name());

  flash::Device* const flash = device.get();
  VariableStore store(std::move(device), *layout,
                      RecordArea(std::move(*mirror), first_record_offset(volume->header_size_bytes),
                                 layout->format, flash));
  if (store.area_.overfull()) {
    return fail(Errc::damaged,
                fmt::format("{} holds more than {} variables", flash->name(), max_live_variables));
  }
  report.damaged = examination->damaged();
  report.findings = std::move(examination->findings);
  store.report_ = std::move(report);
  store.read_only_ = read_only;
  if (!read_only && !store.report_.damaged && store.area_.tail_used() && store.reclaim()) {
    // A failure leaves the store readable, and says why it is no more than that.
    store.report_.reclaimed = true;
    auto after = examine(*flash);
    if (!after) return forward(std::move(after));
    store.report_.findings = std::move(after->findings);
  }
  return store;
}

Status VariableStore::check_writable() const {
  if (device_ == nullptr) return {};  // staged: adopt() looks
  if (!report_.not_written_because.empty()) {
    return fail(Errc::read_only,
                fmt::format("{} is not written: {}", device_->name(), report_.not_written_because));
  }
  if (read_only_)
    return fail(Errc::read_only, fmt::format("{} is open read-only", device_->name()));
  if (report_.damaged) {
    const auto damage = std::ranges::find(report_.findings, Severity::damage, &Finding::severity);
    return fail(Errc::damaged,
                fmt::format("{} is damaged, and a change could lose more: at {:#x}, {}",
                            device_->name(), damage->where.offset, damage->what));
  }
  return {};
}

/// Hands a change's outcome on. After a failure of the device, or where it does not hold what it
/// should, nothing more is written.
Status VariableStore::changed(Status done) {
  if (!done && (done.error().code == Errc::io || done.error().code == Errc::bit_set)) {
    report_.not_written_because = "an earlier change failed: " + done.error().message;
    read_only_ = true;
  }
  return done;
}

/// Hands the outcome of writing a record on.
Status VariableStore::counted(Status done, const RecordContent& content) {
  if (done) written_record_bytes_ += align_record(record_size(format(), content));
  return done;
}

Status VariableStore::put(const RecordContent& content) {
  if (auto writable = check_writable(); !writable) return writable;
  return counted(changed(area_.put(content)), content);
}

Status VariableStore::remove(const Record& record) {
  if (auto writable = check_writable(); !writable) return writable;
  return changed(area_.remove(record));
}

Status VariableStore::clear_data_bits(const Record& record, std::size_t index, std::byte mask) {
  if (auto writable = check_writable(); !writable) return writable;
  return changed(area_.clear_data_bits(record, index, mask));
}

Status VariableStore::reclaim() {
  if (auto writable = check_writable(); !writable) return writable;
  return rewrite(area_.compacted(nullptr));
}

Status VariableStore::reclaim_with(const RecordContent& content) {
  if (auto writable = check_writable(); !writable) return writable;
  return counted(rewrite(area_.compacted(&content)), content);
}

Status VariableStore::replace_all(std::span<const Variable> variables) {
  if (auto writable = check_writable(); !writable) return writable;
  std::vector<RecordContent> records;
  records.reserve(variables.size());
  std::set<std::pair<std::u16string_view, Guid>> names;
  for (const Variable& variable : variables) {
    const std::string id = fmt::format("the variable of GUID {}", to_string(variable.guid));
    if (variable.name.empty() || variable.name.find(u'\0') != std::u16string::npos) {
      return fail(Errc::invalid_argument, id + " has an empty name, or one with a NUL in it");
    }
    if (!names.emplace(variable.name, variable.guid).second) {
      return fail(Errc::invalid_argument, id + " is there twice under one name");
    }
    if (format() == RecordFormat::normal &&
        (!variable.time.is_zero() || variable.monotonic_count != 0 ||
         variable.public_key_index != 0)) {
      return fail(Errc::invalid_argument,
                  id + " has authentication data, and the store's normal format cannot hold it");
    }
    records.emplace_back(variable);
  }
  return rewrite(area_.composed(records));
}

VariableStore VariableStore::staged() const {
  VariableStore copy(nullptr, layout_, area_.in_memory());
  copy.report_ = report_;
  return copy;
}

namespace {

bool same_content(const Record& a, const Record& b) noexcept {
  return a.attributes == b.attributes && a.time == b.time &&
         a.monotonic_count == b.monotonic_count && a.public_key_index == b.public_key_index &&
         equal_bytes(a.data, b.data);
}

}  // namespace

Status VariableStore::adopt(const VariableStore& changed) {
  const Record* put_one = nullptr;
  const Record* remove_one = nullptr;
  std::size_t changes = 0;
  for (const Record* record = changed.first(); record != nullptr; record = changed.next(*record)) {
    const Record* const present = find(record->name, record->guid);
    if (present != nullptr && same_content(*present, *record)) continue;
    put_one = record;
    ++changes;
  }
  for (const Record* record = first(); record != nullptr; record = next(*record)) {
    if (changed.find(record->name, record->guid) != nullptr) continue;
    remove_one = record;
    ++changes;
  }
  if (changes == 0) return {};
  if (changes == 1) {
    if (remove_one != nullptr) return remove(*remove_one);
    const RecordContent content(*put_one);
    // Space set aside for others can be what made it compact.
    return changed.rewritten_ ? reclaim_with(content) : put(content);
  }
  if (auto writable = check_writable(); !writable) return writable;
  std::vector<RecordContent> all;
  all.reserve(changed.usage().live_records);
  for (const Record* record = changed.first(); record != nullptr; record = changed.next(*record)) {
    all.emplace_back(*record);
  }
  auto done = rewrite(area_.composed(all));
  if (done) written_record_bytes_ += usage().capacity;
  return done;
}

/// Replaces the variables area, headers included, by `area`.
Status VariableStore::rewrite(Result<std::vector<std::byte>> area) {
  if (!area) return forward(std::move(area));
  if (device_ == nullptr) {
    area_.reset(std::move(*area));
    rewritten_ = true;
    return {};
  }
  if (auto done = write_variables(*device_, layout_, *area); !done) {
    if (auto now = read_variables(*device_, layout_)) area_.reset(std::move(*now));
    return changed(std::move(done));
  }
  area_.reset(std::move(*area));
  return {};
}

}  // namespace efistore::store
