// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The functions of EDK2's variable protocol, from the caller's side (VariableSmmRuntimeDxe.c).
#include <fmt/format.h>

#include <algorithm>

#include "efistore/runtime/client.hpp"

#include "payload.hpp"

namespace efistore::runtime {

using mm::VariableFunction;
using variable::refuse;
using variable::VariableId;

namespace {

void write_access(ByteWriter& writer, const Guid& guid, std::uint64_t data_size,
                  std::u16string_view name, std::uint32_t attributes) {
  writer.bytes(guid.bytes);
  writer.u64(data_size);
  writer.u64(name_size_of(name));
  writer.u32(attributes);
  write_name(writer, name);
}

/// GUID, NameSize, and the name at `at`.
void write_id(std::span<std::byte> payload, std::u16string_view name, const Guid& guid,
              std::size_t at) {
  ByteWriter writer(payload);
  writer.bytes(guid.bytes);
  writer.u64(name_size_of(name));
  ByteWriter text(payload.subspan(at));
  write_name(text, name);
}

bool has_nul(std::u16string_view name) noexcept {
  return name.find(u'\0') != std::u16string_view::npos;
}

}  // namespace

EfiResult<VariableSize> Client::get_variable(std::u16string_view name, const Guid& guid,
                                             std::span<std::byte> data) {
  if (name.empty() || has_nul(name)) return refuse(EfiStatus::not_found);
  const std::size_t in_front = mm::offsets::access_name + name_size_of(name);
  if (in_front > payload_limit_)
    return refuse(EfiStatus::invalid_parameter, "the name is too long");
  // What is more than the buffer can carry is not asked for, as EDK2 does it.
  const std::size_t room = std::min(data.size(), payload_limit_ - in_front);
  const auto payload = make_payload(in_front + room);
  if (!payload) return tl::unexpected(payload.error());
  ByteWriter writer(*payload);
  write_access(writer, guid, room, name, 0);
  const auto reply = call(VariableFunction::get_variable, payload->size());
  if (!reply) return tl::unexpected(reply.error());
  const bool too_small = reply->status == EfiStatus::buffer_too_small;
  if (reply->status != EfiStatus::success && !too_small) return refused(reply->status);
  ByteReader reader(reply->payload);
  reader.skip(sizeof(Guid));
  const std::uint64_t size = reader.u64();
  reader.skip(sizeof(std::uint64_t));
  VariableSize found{reply->status, reader.u32(), static_cast<std::size_t>(size)};
  reader.skip(name_size_of(name));
  if (too_small) {
    if (!reader.ok() || size <= room) return malformed_reply("it wants no more than it had");
    return found;
  }
  if (size > room) return malformed_reply("DataSize is larger than was asked for");
  const auto content = reader.take(static_cast<std::size_t>(size));
  if (!reader.ok()) return malformed_reply("it is shorter than its data");
  std::ranges::copy(content, data.begin());
  return found;
}

EfiResult<VariableId> Client::get_next_variable_name(const VariableId& id) {
  if (has_nul(id.name)) return refuse(EfiStatus::invalid_parameter, "the name has a NUL");
  if (mm::offsets::next_name + name_size_of(id.name) > payload_limit_) {
    return refuse(EfiStatus::invalid_parameter, "the name is too long");
  }
  // A first guess, which fits nearly all names, and then what is said to be needed.
  std::size_t room = std::max<std::size_t>(name_size_of(id.name), 256);
  for (const bool last : {false, true}) {
    const auto payload = make_payload(std::min(mm::offsets::next_name + room, payload_limit_));
    if (!payload) return tl::unexpected(payload.error());
    const std::size_t available = payload->size() - mm::offsets::next_name;
    ByteWriter writer(*payload);
    writer.bytes(id.guid.bytes);
    writer.u64(available);
    write_name(writer, id.name);
    const auto reply = call(VariableFunction::get_next_variable_name, payload->size());
    if (!reply) return tl::unexpected(reply.error());
    ByteReader reader(reply->payload);
    const auto guid = reader.take(sizeof(Guid));
    const std::uint64_t size = reader.u64();
    if (!reader.ok()) return malformed_reply("it is too short");
    if (reply->status == EfiStatus::buffer_too_small && !last) {
      if (size <= available) return malformed_reply("it wants no more than it had");
      room = static_cast<std::size_t>(std::min<std::uint64_t>(size, payload_limit_));
      continue;
    }
    if (reply->status != EfiStatus::success) return refused(reply->status);
    if (size > available) return malformed_reply("NameSize is larger than was asked for");
    auto name = take_name(reader, size);
    if (!name) return malformed_reply("the name does not end where NameSize says");
    return VariableId{std::move(*name), Guid::from_bytes(guid)};
  }
  return refuse(EfiStatus::buffer_too_small);
}

EfiResult<void> Client::set_variable(const variable::SetRequest& request) {
  if (request.name.empty() || has_nul(request.name)) {
    return refuse(EfiStatus::invalid_parameter, "the name is empty or has a NUL");
  }
  const std::size_t in_front = mm::offsets::access_name + name_size_of(request.name);
  if (in_front > payload_limit_ || request.data.size() > payload_limit_ - in_front) {
    return refuse(EfiStatus::invalid_parameter,
                  fmt::format("name and data of {} bytes: a payload has room for {}",
                              name_size_of(request.name) + request.data.size(),
                              payload_limit_ - mm::offsets::access_name));
  }
  const auto payload = make_payload(in_front + request.data.size());
  if (!payload) return tl::unexpected(payload.error());
  ByteWriter writer(*payload);
  write_access(writer, request.guid, request.data.size(), request.name, request.attributes);
  writer.bytes(request.data);
  return status_only(checked(call(VariableFunction::set_variable, payload->size())));
}

EfiResult<variable::VariableInfo> Client::query_variable_info(std::uint32_t attributes) {
  if (attributes == 0) return refuse(EfiStatus::invalid_parameter, "no attributes");
  const auto payload = make_payload(mm::query_info_size);
  if (!payload) return tl::unexpected(payload.error());
  ByteWriter(payload->subspan(24)).u32(attributes);
  const auto reply =
      checked(call(VariableFunction::query_variable_info, payload->size()), mm::query_info_size);
  if (!reply) return tl::unexpected(reply.error());
  ByteReader reader(*reply);
  variable::VariableInfo info;
  info.maximum_storage_size = reader.u64();
  info.remaining_storage_size = reader.u64();
  info.maximum_variable_size = reader.u64();
  return info;
}

EfiResult<void> Client::ready_to_boot() {
  return status_only(checked(call(VariableFunction::ready_to_boot, 0)));
}

EfiResult<void> Client::exit_boot_services() {
  return status_only(checked(call(VariableFunction::exit_boot_services, 0)));
}

EfiResult<void> Client::lock_variable(std::u16string_view name, const Guid& guid) {
  const auto payload = make_payload(mm::offsets::lock_name + name_size_of(name));
  if (!payload) return tl::unexpected(payload.error());
  write_id(*payload, name, guid, mm::offsets::lock_name);
  return status_only(checked(call(VariableFunction::lock_variable, payload->size())));
}

EfiResult<void> Client::register_property(std::u16string_view name, const Guid& guid,
                                          const variable::VarCheckProperty& property) {
  const auto payload = make_payload(mm::offsets::property_name + name_size_of(name));
  if (!payload) return tl::unexpected(payload.error());
  write_id(*payload, name, guid, mm::offsets::property_name);
  ByteWriter writer(payload->subspan(24));
  mm::write_property(writer, property);
  return status_only(checked(call(VariableFunction::var_check_property_set, payload->size())));
}

EfiResult<variable::VarCheckProperty> Client::get_property(std::u16string_view name,
                                                           const Guid& guid) {
  const auto payload = make_payload(mm::offsets::property_name + name_size_of(name));
  if (!payload) return tl::unexpected(payload.error());
  write_id(*payload, name, guid, mm::offsets::property_name);
  const auto reply = checked(call(VariableFunction::var_check_property_get, payload->size()),
                             mm::offsets::property_name);
  if (!reply) return tl::unexpected(reply.error());
  ByteReader reader(reply->subspan(24));
  return mm::read_property(reader);
}

EfiResult<AccessCounts> Client::get_statistics(const VariableId& id) {
  // Room for the name that comes, which is not known.
  const std::size_t room = mm::statistics_entry_size + mm::max_name_size;
  const auto payload = make_payload(std::min(room, payload_limit_));
  if (!payload) return tl::unexpected(payload.error());
  ByteWriter(payload->subspan(8)).bytes(id.guid.bytes);
  ByteWriter text(payload->subspan(mm::statistics_entry_size));
  write_name(text, id.name);
  if (!text.ok()) return refuse(EfiStatus::not_found, "the name is too long");
  const auto reply =
      checked(call(VariableFunction::get_statistics, payload->size()), mm::statistics_entry_size);
  if (!reply) return tl::unexpected(reply.error());
  ByteReader reader(*reply);
  reader.skip(8);
  AccessCounts counts;
  counts.id.guid = Guid::from_bytes(reader.take(sizeof(Guid)));
  counts.attributes = reader.u32();
  counts.reads = reader.u32();
  counts.writes = reader.u32();
  counts.deletions = reader.u32();
  reader.skip(16);
  auto name = take_name(reader, reader.remaining());
  if (!name) return malformed_reply("the name does not end with the reply");
  counts.id.name = std::move(*name);
  return counts;
}

EfiResult<std::uint64_t> Client::get_payload_size() {
  const auto payload = make_payload(sizeof(std::uint64_t));
  if (!payload) return tl::unexpected(payload.error());
  const auto reply =
      checked(call(VariableFunction::get_payload_size, payload->size()), sizeof(std::uint64_t));
  if (!reply) return tl::unexpected(reply.error());
  const std::uint64_t size = ByteReader(*reply).u64();
  constexpr std::uint64_t least = 128;
  if (size < least) return malformed_reply("no payload would do");
  return size;
}

EfiResult<CacheInfo> Client::get_runtime_cache_info() {
  const auto payload = make_payload(mm::cache_info_size);
  if (!payload) return tl::unexpected(payload.error());
  const auto reply =
      checked(call(VariableFunction::get_runtime_cache_info, payload->size()), mm::cache_info_size);
  if (!reply) return tl::unexpected(reply.error());
  ByteReader reader(*reply);
  CacheInfo info;
  info.hob_size = reader.u64();
  info.non_volatile_size = reader.u64();
  info.volatile_size = reader.u64();
  info.authenticated = reader.u8() != 0;
  return info;
}

}  // namespace efistore::runtime
