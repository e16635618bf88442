// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The management protocol, from the caller's side.
#include <algorithm>
#include <iterator>

#include "efistore/runtime/client.hpp"

#include "payload.hpp"

namespace efistore::runtime {

using mm::ManagementFunction;
using variable::refuse;
using variable::VariableId;

namespace {

/// What a list, or a part of a variable, asks for at a time.
constexpr std::size_t chunk_size = 60U << 10;
/// More than any store can hold.
constexpr std::uint64_t max_variable_size = store::max_volume_size_bytes;
/// More than any MM side remembers.
constexpr std::size_t max_changes = 65536;
/// How often what was disturbed by a change is done again.
constexpr int max_attempts = 8;
constexpr std::size_t max_listed = std::size_t{1} << 21;

struct ListPart {
  std::vector<ListEntry> entries;
  bool more = false;
};

EfiResult<ListPart> read_list(std::span<const std::byte> payload) {
  ByteReader reader(payload);
  const std::uint32_t count = reader.u32();
  ListPart part;
  part.more = reader.u32() != 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    ListEntry entry;
    const auto guid = reader.take(sizeof(Guid));
    entry.attributes = reader.u32();
    const std::uint32_t name_size = reader.u32();
    entry.data_size = reader.u64();
    auto name = take_name(reader, name_size);
    if (!reader.ok() || !name) return malformed_reply("an entry of the list");
    entry.id = {std::move(*name), Guid::from_bytes(guid)};
    part.entries.push_back(std::move(entry));
  }
  if (part.more && part.entries.empty()) return malformed_reply("a list that does not go on");
  return part;
}

}  // namespace

EfiResult<MmState> Client::state() {
  const auto payload = make_payload(mm::state_size);
  if (!payload) return tl::unexpected(payload.error());
  const auto reply = checked(call(ManagementFunction::get_state, payload->size()), mm::state_size);
  if (!reply) return tl::unexpected(reply.error());
  ByteReader reader(*reply);
  if (reader.u32() != mm::management_revision) {
    return refuse(EfiStatus::unsupported, "the MM side speaks another revision of the protocol");
  }
  MmState state;
  state.ready = reader.u32();
  const std::uint32_t phase = reader.u32();
  state.rights = static_cast<mm::Rights>(reader.u32());
  state.changes = reader.u64();
  state.max_frame_size = reader.u64();
  const std::uint32_t mode = reader.u32();
  state.authenticated = reader.u32() != 0;
  state.writable = reader.u32() != 0;
  state.policies_locked = reader.u32() != 0;
  if (phase > static_cast<std::uint32_t>(variable::Phase::runtime) ||
      mode > static_cast<std::uint32_t>(variable::SecureBootMode::deployed)) {
    return malformed_reply("a phase or a mode that there is not");
  }
  state.phase = static_cast<variable::Phase>(phase);
  state.secure_boot_mode = static_cast<variable::SecureBootMode>(mode);
  return state;
}

EfiResult<StoreInfo> Client::store_info() {
  const auto payload = make_payload(mm::store_info_size);
  if (!payload) return tl::unexpected(payload.error());
  const auto reply =
      checked(call(ManagementFunction::store_info, payload->size()), mm::store_info_size);
  if (!reply) return tl::unexpected(reply.error());
  ByteReader reader(*reply);
  StoreInfo info;
  info.volume_size = reader.u64();
  for (std::uint32_t* const field :
       {&info.block_size, &info.capacity, &info.used, &info.live, &info.live_records,
        &info.dead_records, &info.max_variable_size, &info.max_authenticated_size}) {
    *field = reader.u32();
  }
  info.damaged = reader.u32() != 0;
  info.read_only = reader.u32() != 0;
  return info;
}

EfiResult<std::vector<ListEntry>> Client::list_once() {
  std::vector<ListEntry> all;
  VariableId last;
  while (all.size() < max_listed) {
    const std::size_t in_front = 24 + name_size_of(last.name);
    const auto payload = make_payload(std::max(in_front, std::min(chunk_size, payload_room())));
    if (!payload) return tl::unexpected(payload.error());
    ByteWriter writer(*payload);
    writer.bytes(last.guid.bytes);
    writer.u32(static_cast<std::uint32_t>(name_size_of(last.name)));
    writer.u32(0);
    write_name(writer, last.name);
    const auto reply = checked(call(ManagementFunction::list, payload->size()), 8);
    if (!reply) return tl::unexpected(reply.error());
    auto part = read_list(*reply);
    if (!part) return tl::unexpected(std::move(part).error());
    if (part->more) last = part->entries.back().id;
    std::ranges::move(part->entries, std::back_inserter(all));
    if (!part->more) return all;
  }
  return malformed_reply("a list without an end");
}

EfiResult<std::vector<ListEntry>> Client::list() {
  auto all = list_once();
  // The variable that the next part was to follow may have been deleted meanwhile.
  for (int i = 0; i < max_attempts && !all && all.status() == EfiStatus::invalid_parameter; ++i) {
    all = list_once();
  }
  return all;
}

