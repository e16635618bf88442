// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The functions of EDK2's variable protocol (SmmVariableHandler in VariableSmm.c).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "efistore/base/attributes.hpp"
#include "efistore/store/record.hpp"
#include "efistore/variable/write_budget.hpp"

#include "state.hpp"

namespace efistore::mm {

namespace {

using Access = AccessStatistics::Access;
using variable::VariableId;

/// EDK2 adds the size of a structure and takes off the header of a record.
constexpr std::size_t access_structure_size = 48;
/// Sizes that an administrator may give are larger than any frame can be.
constexpr std::size_t max_variable_payload = 1U << 20;

/// SMM_VARIABLE_COMMUNICATE_ACCESS_VARIABLE.
struct AccessVariable {
  std::u16string_view name;
  Guid guid;
  std::uint32_t attributes = 0;
  std::span<std::byte> data;
};

EfiResult<AccessVariable> read_access(const Call& call) {
  const auto payload = call.payload;
  ByteReader reader(payload);
  AccessVariable access;
  access.guid = Guid::from_bytes(reader.take(sizeof(Guid)));
  const std::uint64_t data_size = reader.u64();
  const std::uint64_t name_size = reader.u64();
  access.attributes = reader.u32();
  const std::uint64_t room = payload.size() - offsets::access_name;
  if (name_size > room || data_size > room - name_size) {
    return refuse(EfiStatus::access_denied,
                  fmt::format("NameSize {} and DataSize {}: the payload has room for {} bytes",
                              name_size, data_size, room));
  }
  const auto content = payload.subspan(offsets::access_name);
  const auto name = read_name(content.first(static_cast<std::size_t>(name_size)), call.state.name);
  if (!name) return tl::unexpected(name.error());
  access.name = *name;
  access.data =
      content.subspan(static_cast<std::size_t>(name_size), static_cast<std::size_t>(data_size));
  return access;
}

EfiResult<void> check_limit(const Call& call) {
  const std::size_t limit = variable_payload_limit(call.services());
  if (call.payload.size() <= limit) return {};
  return refuse(
      EfiStatus::invalid_parameter,
      fmt::format("a payload of {} bytes: expected at most {}", call.payload.size(), limit));
}

EfiResult<void> get_variable(Call& call) {
  const auto access = read_access(call);
  if (!access) return tl::unexpected(access.error());
  const auto found = call.services().get(access->name, access->guid);
  if (!found) return tl::unexpected(found.error());
  put(call.payload, 16, std::uint64_t{found->data.size()});
  put(call.payload, 32, found->attributes);
  if (access->data.size() < found->data.size()) return refuse(EfiStatus::buffer_too_small);
  std::ranges::copy(found->data, access->data.begin());
  call.state.statistics.note(access->name, access->guid, found->attributes, Access::read);
  return {};
}

EfiResult<void> get_next_variable_name(Call& call) {
  const auto buffer = call.payload.subspan(offsets::next_name);
  ByteReader reader(call.payload);
  const Guid guid = Guid::from_bytes(reader.take(sizeof(Guid)));
  const std::uint64_t available = reader.u64();
  if (available > buffer.size()) {
    return refuse(
        EfiStatus::access_denied,
        fmt::format("NameSize {}: the payload has room for {} bytes", available, buffer.size()));
  }
  const auto terminated = read_name(buffer, call.state.name);
  if (!terminated) return tl::unexpected(terminated.error());
  // Within NameSize, which may be less than what ends in the NUL.
  if (terminated->size() >= available / sizeof(char16_t)) {
    return refuse(EfiStatus::invalid_parameter, "the name has no NUL within NameSize");
  }
  const auto found = call.services().get_next(*terminated, guid);
  if (!found) return tl::unexpected(found.error());
  const std::size_t needed = name_size_of(found->name);
  put(call.payload, 16, std::uint64_t{needed});
  if (available < needed) return refuse(EfiStatus::buffer_too_small);
  put(call.payload, 0, found->guid);
  put_name(buffer, 0, found->name);
  return {};
}

/// What a SetVariable that is carried out will cost, from the sizes alone: what comes along with an
/// authenticated one is left out.
std::uint64_t expected_cost(const store::VariableStore& store, const variable::SetRequest& request,
                            const std::optional<variable::VariableView>& before) {
  if ((request.attributes & attributes::non_volatile) == 0) return 0;
  const auto size_of = [&store, &request](std::span<const std::byte> data) {
    return std::uint64_t{store::align_record(store::record_size(
        store.format(), {request.name, request.guid, request.attributes, data}))};
  };
  const std::uint64_t replaced = before ? size_of(before->data) : 0;
  std::uint64_t written = size_of(request.data);
  if (before && (request.attributes & attributes::append_write) != 0) {
    written += before->data.size();
  }
  store::Usage usage = store.usage();
  const std::uint64_t kept = usage.live - std::min<std::uint64_t>(usage.live, replaced);
  usage.live = static_cast<std::uint32_t>(std::min<std::uint64_t>(usage.capacity, kept + written));
  return variable::wear_cost(written, usage);
}

EfiResult<void> set_variable(Call& call) {
  const auto access = read_access(call);
  if (!access) return tl::unexpected(access.error());
  const auto [name, guid, attributes, data] = *access;
  const auto before = call.services().get(name, guid);
  const std::uint32_t attributes_before = before ? before->attributes : 0;
  const variable::SetRequest request{
      .name = name, .guid = guid, .attributes = attributes, .data = data};
  const auto set = [&] { return call.services().set(request); };
  // A deletion takes no room, and who is over the limit shall be able to make some.
  const bool deletes = data.empty() && (attributes & attributes::append_write) == 0;
  const auto cost = [&] {
    return expected_cost(call.services().store(), request,
                         before ? std::optional(*before) : std::nullopt);
  };
  auto done = deletes ? set() : write_within_limits(call, cost(), set);
  if (!done) return done;
  const auto after = call.services().get(name, guid);
  if (after) {
    call.state.statistics.note(name, guid, after->attributes, Access::write);
  } else if (before) {
    call.state.statistics.note(name, guid, attributes_before, Access::remove);
  }
  return {};
}

EfiResult<void> query_variable_info(Call& call) {
  ByteReader reader(call.payload);
  reader.skip(24);
  const auto info = call.services().query(reader.u32());
  if (!info) return tl::unexpected(info.error());
  put(call.payload, 0, info->maximum_storage_size);
  put(call.payload, 8, info->remaining_storage_size);
  put(call.payload, 16, info->maximum_variable_size);
  return {};
}

EfiResult<void> ready_to_boot(Call& call) {
  return call.services().ready_to_boot();
}

EfiResult<void> exit_boot_services(Call& call) {
  call.services().exit_boot_services();
  return {};
}

/// The entry that the payload names, or the first if it names none.
const AccessStatistics::Entry* find_statistics(const Call& call) {
  const AccessStatistics& statistics = call.state.statistics;
  const Guid guid = Guid::from_bytes(call.payload.subspan(8, sizeof(Guid)));
  if (guid == Guid{}) return statistics.first();
  const auto text = call.payload.subspan(statistics_entry_size);
  ByteReader reader(text);
  std::u16string name;
  for (std::uint16_t c = reader.u16(); c != 0; c = reader.u16()) {
    name.push_back(static_cast<char16_t>(c));
  }
  // Behind the end every character is 0, so that a name which is cut is one that nobody has.
  return statistics.next(name, guid);
}

EfiResult<void> get_statistics(Call& call) {
  if (call.payload.size() < statistics_entry_size) {
    call.resize_reply(statistics_entry_size);
    return refuse(EfiStatus::buffer_too_small);
  }
  const AccessStatistics::Entry* const entry = find_statistics(call);
  if (entry == nullptr) {
    call.resize_reply(0);
    return refuse(EfiStatus::not_found);
  }
  const std::size_t needed = statistics_entry_size + name_size_of(entry->id.name);
  call.resize_reply(needed);
  if (call.payload.size() < needed) return refuse(EfiStatus::buffer_too_small);
  // The two pointers of the structure, Next and Name, lead nowhere.
  ByteWriter writer(call.payload);
  writer.u64(0);
  writer.bytes(entry->id.guid.bytes);
  for (const std::uint32_t field :
       {entry->attributes, entry->reads, entry->writes, entry->deletions, 0U}) {
    writer.u32(field);
  }
  writer.u32((entry->attributes & attributes::non_volatile) == 0 ? 1 : 0);
  writer.u64(0);
  put_name(call.payload, statistics_entry_size, entry->id.name);
  return {};
}

/// The GUID at the begin of a payload, the size of the name behind it, and the name at `at`.
EfiResult<VariableId> read_id(const Call& call, std::size_t at) {
  ByteReader reader(call.payload);
  const Guid guid = Guid::from_bytes(reader.take(sizeof(Guid)));
  const std::uint64_t name_size = reader.u64();
  const auto room = call.payload.subspan(at);
  if (name_size > room.size()) {
    return refuse(
        EfiStatus::access_denied,
        fmt::format("NameSize {}: the payload has room for {} bytes", name_size, room.size()));
  }
  auto name = read_name(room.first(static_cast<std::size_t>(name_size)));
  if (!name) return tl::unexpected(std::move(name).error());
  return VariableId{std::move(*name), guid};
}

EfiResult<void> lock_variable(Call& call) {
  const auto id = read_id(call, offsets::lock_name);
  if (!id) return tl::unexpected(id.error());
  return call.services().lock_variable(id->name, id->guid);
}

EfiResult<void> var_check_property_set(Call& call) {
  const auto id = read_id(call, offsets::property_name);
  if (!id) return tl::unexpected(id.error());
  ByteReader reader(call.payload.subspan(24));
  return call.services().register_property(id->name, id->guid, read_property(reader));
}

EfiResult<void> var_check_property_get(Call& call) {
  const auto id = read_id(call, offsets::property_name);
  if (!id) return tl::unexpected(id.error());
  const auto property = call.services().get_property(id->name, id->guid);
  if (!property) return tl::unexpected(property.error());
  ByteWriter writer(call.payload.subspan(24));
  write_property(writer, *property);
  return {};
}

EfiResult<void> get_payload_size(Call& call) {
  put(call.payload, 0, std::uint64_t{variable_payload_limit(call.services())});
  return {};
}

/// EDK2's MM side writes into memory whose addresses the caller gives. Here they would be addresses
/// of another process.
EfiResult<void> init_runtime_cache_context(Call& call) {
  if (call.services().phase() != variable::Phase::boot_early) {
    return refuse(EfiStatus::access_denied, "EndOfDxe is over");
  }
  return refuse(EfiStatus::unsupported, "there is no memory to share a cache in");
}

EfiResult<void> sync_runtime_cache(Call&) {
  return refuse(EfiStatus::unsupported, "there is no cache");
}

EfiResult<void> get_runtime_cache_info(Call& call) {
  const variable::Services& services = call.services();
  const bool authenticated = services.store().format() == store::RecordFormat::authenticated;
  ByteWriter writer(call.payload);
  writer.u64(0);  // no variables in HOBs
  writer.u64(services.store().usage().capacity);
  writer.u64(services.limits().volatile_store_size);
  writer.u8(authenticated ? 1 : 0);
  writer.fill(7, std::byte{0});
  return {};
}

template <auto Handler>
EfiResult<void> limited(Call& call) {
  if (auto within = check_limit(call); !within) return within;
  return Handler(call);
}

constexpr std::uint64_t number(VariableFunction function) noexcept {
  return static_cast<std::uint64_t>(function);
}

using F = VariableFunction;
constexpr auto functions = std::to_array<Function>({
    {number(F::get_variable), Rights::read, false, offsets::access_name, limited<get_variable>},
    {number(F::get_next_variable_name), Rights::read, false, offsets::next_name,
     limited<get_next_variable_name>},
    {number(F::set_variable), Rights::write, true, offsets::access_name, limited<set_variable>},
    {number(F::query_variable_info), Rights::read, false, query_info_size,
     limited<query_variable_info>},
    {number(F::ready_to_boot), Rights::lock, true, 0, limited<ready_to_boot>},
    {number(F::exit_boot_services), Rights::lock, true, 0, limited<exit_boot_services>},
    {number(F::get_statistics), Rights::read, false, 0, limited<get_statistics>},
    {number(F::lock_variable), Rights::lock, true, offsets::lock_name, limited<lock_variable>},
    {number(F::var_check_property_set), Rights::lock, true, offsets::property_name,
     limited<var_check_property_set>},
    {number(F::var_check_property_get), Rights::read, false, offsets::property_name,
     limited<var_check_property_get>},
    {number(F::get_payload_size), Rights::read, false, sizeof(std::uint64_t),
     limited<get_payload_size>},
    {number(F::init_runtime_cache_context), Rights::lock, true, cache_context_size,
     limited<init_runtime_cache_context>},
    {number(F::sync_runtime_cache), Rights::read, false, 0, limited<sync_runtime_cache>},
    {number(F::get_runtime_cache_info), Rights::read, false, cache_info_size,
     limited<get_runtime_cache_info>},
});

}  // namespace

std::span<const Function> variable_functions() noexcept {
  return functions;
}

std::size_t variable_payload_limit(const variable::Services& services) noexcept {
  const variable::Limits& limits = services.limits();
  std::uint32_t largest =
      std::max({limits.max_variable_size, limits.max_authenticated_size, limits.max_volatile_size});
  if (limits.hardware_error_storage_size != 0) {
    largest = std::max(largest, limits.max_hardware_error_size);
  }
  const std::size_t header = store::record_header_size(services.store().format());
  return std::min(largest + access_structure_size - header, max_variable_payload);
}

}  // namespace efistore::mm
