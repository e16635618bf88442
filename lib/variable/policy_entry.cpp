// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// VARIABLE_POLICY_ENTRY's bytes.
#include <fmt/format.h>

#include <algorithm>

#include "efistore/variable/policy.hpp"
#include "efistore/variable/variable_id.hpp"

namespace efistore::variable {

namespace {

constexpr std::uint32_t entry_version = 0x10000;
constexpr std::size_t fixed_size = 44;
/// Namespace, Value and a byte of padding, in front of the state variable's name.
constexpr std::size_t state_fixed_size = 18;
constexpr std::size_t state_name_offset = fixed_size + state_fixed_size;
constexpr std::size_t max_wildcards = 255;

std::size_t wildcards_in(std::u16string_view name) noexcept {
  return static_cast<std::size_t>(std::ranges::count(name, u'#'));
}

std::size_t stored_size(std::u16string_view name) noexcept {
  return (name.size() + 1) * sizeof(char16_t);
}

tl::unexpected<Error> fail_field(std::string_view field, std::size_t offset,
                                 std::string_view problem) {
  return fail(Errc::invalid_argument, fmt::format("{} at offset {}: {}", field, offset, problem));
}

/// `bytes` are exactly a name with its NUL; they stand at `offset` of the entry.
Result<std::u16string> read_name(std::string_view field, std::size_t offset,
                                 std::span<const std::byte> bytes) {
  const std::size_t size = bytes.size();
  if (size < sizeof(char16_t) || size % sizeof(char16_t) != 0) {
    return fail_field(field, offset,
                      fmt::format("{} bytes, expected CHAR16s with a NUL at their end", size));
  }
  ByteReader reader(bytes);
  std::u16string name(size / sizeof(char16_t), u'\0');
  for (char16_t& c : name) c = reader.u16();
  const std::size_t nul = name.find(u'\0');
  if (nul == std::u16string::npos) return fail_field(field, offset, "no NUL at its end");
  if (nul != name.size() - 1) {
    return fail_field(field, offset,
                      fmt::format("its NUL at offset {}, expected it at {}",
                                  offset + nul * sizeof(char16_t), offset + size - 2));
  }
  name.pop_back();
  return name;
}

Result<PolicyState> read_state(std::span<const std::byte> entry, std::size_t offset_to_name) {
  if (offset_to_name < state_name_offset + sizeof(char16_t)) {
    return fail_field("OffsetToName", 6,
                      fmt::format("{}, expected at least {} with a lock on a variable's state",
                                  offset_to_name, state_name_offset + sizeof(char16_t)));
  }
  ByteReader reader(entry.subspan(fixed_size));
  PolicyState state;
  state.guid = Guid::from_bytes(reader.take(16));
  state.value = reader.u8();
  state.padding = reader.u8();
  auto name = read_name("the state variable's Name", state_name_offset,
                        reader.take(offset_to_name - state_name_offset));
  if (!name) return forward(std::move(name));
  state.name = std::move(*name);
  return state;
}

Status check_wildcards(const std::optional<std::u16string>& name, std::size_t offset) {
  const std::size_t wildcards = name ? wildcards_in(*name) : 0;
  if (wildcards <= max_wildcards) return {};
  return fail_field("Name", offset,
                    fmt::format("{} wildcards, expected at most {}", wildcards, max_wildcards));
}

void write_name(ByteWriter& writer, std::u16string_view name) {
  for (const char16_t c : name) writer.u16(c);
  writer.u16(0);
}

}  // namespace

std::string to_string(const Policy& policy) {
  if (policy.name) return to_string(*policy.name, policy.guid);
  return "*-" + efistore::to_string(policy.guid);
}

Result<Policy> read_policy(ByteReader& reader) {
  const std::size_t present = reader.remaining();
  if (present < fixed_size) {
    return fail_field("the entry", 0,
                      fmt::format("{} bytes, expected at least {}", present, fixed_size));
  }
  // A look ahead: the whole entry is then read from one span of its own.
  ByteReader head = reader;
  if (const std::uint32_t version = head.u32(); version != entry_version) {
    return fail_field("Version", 0, fmt::format("{:#x}, expected {:#x}", version, entry_version));
  }
  const std::size_t size = head.u16();
  if (size < fixed_size || size > present) {
    return fail_field("Size", 4,
                      fmt::format("{}, expected from {} to {}", size, fixed_size, present));
  }
  const auto entry = reader.take(size);
  ByteReader fields(entry.subspan(6));
  const std::size_t offset_to_name = fields.u16();
  Policy policy;
  policy.guid = Guid::from_bytes(fields.take(16));
  policy.min_size_bytes = fields.u32();
  policy.max_size_bytes = fields.u32();
  policy.attributes_must_have = fields.u32();
  policy.attributes_cant_have = fields.u32();
  const std::uint8_t lock = fields.u8();
  std::ranges::copy(fields.take(policy.reserved.size()), policy.reserved.begin());
  if (policy.max_size_bytes == 0) {
    return fail_field("MaxSize", 28, "0, expected at least 1 (0xffffffff for no maximum)");
  }
  if (lock > static_cast<std::uint8_t>(PolicyLock::on_var_state)) {
    return fail_field("LockPolicyType", 40, fmt::format("{}, expected from 0 to 3", lock));
  }
  policy.lock = static_cast<PolicyLock>(lock);
  if (offset_to_name > size) {
    return fail_field("OffsetToName", 6,
                      fmt::format("{}, expected at most Size, {}", offset_to_name, size));
  }
  if (policy.lock == PolicyLock::on_var_state) {
    auto state = read_state(entry, offset_to_name);
    if (!state) return forward(std::move(state));
    policy.state = std::move(*state);
  } else if (offset_to_name != fixed_size) {
    return fail_field("OffsetToName", 6,
                      fmt::format("{}, expected {} without a lock on a variable's state",
                                  offset_to_name, fixed_size));
  }
  if (offset_to_name != size) {
    auto name = read_name("Name", offset_to_name, entry.subspan(offset_to_name));
    if (!name) return forward(std::move(name));
    policy.name = std::move(*name);
  }
  if (auto few = check_wildcards(policy.name, offset_to_name); !few) return forward(std::move(few));
  return policy;
}

Result<std::vector<Policy>> read_policies(std::span<const std::byte> bytes) {
  std::vector<Policy> policies;
  ByteReader reader(bytes);
  while (reader.remaining() != 0) {
    if (policies.size() == max_policies) {
      return fail(Errc::invalid_argument, fmt::format("more than {} entries", max_policies));
    }
    const std::size_t at = reader.position();
    auto policy = read_policy(reader);
    if (!policy) {
      return forward(std::move(policy), fmt::format("entry {} at {}", policies.size(), at));
    }
    policies.push_back(std::move(*policy));
  }
  return policies;
}

Result<std::vector<std::byte>> encode_policy(const Policy& policy) {
  const auto has_nul = [](std::u16string_view name) {
    return name.find(u'\0') != std::u16string_view::npos;
  };
  if ((policy.name && has_nul(*policy.name)) || (policy.state && has_nul(policy.state->name))) {
    return fail(Errc::invalid_argument, "a name with a NUL in it");
  }
  if (policy.max_size_bytes == 0) return fail(Errc::invalid_argument, "a maximum size of 0");
  const bool on_state = policy.lock == PolicyLock::on_var_state;
  if (on_state != policy.state.has_value()) {
    return fail(Errc::invalid_argument, "a lock and a state variable that do not go together");
  }
  std::size_t offset_to_name = fixed_size;
  if (on_state) offset_to_name = state_name_offset + stored_size(policy.state->name);
  const std::size_t size = offset_to_name + (policy.name ? stored_size(*policy.name) : 0);
  if (size > UINT16_MAX) {
    return fail(Errc::invalid_argument,
                fmt::format("an entry of {} bytes, expected at most {}", size, UINT16_MAX));
  }
  if (auto few = check_wildcards(policy.name, offset_to_name); !few) return forward(std::move(few));

  std::vector<std::byte> bytes(size);
  ByteWriter writer(bytes);
  writer.u32(entry_version);
  writer.u16(static_cast<std::uint16_t>(size));
  writer.u16(static_cast<std::uint16_t>(offset_to_name));
  writer.bytes(policy.guid.bytes);
  writer.u32(policy.min_size_bytes);
  writer.u32(policy.max_size_bytes);
  writer.u32(policy.attributes_must_have);
  writer.u32(policy.attributes_cant_have);
  writer.u8(static_cast<std::uint8_t>(policy.lock));
  writer.bytes(policy.reserved);
  if (on_state) {
    writer.bytes(policy.state->guid.bytes);
    writer.u8(policy.state->value);
    writer.u8(policy.state->padding);
    write_name(writer, policy.state->name);
  }
  if (policy.name) write_name(writer, *policy.name);
  return bytes;
}

}  // namespace efistore::variable