EfiResult<Variable> Client::read(std::u16string_view name, const Guid& guid) {
  unsigned parts = 0;
  auto variable = read_once(name, guid, parts);
  // One that took several parts may have changed between them.
  for (int i = 0; i < max_attempts && variable && parts > 1; ++i) {
    const auto before = state();
    variable = read_once(name, guid, parts);
    const auto after = state();
    if (!variable || (before && after && before->changes == after->changes)) return variable;
  }
  if (variable && parts > 1) {
    return refuse(EfiStatus::not_ready, "the variable changes faster than it can be read");
  }
  return variable;
}

EfiResult<Variable> Client::read_once(std::u16string_view name, const Guid& guid, unsigned& parts) {
  Variable variable;
  parts = 0;
  std::uint64_t total = 0;
  const std::size_t wanted = std::min(chunk_size, payload_room() - mm::read_reply_size);
  do {
    const auto payload = make_payload(mm::read_request_size + name_size_of(name));
    if (!payload) return tl::unexpected(payload.error());
    ByteWriter writer(*payload);
    writer.bytes(guid.bytes);
    writer.u64(variable.data.size());
    writer.u32(static_cast<std::uint32_t>(name_size_of(name)));
    writer.u32(static_cast<std::uint32_t>(wanted));
    write_name(writer, name);
    const auto reply =
        checked(call(ManagementFunction::read, payload->size()), mm::read_reply_size);
    if (!reply) return tl::unexpected(reply.error());
    ByteReader reader(*reply);
    total = reader.u64();
    variable.attributes = reader.u32();
    const std::uint32_t count = reader.u32();
    variable.time = EfiTime::from_bytes(reader.take(variable.time.bytes.size()));
    const auto part = reader.take(count);
    if (!reader.ok() || total > max_variable_size || total < variable.data.size() ||
        count > total - variable.data.size() || (count == 0 && variable.data.size() < total)) {
      return malformed_reply("its parts do not make up the variable");
    }
    ++parts;
    variable.data.insert(variable.data.end(), part.begin(), part.end());
  } while (variable.data.size() < total);
  return variable;
}

EfiResult<void> Client::set_all(std::span<const variable::SetRequest> requests) {
  std::size_t size = 8;
  for (const auto& request : requests) {
    size += mm::set_entry_size + name_size_of(request.name) + request.data.size();
  }
  const auto payload = make_payload(size);
  if (!payload) return tl::unexpected(payload.error());
  ByteWriter writer(*payload);
  writer.u32(static_cast<std::uint32_t>(requests.size()));
  writer.u32(0);
  for (const auto& request : requests) {
    writer.bytes(request.guid.bytes);
    writer.u32(request.attributes);
    writer.u32(static_cast<std::uint32_t>(name_size_of(request.name)));
    writer.u32(static_cast<std::uint32_t>(request.data.size()));
    writer.u32(0);
    write_name(writer, request.name);
    writer.bytes(request.data);
  }
  return status_only(checked(call(ManagementFunction::set_all, payload->size())));
}

EfiResult<void> Client::reclaim() {
  return status_only(checked(call(ManagementFunction::reclaim, 0)));
}

EfiResult<Changes> Client::changes(std::uint64_t since) {
  Changes all;
  all.latest = since;
  for (std::uint64_t asked = since;; asked = all.latest) {
    const auto payload = make_payload(std::min(chunk_size, payload_room()));
    if (!payload) return tl::unexpected(payload.error());
    ByteWriter(*payload).u64(asked);
    const auto reply = checked(call(ManagementFunction::changes, payload->size()), 16);
    if (!reply) return tl::unexpected(reply.error());
    ByteReader reader(*reply);
    all.latest = reader.u64();
    const std::uint32_t count = reader.u32();
    if (reader.u32() != 0) all.lost = true;
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto guid = reader.take(sizeof(Guid));
      const std::uint32_t name_size = reader.u32();
      reader.skip(sizeof(std::uint32_t));
      auto name = take_name(reader, name_size);
      if (!reader.ok() || !name) return malformed_reply("a change");
      all.ids.push_back({std::move(*name), Guid::from_bytes(guid)});
    }
    if (count == 0 || all.lost || all.latest <= asked) return all;
    if (all.ids.size() > max_changes) return malformed_reply("changes without an end");
  }
}

EfiResult<void> Client::submit_capsule(std::span<const std::byte> capsule) {
  const auto begin = make_payload(sizeof(std::uint64_t));
  if (!begin) return tl::unexpected(begin.error());
  ByteWriter(*begin).u64(capsule.size());
  auto done = status_only(checked(call(ManagementFunction::capsule_begin, begin->size())));
  for (std::size_t at = 0; done && at < capsule.size();) {
    const auto piece = capsule.subspan(
        at, std::min({chunk_size, payload_room() - sizeof(std::uint64_t), capsule.size() - at}));
    const auto payload = make_payload(sizeof(std::uint64_t) + piece.size());
    if (!payload) return tl::unexpected(payload.error());
    ByteWriter writer(*payload);
    writer.u64(at);
    writer.bytes(piece);
    done = status_only(checked(call(ManagementFunction::capsule_data, payload->size())));
    at += piece.size();
  }
  if (!done) return done;
  const auto commit = make_payload(sizeof(std::uint64_t));
  if (!commit) return tl::unexpected(commit.error());
  return status_only(checked(call(ManagementFunction::capsule_commit, commit->size())));
}

}  // namespace efistore::runtime
