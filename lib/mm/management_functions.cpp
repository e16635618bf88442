// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The management protocol: what EDK2's protocols have no function for.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "state.hpp"

namespace efistore::mm {

namespace {

using variable::Services;
using variable::SetRequest;
using variable::VariableId;

constexpr std::uint32_t max_set_all = 256;

/// Takes `size` bytes of a name from the reader. An empty name has its NUL, too.
EfiResult<std::u16string> take_name(ByteReader& reader, std::size_t size) {
  const auto bytes = reader.take(size);
  if (!reader.ok() || size > max_name_size) {
    return refuse(EfiStatus::invalid_parameter,
                  fmt::format("a name of {} bytes: it does not fit the payload, or is longer than "
                              "{}",
                              size, max_name_size));
  }
  return read_name(bytes);
}

bool is_written(const store::VariableStore& store) noexcept {
  return !store.read_only() && !store.report().damaged;
}

EfiResult<void> get_state(Call& call) {
  const Services& services = call.services();
  const bool authenticated = services.store().format() == store::RecordFormat::authenticated;
  const bool writable =
      call.state.writable && !services.store().read_only() && !services.store().report().damaged;
  ByteWriter writer(call.payload);
  writer.u32(management_revision);
  writer.u32(ready_read | (call.state.writable ? ready_write : 0U));
  writer.u32(static_cast<std::uint32_t>(services.phase()));
  writer.u32(static_cast<std::uint32_t>(call.caller.rights));
  writer.u64(call.state.history.latest());
  writer.u64(call.state.buffer.size());
  writer.u32(static_cast<std::uint32_t>(services.secure_boot_mode()));
  writer.u32(authenticated ? 1 : 0);
  writer.u32(writable ? 1 : 0);
  writer.u32(services.policies().locked() ? 1 : 0);
  return {};
}

EfiResult<void> last_reason(Call& call) {
  const Reason& reason = call.state.reason;
  const bool own = reason.session == call.caller.session;
  const std::string_view text = own ? reason.text : std::string_view();
  const std::size_t size = std::min(text.size(), call.payload.size() - 4);
  ByteWriter writer(call.payload);
  writer.u32(static_cast<std::uint32_t>(size));
  writer.bytes(as_bytes(text.substr(0, size)));
  return {};
}

/// Entries that a payload is filled with from `at` on.
class EntryWriter {
 public:
  EntryWriter(std::span<std::byte> payload, std::size_t at) noexcept : payload_(payload), at_(at) {}

  /// The place of an entry of that size and its name; empty if there is no room for both.
  std::span<std::byte> add(std::size_t entry_size, std::u16string_view name) noexcept {
    const std::size_t size = entry_size + name_size_of(name);
    if (payload_.size() - at_ < size) return {};
    const auto entry = payload_.subspan(at_, size);
    put_name(entry, entry_size, name);
    at_ += size;
    ++count_;
    return entry;
  }
  std::uint32_t count() const noexcept { return count_; }
  std::size_t end() const noexcept { return at_; }

