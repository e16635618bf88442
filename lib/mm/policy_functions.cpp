// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The variable-policy protocol (VarCheckPolicyLibMmiHandler in VarCheckPolicyLibCommon.c).
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "efistore/base/bytes.hpp"
#include "efistore/mm/frame.hpp"
#include "efistore/variable/policy.hpp"

#include "state.hpp"

namespace efistore::mm {

namespace {

using variable::PolicyState;

/// A VARIABLE_POLICY_ENTRY, and VARIABLE_LOCK_ON_VAR_STATE_POLICY, without their names.
constexpr std::size_t entry_header_size = 44;
constexpr std::size_t lock_state_size = 18;

struct PolicyCall {
  Dispatcher::State& state;
  std::span<std::byte> payload;
  std::uint64_t session;

  variable::PolicyTable& table() const noexcept { return state.services->policies(); }
};

/// Has what the table has become kept, where somebody keeps it.
EfiResult<void> keep(const PolicyCall& call) {
  PolicyKeeper* const keeper = call.state.backends.policies;
  return keeper == nullptr ? EfiResult<void>() : keeper->keep(call.table());
}

EfiResult<void> disable(PolicyCall& call) {
  return call.table().disable();
}

EfiResult<void> is_enabled(PolicyCall& call) {
  call.payload[0] = call.table().enabled() ? std::byte{1} : std::byte{0};
  return {};
}

EfiResult<void> register_policy(PolicyCall& call) {
  if (auto done = call.table().register_entry(call.payload); !done) return done;
  return keep(call);
}

EfiResult<void> lock(PolicyCall& call) {
  if (auto done = call.table().lock(); !done) return done;
  return keep(call);
}

/// Page 0 takes the entries as they are now, and tells how many bytes they have; pages from 1 on
/// have them.
EfiResult<void> dump(PolicyCall& call) {
  std::vector<std::byte>& found = call.state.policy_dump;
  const std::uint32_t page = ByteReader(call.payload).u32();
  std::span<const std::byte> part;
  bool more = false;
  EfiResult<void> done;
  if (page == 0) {
    found = call.table().dump();
    call.state.policy_dump_session = call.session;
    more = !found.empty();
  } else if (found.empty() || call.state.policy_dump_session != call.session) {
    done = refuse(EfiStatus::timeout, "page 0 of the policies has to be asked for first");
  } else {
    const std::uint64_t begin = std::uint64_t{page - 1} * policy_dump_page_size;
    if (begin >= found.size()) {
      return refuse(EfiStatus::invalid_parameter, fmt::format("there is no page {}", page));
    }
    part = std::span<const std::byte>(found).subspan(static_cast<std::size_t>(begin));
    part = part.first(std::min(part.size(), policy_dump_page_size));
    more = begin + part.size() < found.size();
  }
  ByteWriter writer(call.payload.subspan(sizeof(page)));
  writer.u32(done ? static_cast<std::uint32_t>(found.size()) : 0);
  writer.u32(static_cast<std::uint32_t>(part.size()));
  writer.u8(more ? 1 : 0);
  writer.bytes(part);
  if (page != 0 && done && !more) found.clear();
  return done;
}

/// The names of a question: in, and the room for the one that comes out.
struct InfoNames {
  std::u16string input;
  std::span<std::byte> output;  ///< as large as the caller says
};

EfiResult<InfoNames> read_info_names(std::span<std::byte> payload) {
  ByteReader sizes(payload.subspan(sizeof(Guid)));
  const std::uint32_t input_size = sizes.u32();
  const std::uint32_t output_size = sizes.u32();
  const auto names = payload.subspan(policy_info_names_offset);
  if (input_size > names.size() || output_size > names.size() - input_size) {
    return refuse(EfiStatus::invalid_parameter,
                  fmt::format("names of {} and {} bytes: the payload has room for {}", input_size,
                              output_size, names.size()));
  }
  auto input = read_name(names.first(input_size));
  if (!input) return refuse(EfiStatus::invalid_parameter, std::move(input).error().reason);
  return InfoNames{std::move(*input), names.subspan(input_size, output_size)};
}

/// Writes the entry and, where there is one and it is asked for, the name of what was found.
EfiResult<void> answer_info(PolicyCall& call, const InfoNames& names,
                            std::span<const std::byte> entry,
                            const std::optional<std::u16string>& name) {
  const std::size_t needed = name ? name_size_of(*name) : 0;
  const auto field = call.payload.subspan(policy_info_entry_offset, policy_info_entry_size);
  std::ranges::fill(field, std::byte{0});
  std::ranges::copy(entry, field.begin());
  put(call.payload, 20, static_cast<std::uint32_t>(needed));
  if (names.output.empty()) return {};  // nobody asks for the name
  if (needed > names.output.size()) return refuse(EfiStatus::buffer_too_small);
  std::ranges::fill(names.output, std::byte{0});
  if (name) put_name(names.output, 0, *name);
  return {};
}

EfiResult<void> get_info(PolicyCall& call) {
  const auto names = read_info_names(call.payload);
  if (!names) return tl::unexpected(names.error());
  const Guid guid = Guid::from_bytes(call.payload);
  const auto found = call.table().info(names->input, guid);
  if (!found) return tl::unexpected(found.error());
  // As it was registered, and so it can be encoded.
  const auto entry = variable::encode_policy(**found);
  if (!entry) return refuse(EfiStatus::device_error, entry.error().message);
  return answer_info(call, *names, std::span(*entry).first(entry_header_size), (*found)->name);
}

EfiResult<void> get_lock_state_info(PolicyCall& call) {
  const auto names = read_info_names(call.payload);
  if (!names) return tl::unexpected(names.error());
  const Guid guid = Guid::from_bytes(call.payload);
  const auto found = call.table().lock_state_info(names->input, guid);
  if (!found) return tl::unexpected(found.error());
  const PolicyState& state = **found;
  std::array<std::byte, lock_state_size> entry{};
  ByteWriter writer(entry);
  writer.bytes(state.guid.bytes);
  writer.u8(state.value);
  writer.u8(state.padding);
  return answer_info(call, *names, entry, state.name);
}

struct Command {
  PolicyCommand command;
  Rights right;
  std::size_t min_payload_size;
  EfiResult<void> (*handle)(PolicyCall& call);
};

using C = PolicyCommand;
constexpr auto commands = std::to_array<Command>({
    {C::disable, Rights::lock, 0, disable},
    {C::is_enabled, Rights::read, 1, is_enabled},
    {C::register_policy, Rights::lock, entry_header_size, register_policy},
    {C::dump, Rights::read, policy_dump_header_size + policy_dump_page_size, dump},
    {C::lock, Rights::lock, 0, lock},
    {C::get_info, Rights::read, policy_info_names_offset, get_info},
    {C::get_lock_state_info, Rights::read, policy_info_names_offset, get_lock_state_info},
});

}  // namespace

EfiResult<void> serve_policy(Dispatcher::State& state, const Caller& caller,
                             std::span<std::byte> message) {
  ByteReader reader(message);
  const std::uint32_t signature = reader.u32();
  const std::uint32_t revision = reader.u32();
  const std::uint32_t number = reader.u32();
  if (signature != policy_signature || revision != policy_revision) {
    return refuse(EfiStatus::invalid_parameter,
                  fmt::format("signature {:#x} and revision {}: expected {:#x} and {}", signature,
                              revision, policy_signature, policy_revision));
  }
  // Others do not disturb it.
  const bool own_dump = caller.session == state.policy_dump_session;
  if (own_dump && number != static_cast<std::uint32_t>(PolicyCommand::dump)) {
    state.policy_dump.clear();
  }
  const auto command =
      std::ranges::find(commands, static_cast<PolicyCommand>(number), &Command::command);
  if (command == commands.end()) {
    return refuse(EfiStatus::unsupported, fmt::format("there is no command {}", number));
  }
  if (!includes(caller.rights, command->right)) {
    return refuse(EfiStatus::access_denied, "the caller may not do this with policies");
  }
  if (command->right == Rights::lock && !state.writable) {
    return refuse(EfiStatus::not_available_yet, "the flash cannot be written yet");
  }
  const auto payload = message.subspan(policy_header_size);
  if (payload.size() < command->min_payload_size) {
    return refuse(EfiStatus::invalid_parameter,
                  fmt::format("a payload of {} bytes: command {} has {} or more", payload.size(),
                              number, command->min_payload_size));
  }
  PolicyCall call{state, payload, caller.session};
  return command->handle(call);
}

}  // namespace efistore::mm
