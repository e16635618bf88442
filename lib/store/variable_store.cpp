// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/store/variable_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "efistore/base/bytes.hpp"

#include "firmware_volume.hpp"
#include "ftw.hpp"

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

/// Erases those blocks of the range that are not erased.
Status erase_used(flash::Device& device, flash::Range range, std::uint32_t block_size_bytes) {
  std::vector<std::byte> block(block_size_bytes);
  for (std::uint64_t at = range.offset; at < range.end(); at += block.size()) {
    if (auto done = device.read(at, block); !done) return done;
    if (is_filled(block, erased)) continue;
    if (auto done = device.erase({at, block.size()}); !done) return done;
  }
  return {};
}

Result<FtwInspection> read_ftw(flash::Device& device, const Layout& layout) {
  std::vector<std::byte> working(layout.ftw_working.size);
  if (auto done = device.read(layout.ftw_working.offset, working); !done) {
    return forward(std::move(done));
  }
  return inspect_ftw(working);
}

}  // namespace

Status VariableStore::format(flash::Device& device, const Layout& layout) {
  if (auto fits = check_blocks(device, layout); !fits) return fits;
  if (auto done = erase_used(device, {0, layout.volume_size_bytes}, layout.block_size_bytes);
      !done) {
    return done;
  }
  if (layout.ftw_working.size != 0) {
    const auto ftw = build_ftw_header(static_cast<std::uint32_t>(layout.ftw_working.size));
    if (auto done = device.program(layout.ftw_working.offset, ftw); !done) return done;
  }
  if (auto done = device.sync(); !done) return done;
  // The headers come last: a volume that was cut short is blank or none at all.
  if (auto done = device.program(0, build_headers(layout)); !done) return done;
  return device.sync();
}

VariableStore::VariableStore(std::unique_ptr<flash::Device> device, const Layout& layout,
                             RecordArea area)
    : device_(std::move(device)), layout_(layout), area_(std::move(area)) {}

Result<VariableStore> VariableStore::open(std::unique_ptr<flash::Device> device,
                                          const OpenOptions& options) {
  const auto layout = detect_layout(*device);
  if (!layout) return forward(Result<Layout>(layout));
  if (auto fits = check_blocks(*device, *layout); !fits) return forward(std::move(fits));
  const auto ftw = read_ftw(*device, *layout);
  if (!ftw) return forward(Result<FtwInspection>(ftw), device->name());
  if (ftw->state == FtwState::copying) {
    return fail(
        Errc::unsupported,
        fmt::format("{}: firmware was interrupted while it rewrote the variables, and the "
                    "valid copy is the one in the spare area at {:#x}; let the firmware boot "
                    "once to complete it",
                    device->name(), layout->ftw_spare.offset));
  }
  std::vector<std::byte> mirror(layout->variables.size);
  if (auto done = device->read(0, mirror); !done) return forward(std::move(done), device->name());
  const auto volume = parse_volume_header(mirror);
  if (!volume) return forward(Result<VolumeHeader>(volume), device->name());

  flash::Device* const flash = device.get();
  VariableStore store(std::move(device), *layout,
                      RecordArea(std::move(mirror), first_record_offset(volume->header_size_bytes),
                                 layout->format, flash));
  if (store.area_.overfull()) {
    return fail(Errc::damaged,
                fmt::format("{} holds more than {} variables", flash->name(), max_live_variables));
  }
  auto examination = examine(*flash);
  if (!examination) return forward(std::move(examination));
  store.report_.damaged = examination->damaged();
  store.report_.findings = std::move(examination->findings);
  store.read_only_ = options.read_only || flash->read_only();
  if (!store.read_only_ && !store.report_.damaged && store.area_.tail_used()) {
    if (auto done = store.reclaim(); !done) return forward(std::move(done));
    store.report_.reclaimed = true;
  }
  return store;
}

Status VariableStore::check_writable() const {
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

Status VariableStore::put(const RecordContent& content) {
  if (auto writable = check_writable(); !writable) return writable;
  return area_.put(content);
}

Status VariableStore::remove(const Record& record) {
  if (auto writable = check_writable(); !writable) return writable;
  return area_.remove(record);
}

Status VariableStore::clear_data_bits(const Record& record, std::size_t index, std::byte mask) {
  if (auto writable = check_writable(); !writable) return writable;
  return area_.clear_data_bits(record, index, mask);
}

Status VariableStore::reclaim() {
  if (auto writable = check_writable(); !writable) return writable;
  return rewrite(area_.compacted(nullptr));
}

Status VariableStore::reclaim_with(const RecordContent& content) {
  if (auto writable = check_writable(); !writable) return writable;
  return rewrite(area_.compacted(&content));
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

/// Replaces the variables area, headers included, by `area`.
Status VariableStore::rewrite(Result<std::vector<std::byte>> area) {
  if (!area) return forward(std::move(area));
  if (auto done = replace_variables(*device_, layout_, area_.bytes(), *area); !done) {
    std::vector<std::byte> mirror(area->size());
    if (device_->read(0, mirror)) area_.reset(std::move(mirror));
    return done;
  }
  area_.reset(std::move(*area));
  return {};
}

}  // namespace efistore::store