 private:
  std::span<std::byte> payload_;
  std::size_t at_;
  std::uint32_t count_ = 0;
};

EfiResult<void> list(Call& call) {
  ByteReader reader(call.payload);
  const Guid guid = Guid::from_bytes(reader.take(sizeof(Guid)));
  const std::uint32_t name_size = reader.u32();
  reader.skip(sizeof(std::uint32_t));
  const auto name = take_name(reader, name_size);
  if (!name) return tl::unexpected(name.error());
  EntryWriter entries(call.payload, 8);
  auto found = call.services().get_next(*name, guid);
  for (; found; found = call.services().get_next(found->name, found->guid)) {
    const auto entry = entries.add(list_entry_size, found->name);
    if (entry.empty()) break;
    ByteWriter writer(entry);
    writer.bytes(found->guid.bytes);
    writer.u32(found->attributes);
    writer.u32(static_cast<std::uint32_t>(name_size_of(found->name)));
    writer.u64(found->data.size());
  }
  if (!found && found.status() != EfiStatus::not_found) return tl::unexpected(found.error());
  if (found && entries.count() == 0) return refuse(EfiStatus::buffer_too_small);
  put(call.payload, 0, entries.count());
  put(call.payload, 4, std::uint32_t{found ? 1U : 0U});
  call.reply_size = entries.end();
  return {};
}

EfiResult<void> read(Call& call) {
  ByteReader reader(call.payload);
  const Guid guid = Guid::from_bytes(reader.take(sizeof(Guid)));
  const std::uint64_t offset = reader.u64();
  const std::uint32_t name_size = reader.u32();
  const std::uint32_t wanted = reader.u32();
  const auto name = take_name(reader, name_size);
  if (!name) return tl::unexpected(name.error());
  const auto found = call.services().get(*name, guid);
  if (!found) return tl::unexpected(found.error());
  // The reply may be longer than the request, up to what the caller's buffer is said to hold.
  const std::size_t room = std::min<std::size_t>(wanted, call.room.size() - read_reply_size);
  const auto rest = found->data.subspan(
      static_cast<std::size_t>(std::min<std::uint64_t>(offset, found->data.size())));
  const auto part = rest.first(std::min(rest.size(), room));
  ByteWriter writer(call.room);
  writer.u64(found->data.size());
  writer.u32(found->attributes);
  writer.u32(static_cast<std::uint32_t>(part.size()));
  writer.bytes(found->time.bytes);
  writer.bytes(part);
  call.reply_size = writer.position();
  return {};
}

EfiResult<void> set_all(Call& call) {
  ByteReader reader(call.payload);
  const std::uint32_t count = reader.u32();
  reader.skip(sizeof(std::uint32_t));
  if (count > max_set_all) {
    return refuse(EfiStatus::invalid_parameter,
                  fmt::format("{} changes: expected at most {}", count, max_set_all));
  }
  std::vector<std::u16string> names;
  std::vector<SetRequest> requests;
  names.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    SetRequest request;
    const auto guid = reader.take(sizeof(Guid));
    request.attributes = reader.u32();
    const std::uint32_t name_size = reader.u32();
    const std::uint32_t data_size = reader.u32();
    reader.skip(sizeof(std::uint32_t));
    auto name = take_name(reader, name_size);
    request.data = reader.take(data_size);
    if (!reader.ok()) {
      return refuse(EfiStatus::invalid_parameter,
                    fmt::format("change {} reaches beyond the payload", i + 1));
    }
    if (!name) return tl::unexpected(std::move(name).error());
    request.guid = Guid::from_bytes(guid);
    names.push_back(std::move(*name));
    request.name = names.back();
    requests.push_back(request);
  }
  // All of the store is written anew.
  return write_within_limits(call, call.services().store().usage().capacity,
                             [&] { return call.services().set_all(requests); });
}

EfiResult<void> reclaim(Call& call) {
  const store::VariableStore& store = call.services().store();
  // Nothing to win, and blocks to wear out.
  if (is_written(store) && store.usage().used == store.usage().live) return {};
  return write_within_limits(call, store.usage().capacity, [&] {
    auto done = call.services().reclaim();
    // Every block is erased, and no record was written that would be charged for it.
    if (done && call.state.backends.limiter != nullptr) {
      call.state.backends.limiter->charge(call.caller.user, store.usage().capacity);
    }
    return done;
  });
}

EfiResult<void> changes(Call& call) {
  const ChangeHistory& history = call.state.history;
  const std::uint64_t since = ByteReader(call.payload).u64();
  const bool known = history.reaches_back_to(since);
  EntryWriter entries(call.payload, 16);
  std::uint64_t told = history.latest();
  for (std::uint64_t number = since + 1; known && number <= history.latest(); ++number) {
    const VariableId& id = history.at(number);
    const auto entry = entries.add(change_entry_size, id.name);
    if (entry.empty()) {
      told = number - 1;
      break;
    }
    ByteWriter writer(entry);
    writer.bytes(id.guid.bytes);
    writer.u32(static_cast<std::uint32_t>(name_size_of(id.name)));
    writer.u32(0);
  }
  if (known && told == since && told != history.latest()) {
    return refuse(EfiStatus::buffer_too_small);
  }
  put(call.payload, 0, told);
  put(call.payload, 8, entries.count());
  put(call.payload, 12, std::uint32_t{known ? 0U : 1U});
  call.reply_size = entries.end();
  return {};
}

EfiResult<void> store_info(Call& call) {
  const Services& services = call.services();
  const store::Usage& usage = services.store().usage();
  const store::Layout& layout = services.store().layout();
  ByteWriter writer(call.payload);
  writer.u64(layout.volume_size_bytes);
  writer.u32(layout.block_size_bytes);
  writer.u32(usage.capacity);
  writer.u32(usage.used);
  writer.u32(usage.live);
  writer.u32(usage.live_records);
  writer.u32(usage.dead_records);
  writer.u32(services.limits().max_variable_size);
  writer.u32(services.limits().max_authenticated_size);
  writer.u32(services.store().report().damaged ? 1 : 0);
  writer.u32(services.store().read_only() ? 1 : 0);
  writer.fill(store_info_size - writer.position(), std::byte{0});
  return {};
}

/// Who is told of changes depends on the connection; a server that can, takes this function up
/// itself.
EfiResult<void> subscribe(Call&) {
  return refuse(EfiStatus::unsupported, "this transport tells of changes in another way");
}

EfiResult<void> with_capsules(
    Call& call, const std::function<EfiResult<void>(CapsuleReceiver&, std::uint64_t)>& act) {
  CapsuleReceiver* const receiver = call.state.backends.capsules;
  if (receiver == nullptr) {
    return refuse(EfiStatus::unsupported, "nobody takes capsules here");
  }
  return act(*receiver, call.caller.session);
}

EfiResult<void> capsule_begin(Call& call) {
  return with_capsules(call, [&](CapsuleReceiver& receiver, std::uint64_t session) {
    return receiver.begin(session, ByteReader(call.payload).u64());
  });
}

EfiResult<void> capsule_data(Call& call) {
  return with_capsules(call, [&](CapsuleReceiver& receiver, std::uint64_t session) {
    return receiver.data(session, ByteReader(call.payload).u64(), call.payload.subspan(8));
  });
}

EfiResult<void> capsule_commit(Call& call) {
  ByteReader reader(call.payload);
  if (const std::uint64_t reserved = reader.u64(); reserved != 0) {
    return refuse(EfiStatus::invalid_parameter,
                  fmt::format("flags and reserved field are {:#x}: expected 0", reserved));
  }
  return with_capsules(call, [](CapsuleReceiver& receiver, std::uint64_t session) {
    return receiver.commit(session);
  });
}

EfiResult<void> capsule_cancel(Call& call) {
  return with_capsules(call, [](CapsuleReceiver& receiver, std::uint64_t session) {
    receiver.cancel(session);
    return EfiResult<void>();
  });
}

constexpr std::uint64_t number(ManagementFunction function) noexcept {
  return static_cast<std::uint64_t>(function);
}

using F = ManagementFunction;
constexpr auto functions = std::to_array<Function>({
    {number(F::get_state), Rights::none, false, state_size, get_state},
    {number(F::last_reason), Rights::none, false, sizeof(std::uint32_t), last_reason},
    {number(F::list), Rights::read, false, 24, list},
    {number(F::read), Rights::read, false, read_request_size, read},
    {number(F::set_all), Rights::write, true, 8, set_all},
    {number(F::reclaim), Rights::write, true, 0, reclaim},
    {number(F::changes), Rights::read, false, 16, changes},
    {number(F::store_info), Rights::read, false, store_info_size, store_info},
    {number(F::subscribe), Rights::read, false, 0, subscribe},
    {number(F::capsule_begin), Rights::update, true, sizeof(std::uint64_t), capsule_begin},
    {number(F::capsule_data), Rights::update, true, sizeof(std::uint64_t), capsule_data},
    {number(F::capsule_commit), Rights::update, true, sizeof(std::uint64_t), capsule_commit},
    {number(F::capsule_cancel), Rights::update, true, 0, capsule_cancel},
});

}  // namespace

std::span<const Function> management_functions() noexcept {
  return functions;
}

}  // namespace efistore::mm
