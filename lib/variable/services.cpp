// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/variable/services.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "efistore/base/attributes.hpp"
#include "efistore/variable/variable_id.hpp"

#include "secure_boot.hpp"
#include "state.hpp"
#include "uefi_defined.hpp"
#include "var_check.hpp"

namespace efistore::variable {

namespace {

/// VARIABLE_STORE_HEADER, which the volatile store has room for although nobody reads it.
constexpr std::uint32_t store_header_size = 28;

store::RecordArea make_volatile_area(std::uint32_t size_bytes, store::RecordFormat format) {
  return store::RecordArea(std::vector<std::byte>(size_bytes, std::byte{0xff}), store_header_size,
                           format, nullptr);
}

VariableView view_of(const store::Record& record) noexcept {
  return {.name = record.name,
          .guid = record.guid,
          .attributes = record.attributes,
          .data = record.data,
          .time = record.time};
}

}  // namespace

Services::State::State(store::VariableStore opened, const Limits& size_limits,
                       const Options& options)
    : Conditions{.limits = size_limits,
                 .phase = options.phase,
                 .strict_runtime = options.strict_runtime,
                 .idle_reclaim_percent = options.idle_reclaim_percent,
                 .write_ready = options.write_ready,
                 .physically_present = options.physically_present,
                 .require_self_signed_pk = options.require_self_signed_pk,
                 .policies = PolicyTable(options.policy_disable_allowed)},
      nv(std::move(opened)),
      volatile_area(make_volatile_area(size_limits.volatile_store_size, nv.format())) {
  recount_user();
}

Services::State::State(const Conditions& conditions, store::VariableStore non_volatile,
                       store::RecordArea volatile_records)
    : Conditions(conditions),
      nv(std::move(non_volatile)),
      volatile_area(std::move(volatile_records)) {}

Existing Services::State::find(std::u16string_view name, const Guid& guid) const noexcept {
  if (const store::Record* record = volatile_area.find(name, guid)) return {record, true};
  return {nv.find(name, guid), false};
}

std::uint32_t Services::State::common_space() const noexcept {
  return nv.usage().capacity - limits.hardware_error_storage_size;
}

std::uint32_t Services::State::runtime_space() const noexcept {
  return common_space() - limits.boottime_reserved_size;
}

std::uint32_t Services::State::user_space() const noexcept {
  return limits.max_user_non_volatile_size != 0 ? limits.max_user_non_volatile_size
                                                : common_space();
}

std::uint32_t Services::State::common_used() const noexcept {
  return nv.usage().used - nv.usage().hardware_error_used;
}

void Services::State::recount_user() {
  user_used = 0;
  if (phase == Phase::boot_early || !has_user_quota()) return;
  nv.for_each_record([this](const store::RecordSummary& record) {
    const bool common = (record.attributes & attributes::hardware_error_record) == 0;
    if (common && is_user_name(*this, record.name, record.guid)) user_used += record.size;
  });
}

void ChangeLog::note(std::u16string_view name, const Guid& guid) {
  if (incomplete) return;
  if (ids.size() == max_ids) {
    ids.clear();
    incomplete = true;
    return;
  }
  ids.push_back({std::u16string(name), guid});
}

Services::Services(std::unique_ptr<State> state) : state_(std::move(state)) {}
Services::Services(Services&&) noexcept = default;
Services& Services::operator=(Services&&) noexcept = default;
Services::~Services() = default;

Result<Services> Services::create(store::VariableStore store, const Options& options) {
  const Limits limits = options.limits.value_or(Limits::for_layout(store.layout()));
  const std::uint32_t header = store::record_header_size(store.format());
  const auto [smallest, largest] =
      std::minmax({limits.max_variable_size, limits.max_authenticated_size,
                   limits.max_volatile_size, limits.max_hardware_error_size});
  if (smallest < header) {
    return fail(
        Errc::invalid_argument,
        fmt::format("a maximum variable size of {} bytes is less than the record header of {}",
                    smallest, header));
  }
  // Sums of a variable's size and a store's stay far below what 32 bits hold.
  if (largest > store::max_volume_size_bytes) {
    return fail(Errc::invalid_argument,
                fmt::format("a maximum variable size of {} bytes is more than the {} of any store",
                            largest, store::max_volume_size_bytes));
  }
  const std::uint64_t reserved =
      std::uint64_t{limits.hardware_error_storage_size} + limits.boottime_reserved_size;
  if (reserved > store.usage().capacity) {
    return fail(
        Errc::invalid_argument,
        fmt::format("{} bytes are set aside for hardware errors and boot, and the store has {}",
                    reserved, store.usage().capacity));
  }
  if (limits.volatile_store_size % 4 != 0 || limits.volatile_store_size < store_header_size ||
      limits.volatile_store_size > store::max_volume_size_bytes) {
    return fail(
        Errc::invalid_argument,
        fmt::format("a volatile store of {} bytes: expected a multiple of 4 from {} to {}",
                    limits.volatile_store_size, store_header_size, store::max_volume_size_bytes));
  }
  auto state = std::make_unique<State>(std::move(store), limits, options);
  if (auto started = start_policies(*state, options); !started) return forward(std::move(started));
  return Services(std::move(state));
}

EfiResult<VariableView> Services::get(std::u16string_view name, const Guid& guid) const {
  const Existing existing = state_->find(name, guid);
  if (!existing || !state_->shows(*existing.record)) return refuse(EfiStatus::not_found);
  return view_of(*existing.record);
}

EfiResult<VariableView> Services::get_next(std::u16string_view name, const Guid& guid) const {
  const store::RecordArea& volatile_area = state_->volatile_area;
  const store::VariableStore& nv = state_->nv;
  const store::Record* record = nullptr;
  bool in_volatile = true;
  if (name.empty()) {
    record = volatile_area.first();
  } else {
    const Existing current = state_->find(name, guid);
    if (!current || !state_->shows(*current.record)) {
      return refuse(EfiStatus::invalid_parameter,
                    "there is no variable of that name to go on from");
    }
    in_volatile = current.is_volatile;
    record = in_volatile ? volatile_area.next(*current.record) : nv.next(*current.record);
  }
  while (true) {
    if (record == nullptr) {
      if (!in_volatile) return refuse(EfiStatus::not_found);
      in_volatile = false;
      record = nv.first();
      continue;
    }
    // A volatile variable hides a non-volatile one of its name.
    const bool hidden = !in_volatile && volatile_area.find(record->name, record->guid) != nullptr;
    if (!hidden && state_->shows(*record)) return view_of(*record);
    record = in_volatile ? volatile_area.next(*record) : nv.next(*record);
  }
}

EfiResult<void> Services::set(const SetRequest& request) {
  return set_variable(*state_, request);
}

EfiResult<void> Services::set_all(std::span<const SetRequest> requests) {
  return transact(*state_, [&](State& state) -> EfiResult<void> {
    for (std::size_t i = 0; i < requests.size(); ++i) {
      auto done = set_variable(state, requests[i]);
      if (done) continue;
      EfiError& error = done.error();
      error.reason = fmt::format("change {} of {}, {}: {}", i + 1, requests.size(),
                                 to_string(requests[i].name, requests[i].guid),
                                 error.reason.empty() ? "refused" : error.reason);
      return done;
    }
    return {};
  });
}

EfiResult<void> Services::start_secure_boot() {
  return show_secure_boot(*state_);
}

SecureBootMode Services::secure_boot_mode() const noexcept {
  return variable::secure_boot_mode(*state_);
}

EfiResult<VariableInfo> Services::query(std::uint32_t attributes) const {
  using namespace attributes;
  const State& state = *state_;
  if (attributes == 0) return refuse(EfiStatus::invalid_parameter, "no attributes were given");
  if ((attributes & authenticated_write_access) != 0 || (attributes & supported) == 0) {
    return refuse(EfiStatus::unsupported, "attributes that are not supported");
  }
  const std::uint32_t access = attributes & (bootservice_access | runtime_access);
  const bool hardware_error = (attributes & hardware_error_record) != 0;
  const bool in_flash = (attributes & non_volatile) != 0;
  if (access == runtime_access || (attributes & supported) == non_volatile ||
      (hardware_error && !in_flash) || (state.at_runtime() && (attributes & runtime_access) == 0)) {
    return refuse(EfiStatus::invalid_parameter, "attributes that do not go together");
  }
  if ((attributes & time_based_authenticated_write_access) != 0) {
    if (!state.auth_supported()) {
      return refuse(EfiStatus::unsupported, "the store's format has no authenticated variables");
    }
  } else if (hardware_error && state.limits.hardware_error_storage_size == 0) {
    return refuse(EfiStatus::unsupported, "no space is set aside for hardware-error records");
  }

  const store::Usage& usage = in_flash ? state.nv.usage() : state.volatile_area.usage();
  // At boot, and wherever a reclaim can follow, what dead records hold is as good as free.
  const bool dead_count = state.at_runtime() && (state.strict_runtime || !in_flash);
  std::uint64_t used = 0;
  VariableInfo info;
  if (in_flash && hardware_error) {
    used = dead_count ? usage.hardware_error_used : usage.hardware_error_live;
    info.maximum_storage_size = state.limits.hardware_error_storage_size;
    info.maximum_variable_size = state.limits.max_hardware_error_size;
  } else {
    used = dead_count ? usage.used - usage.hardware_error_used
                      : usage.live - usage.hardware_error_live;
    info.maximum_storage_size = usage.capacity;
    if (in_flash) {
      info.maximum_storage_size = state.at_runtime() ? state.runtime_space() : state.common_space();
    }
    info.maximum_variable_size = (attributes & any_authenticated) != 0
                                     ? state.limits.max_authenticated_size
                                 : in_flash ? state.limits.max_variable_size
                                            : state.limits.max_volatile_size;
  }
  info.remaining_storage_size =
      info.maximum_storage_size - std::min(used, info.maximum_storage_size);
  const std::uint64_t header = state.header_size();
  info.maximum_variable_size -= header;
  const std::uint64_t left = info.remaining_storage_size;
  info.maximum_variable_size =
      std::min(info.maximum_variable_size, left < header ? 0 : left - header);
  return info;
}

void Services::write_ready() noexcept {
  state_->write_ready = true;
}

EfiResult<void> Services::end_of_dxe() {
  if (state_->at_runtime()) {
    return refuse(EfiStatus::unsupported, "the operating system runs already");
  }
  if (state_->phase == Phase::boot_early) {
    state_->phase = Phase::boot;
    state_->lock_policies();
    state_->recount_user();
  }
  if (auto done = initialize_memory_overwrite_lock(*state_); !done) return done;
  return initialize_error_flag(*state_);
}

EfiResult<void> Services::ready_to_boot() {
  State& state = *state_;
  if (state.at_runtime())
    return refuse(EfiStatus::unsupported, "the operating system runs already");
  if (state.phase == Phase::boot_early) {
    if (auto done = end_of_dxe(); !done) return done;
  }
  if (state.ready_to_boot_done) return {};
  const Limits& limits = state.limits;
  const std::uint32_t used = state.common_used();
  const std::uint32_t space = state.runtime_space();
  const std::uint32_t left = space > used ? space - used : 0;
  const std::uint32_t hardware_used = state.nv.usage().hardware_error_used;
  const std::uint32_t hardware_space = limits.hardware_error_storage_size;
  const std::uint32_t hardware_left =
      hardware_space > hardware_used ? hardware_space - hardware_used : 0;
  const bool short_of_space =
      left < std::max(limits.max_variable_size, limits.max_authenticated_size) ||
      (hardware_space != 0 && hardware_left < limits.max_hardware_error_size);
  auto done = short_of_space ? reclaim() : EfiResult<void>{};
  // Without a spare area there is no reclaim; the boot goes on as it does in a full store.
  if (!done && done.error().status == EfiStatus::unsupported) done = {};
  state.ready_to_boot_done = done.has_value();
  return done;
}

void Services::exit_boot_services() {
  state_->phase = Phase::runtime;
  state_->lock_policies();
}

Phase Services::phase() const noexcept {
  return state_->phase;
}

EfiResult<void> Services::reclaim() {
  if (!state_->write_ready) {
    return refuse(EfiStatus::not_available_yet, "the flash cannot be written yet");
  }
  auto done = to_efi(state_->nv.reclaim());
  state_->recount_user();
  return done;
}

EfiResult<bool> Services::reclaim_when_idle() {
  const State& state = *state_;
  const bool written = state.write_ready && !state.nv.read_only() && !state.nv.report().damaged;
  if (!written || (state.at_runtime() && state.strict_runtime)) return false;
  const store::Usage& usage = state.nv.usage();
  const std::uint64_t dead = usage.used - usage.live;
  if (dead == 0 || dead * 100 < std::uint64_t{usage.capacity} * state.idle_reclaim_percent) {
    return false;
  }
  if (auto done = reclaim(); !done) {
    if (done.error().status == EfiStatus::unsupported) return false;  // no spare area
    return tl::unexpected(std::move(done).error());
  }
  return true;
}

ChangeLog Services::take_changes() {
  return std::exchange(state_->changes, {});
}

const store::VariableStore& Services::store() const noexcept {
  return state_->nv;
}

const Limits& Services::limits() const noexcept {
  return state_->limits;
}

}  // namespace efistore::variable
