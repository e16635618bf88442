// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include "efistore/base/attributes.hpp"
#include "efistore/base/bytes.hpp"

#include "state.hpp"
#include "var_check.hpp"

namespace efistore::variable {

namespace {

using store::align_record;
using store::RecordContent;

/// EDK2 compares the bare size with the space and adds the padded one to what is used.
struct Sizes {
  std::uint32_t bare;
  std::uint32_t padded;
};

/// Which of the quotas a write would break.
struct Quotas {
  bool hardware_error = false;
  bool common = false;
  bool runtime = false;
  bool user = false;

  bool broken() const noexcept { return hardware_error || common || runtime || user; }
};

bool is_hardware_error(std::uint32_t attributes) noexcept {
  return (attributes & attributes::hardware_error_record) != 0;
}

bool is_user_variable(const Services::State& state, const RecordContent& content) noexcept {
  return state.phase != Phase::boot_early && state.has_user_quota() &&
         is_user_name(state, content.name, content.guid);
}

/// With the dead records where they are.
Quotas quotas_of_append(const Services::State& state, const RecordContent& content, Sizes size) {
  const store::Usage& usage = state.nv.usage();
  if (is_hardware_error(content.attributes)) {
    return {.hardware_error =
                size.bare + usage.hardware_error_used > state.limits.hardware_error_storage_size};
  }
  const std::uint32_t needed = size.bare + state.common_used();
  return {
      .common = needed > state.common_space(),
      .runtime = state.at_runtime() && needed > state.runtime_space(),
      .user = is_user_variable(state, content) && size.bare + state.user_used > state.user_space()};
}

std::uint32_t live_user_bytes(const Services::State& state) {
  std::uint32_t bytes = 0;
  for (const auto* r = state.nv.first(); r != nullptr; r = state.nv.next(*r)) {
    if (!is_hardware_error(r->attributes) && is_user_name(state, r->name, r->guid)) {
      bytes += static_cast<std::uint32_t>(align_record(r->size));
    }
  }
  return bytes;
}

/// After a reclaim, in which `replaced` goes.
Quotas quotas_of_reclaim(const Services::State& state, const RecordContent& content, Sizes size,
                         const store::Record* replaced) {
  const store::Usage& usage = state.nv.usage();
  const std::uint32_t freed =
      replaced == nullptr ? 0 : static_cast<std::uint32_t>(align_record(replaced->size));
  if (is_hardware_error(content.attributes)) {
    return {.hardware_error = usage.hardware_error_live - freed + size.padded >
                              state.limits.hardware_error_storage_size};
  }
  const std::uint32_t needed = usage.live - usage.hardware_error_live - freed + size.padded;
  return {.common = needed > state.common_space(),
          .runtime = state.at_runtime() && needed > state.runtime_space(),
          .user = is_user_variable(state, content) &&
                  live_user_bytes(state) - freed + size.padded > state.user_space()};
}

EfiResult<void> refuse_for_space(Services::State& state, const Quotas& quotas, std::uint32_t size) {
  if (quotas.user) record_error(state, user_error_flag);
  if (quotas.common || quotas.runtime) record_error(state, system_error_flag);
  return refuse(EfiStatus::out_of_resources,
                fmt::format("there is no room for a record of {} bytes", size));
}

EfiResult<void> write_non_volatile(Services::State& state, const RecordContent& content,
                                   const store::Record* replaced) {
  const auto bare = static_cast<std::uint32_t>(store::record_size(state.nv.format(), content));
  const Sizes size{bare, static_cast<std::uint32_t>(align_record(bare))};
  const Quotas quotas = quotas_of_append(state, content, size);
  const bool user = is_user_variable(state, content) && !is_hardware_error(content.attributes);
  if (!quotas.broken()) {
    Status done = state.nv.put(content);
    if (done) {
      if (user) state.user_used += size.padded;
      return {};
    }
    if (done.error().code != Errc::no_space) {
      // What of the record went out before the failure takes its space.
      state.recount_user();
      return to_efi(std::move(done));
    }
  }
  if (state.at_runtime() && state.strict_runtime) return refuse_for_space(state, quotas, bare);
  const Quotas after = quotas_of_reclaim(state, content, size, replaced);
  if (after.broken()) return refuse_for_space(state, after, bare);
  Status done = state.nv.reclaim_with(content);
  state.recount_user();
  // A store without a spare area cannot be compacted: its dead records take their space for good.
  const bool no_room =
      !done && (done.error().code == Errc::no_space || done.error().code == Errc::unsupported);
  if (no_room) {
    return refuse_for_space(state, {.common = !is_hardware_error(content.attributes)}, bare);
  }
  return to_efi(std::move(done));
}

/// The most data that an append may leave, given the name.
std::uint64_t max_data_size(const Services::State& state, const store::Record& record) noexcept {
  const Limits& limits = state.limits;
  std::uint32_t limit = limits.max_volatile_size;
  if (is_hardware_error(record.attributes)) {
    limit = limits.max_hardware_error_size;
  } else if ((record.attributes & attributes::any_authenticated) != 0) {
    limit = limits.max_authenticated_size;
  } else if ((record.attributes & attributes::non_volatile) != 0) {
    limit = limits.max_variable_size;
  }
  const std::uint64_t in_front = record.size - record.data.size();
  return limit > in_front ? limit - in_front : 0;
}

EfiResult<void> check_existing(const Services::State& state, const Existing& existing) {
  if (!state.at_runtime()) return {};
  if (existing.is_volatile) {
    return refuse(EfiStatus::write_protected, "volatile variables are read-only at runtime");
  }
  // A non-volatile store can still hold a record that lost these bits.
  const std::uint32_t wanted = attributes::non_volatile | attributes::runtime_access;
  if ((existing.record->attributes & wanted) != wanted) {
    return refuse(EfiStatus::invalid_parameter, "the variable cannot be changed at runtime");
  }
  return {};
}

EfiResult<void> check_creation(const Services::State& state, const SetRequest& request) {
  const std::uint32_t wanted = attributes::non_volatile | attributes::runtime_access;
  if (state.at_runtime() && (request.attributes & wanted) != wanted) {
    return refuse(EfiStatus::invalid_parameter,
                  "at runtime only non-volatile variables with runtime access can be made");
  }
  return {};
}

}  // namespace

EfiResult<void> write_volatile(Services::State& state, const RecordContent& content) {
  Status done = state.volatile_area.put(content);
  if (done || done.error().code != Errc::no_space) return to_efi(std::move(done));
  auto compacted = state.volatile_area.compacted(&content);
  if (!compacted) {
    return refuse(EfiStatus::out_of_resources, "there is no room for the volatile variable");
  }
  state.volatile_area.reset(std::move(*compacted));
  return {};
}

EfiResult<void> remove_variable(Services::State& state, const Existing& existing) {
  const store::Record& record = *existing.record;
  VariableId id{std::u16string(record.name), record.guid};
  Status done = existing.is_volatile ? state.volatile_area.remove(record) : state.nv.remove(record);
  if (done) state.changes.note(id.name, id.guid);
  return to_efi(std::move(done));
}

EfiResult<void> update_variable(Services::State& state, const SetRequest& request,
                                const std::optional<EfiTime>& time) {
  const Existing existing = state.find(request.name, request.guid);
  const bool to_flash = (request.attributes & attributes::non_volatile) != 0;
  const bool touches_flash = to_flash || (existing && !existing.is_volatile);
  if (touches_flash && !state.write_ready) {
    return refuse(EfiStatus::not_available_yet, "the flash cannot be written yet");
  }
  // A variable's attributes can name the other store than the one that has it: Lang may have been
  // volatile before EndOfDxe, or a foreign image have kept a volatile variable in flash.
  const bool moves = existing && existing.is_volatile == to_flash;
  const bool append = (request.attributes & attributes::append_write) != 0;
  RecordContent content(request.name, request.guid, request.attributes & ~attributes::append_write,
                        request.data);
  if (time) content.time = *time;
  std::vector<std::byte> merged;
  if (existing) {
    if (auto allowed = check_existing(state, existing); !allowed) return allowed;
    const store::Record& record = *existing.record;
    if (is_deletion(request.attributes, request.data.size()))
      return remove_variable(state, existing);
    if (append) {
      if (record.data.size() + request.data.size() > max_data_size(state, record)) {
        return refuse(
            EfiStatus::invalid_parameter,
            fmt::format("with {} bytes more the variable would be too large", request.data.size()));
      }
      merged.assign(record.data.begin(), record.data.end());
      merged.insert(merged.end(), request.data.begin(), request.data.end());
      content.data = merged;
      if (time && record.time.is_later_than(*time)) content.time = record.time;
    } else if (!moves && !time && equal_bytes(record.data, request.data)) {
      return {};
    }
  } else {
    if (append && request.data.empty()) return {};
    if (is_deletion(request.attributes, request.data.size())) return refuse(EfiStatus::not_found);
    if (auto allowed = check_creation(state, request); !allowed) return allowed;
  }
  // The request's name may be the record's own, which a reclaim moves.
  const std::u16string name(request.name);
  auto done = to_flash ? write_non_volatile(state, content, moves ? nullptr : existing.record)
                       : write_volatile(state, content);
  if (!done) return done;
  state.changes.note(name, request.guid);
  if (!moves) return done;
  return to_efi(existing.is_volatile ? state.volatile_area.remove(*existing.record)
                                     : state.nv.remove(*existing.record));
}

EfiStatus status_of(const Error& error) noexcept {
  switch (error.code) {
    case Errc::no_space:
      return EfiStatus::out_of_resources;
    case Errc::read_only:
    case Errc::permission:
      return EfiStatus::write_protected;
    case Errc::damaged:
    case Errc::blank:
      return EfiStatus::volume_corrupted;
    case Errc::invalid_argument:
    case Errc::out_of_range:
      return EfiStatus::invalid_parameter;
    case Errc::unsupported:
      return EfiStatus::unsupported;
    case Errc::not_found:
    case Errc::already_exists:
    case Errc::busy:
    case Errc::bit_set:
    case Errc::io:
      return EfiStatus::device_error;
  }
  return EfiStatus::device_error;
}

EfiResult<void> to_efi(Status status) {
  if (status) return {};
  const EfiStatus code = status_of(status.error());
  return refuse(code, std::move(status.error().message));
}

}  // namespace efistore::variable
