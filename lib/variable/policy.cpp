// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/variable/policy.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "efistore/base/attributes.hpp"
#include "efistore/variable/variable_id.hpp"

namespace efistore::variable {

namespace {

/// The less, the better a policy fits: the number of its wildcards.
constexpr std::size_t exact_priority = 0;
constexpr std::size_t namespace_priority = 255;

bool is_hexadecimal_digit(char16_t c) noexcept {
  return (c >= u'0' && c <= u'9') || (c >= u'A' && c <= u'F') || (c >= u'a' && c <= u'f');
}

/// None where the policy is not for the variable.
std::optional<std::size_t> match_priority(const Policy& policy, std::u16string_view name,
                                          const Guid& guid) noexcept {
  if (policy.guid != guid) return std::nullopt;
  if (!policy.name) return namespace_priority;
  if (policy.name->size() != name.size()) return std::nullopt;
  std::size_t priority = exact_priority;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char16_t expected = (*policy.name)[i];
    if (expected == u'#') {
      // A '#' in the variable's own name is no digit: no policy can be for it by its name.
      if (!is_hexadecimal_digit(name[i])) return std::nullopt;
      ++priority;
    } else if (expected != name[i]) {
      return std::nullopt;
    }
  }
  return priority;
}

EfiResult<void> refuse_write(const PolicyRequest& request, std::string_view when = {}) {
  return refuse(EfiStatus::write_protected,
                fmt::format("a policy locks {}{}", to_string(request.name, request.guid), when));
}

EfiResult<void> check_content(const Policy& policy, const PolicyRequest& request) {
  const auto refuse_content = [&request](std::string_view problem) {
    return refuse(
        EfiStatus::invalid_parameter,
        fmt::format("a policy for {}: {}", to_string(request.name, request.guid), problem));
  };
  if (request.data_size < policy.min_size_bytes || request.data_size > policy.max_size_bytes) {
    return refuse_content(fmt::format("{} bytes, expected from {} to {}", request.data_size,
                                      policy.min_size_bytes, policy.max_size_bytes));
  }
  const std::uint32_t missing = policy.attributes_must_have & ~request.attributes;
  if (missing != 0) {
    return refuse_content(
        fmt::format("the attributes {} are missing", attributes_to_string(missing)));
  }
  const std::uint32_t excess = policy.attributes_cant_have & request.attributes;
  if (excess != 0) {
    return refuse_content(
        fmt::format("the attributes {} are not allowed", attributes_to_string(excess)));
  }
  return {};
}

}  // namespace

const Policy* PolicyTable::find_best(std::u16string_view name, const Guid& guid) const noexcept {
  const Policy* best = nullptr;
  std::size_t best_priority = 0;
  for (const Policy& policy : policies_) {
    const auto priority = match_priority(policy, name, guid);
    if (!priority) continue;
    // Of equal ones the first that was registered.
    if (best == nullptr || *priority < best_priority) {
      best = &policy;
      best_priority = *priority;
    }
    if (best_priority == exact_priority) break;
  }
  return best;
}

EfiResult<void> PolicyTable::disable() {
  if (!enabled_) return refuse(EfiStatus::already_started, "policies are not enforced any more");
  if (locked_) return refuse(EfiStatus::write_protected, "policies are locked until the next boot");
  if (!disable_allowed_) {
    return refuse(EfiStatus::write_protected, "this platform does not allow it");
  }
  enabled_ = false;
  return {};
}

EfiResult<void> PolicyTable::register_entry(std::span<const std::byte> entry) {
  // Before the entry is looked at, as EDK2 does it.
  if (locked_) return refuse(EfiStatus::write_protected, "policies are locked until the next boot");
  ByteReader reader(entry);
  auto policy = read_policy(reader);
  if (!policy) return refuse(EfiStatus::invalid_parameter, policy.error().message);
  return register_policy(std::move(*policy));
}

EfiResult<void> PolicyTable::register_policy(Policy policy) {
  if (locked_) return refuse(EfiStatus::write_protected, "policies are locked until the next boot");
  const auto encoded = encode_policy(policy);
  if (!encoded) return refuse(EfiStatus::invalid_parameter, encoded.error().message);
  const bool known = std::ranges::any_of(policies_, [&policy](const Policy& other) {
    return other.guid == policy.guid && other.name == policy.name;
  });
  if (known) {
    return refuse(EfiStatus::already_started,
                  fmt::format("there is a policy for {}", to_string(policy)));
  }
  if (policies_.size() == max_policies ||
      encoded->size() > max_policy_table_size_bytes - size_bytes_) {
    return refuse(EfiStatus::out_of_resources,
                  fmt::format("at most {} policies of {} bytes together are kept", max_policies,
                              max_policy_table_size_bytes));
  }
  size_bytes_ += encoded->size();
  policies_.push_back(std::move(policy));
  return {};
}

std::vector<std::byte> PolicyTable::dump() const {
  std::vector<std::byte> bytes;
  bytes.reserve(size_bytes_);
  for (const Policy& policy : policies_) {
    // It could be encoded when it was registered.
    const auto entry = encode_policy(policy).value();
    bytes.insert(bytes.end(), entry.begin(), entry.end());
  }
  return bytes;
}

EfiResult<void> PolicyTable::lock() {
  if (locked_) return refuse(EfiStatus::write_protected, "policies are locked already");
  locked_ = true;
  return {};
}

EfiResult<const Policy*> PolicyTable::info(std::u16string_view name, const Guid& guid) const {
  const Policy* const policy = find_best(name, guid);
  if (policy == nullptr) return refuse(EfiStatus::not_found);
  return policy;
}

EfiResult<const PolicyState*> PolicyTable::lock_state_info(std::u16string_view name,
                                                           const Guid& guid) const {
  const Policy* const policy = find_best(name, guid);
  if (policy == nullptr || !policy->state) return refuse(EfiStatus::not_found);
  return &*policy->state;
}

EfiResult<void> PolicyTable::check(const PolicyRequest& request, const PolicyLookup& lookup) const {
  if (!enabled_) return {};
  const Policy* const policy = find_best(request.name, request.guid);
  if (policy == nullptr) return {};
  // Attributes without access delete as well, which EDK2's check does not look at.
  const bool deletion =
      request.data_size == 0 && (request.attributes & attributes::append_write) == 0;
  if (!deletion) {
    if (auto valid = check_content(*policy, request); !valid) return valid;
  }
  switch (policy->lock) {
    case PolicyLock::none:
      return {};
    case PolicyLock::now:
      return refuse_write(request);
    case PolicyLock::on_create:
      if (!lookup(request.name, request.guid)) return {};
      return refuse_write(request, " once it exists");
    case PolicyLock::on_var_state: {
      const PolicyState& state = *policy->state;
      const auto found = lookup(state.name, state.guid);
      if (!found || found->size() != 1 ||
          std::to_integer<std::uint8_t>(found->front()) != state.value) {
        return {};
      }
      return refuse_write(request, fmt::format(" while {} is {:#04x}",
                                               to_string(state.name, state.guid), state.value));
    }
  }
  return {};
}

}  // namespace efistore::variable
