// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "var_check.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "efistore/base/attributes.hpp"

#include "state.hpp"
#include "uefi_defined.hpp"

namespace efistore::variable {

namespace {

constexpr std::u16string_view wildcards = u"####";

/// The built-in property that a name shares with all numbers in the place of its last four
/// characters: that of "Boot0000" for "Boot####". nullptr if such are not numbered.
const VariableProperty* numbered_property(std::u16string_view name, const Guid& guid) {
  if (name.size() < wildcards.size()) return nullptr;
  std::u16string number(name);
  number.replace(name.size() - wildcards.size(), wildcards.size(), u"0000");
  return find_property(number, guid);
}

bool is_pattern(std::u16string_view name, const Guid& guid) {
  return name.ends_with(wildcards) && numbered_property(name, guid) != nullptr;
}

/// "Boot####" for one of its variables; the name itself for any other, as BootNext.
std::u16string pattern_of(std::u16string_view name, const Guid& guid) {
  std::u16string pattern(name);
  const VariableProperty* const property = find_property(name, guid);
  if (property != nullptr && property == numbered_property(name, guid)) {
    pattern.replace(name.size() - wildcards.size(), wildcards.size(), wildcards);
  }
  return pattern;
}

std::optional<VarCheckProperty> built_in_property(std::u16string_view name, const Guid& guid) {
  const VariableProperty* defined = find_property(name, guid);
  if (is_pattern(name, guid)) defined = numbered_property(name, guid);
  if (defined == nullptr) return std::nullopt;
  return VarCheckProperty{
      .property = defined->read_only ? VarCheckProperty::read_only_bit : std::uint16_t{0},
      .attributes = defined->attributes,
      .min_size_bytes = defined->min_size_bytes,
      .max_size_bytes = defined->max_size_bytes};
}

/// What a property demands that was registered.
EfiResult<void> check_registered(const VarCheckProperty& property, const SetRequest& request,
                                 std::size_t size) {
  const auto name = [&request] { return to_string(request.name, request.guid); };
  if (property.read_only()) {
    return refuse(EfiStatus::write_protected, fmt::format("{} is registered as read-only", name()));
  }
  if (is_deletion(request.attributes, size)) return {};
  const std::uint32_t attributes = request.attributes & ~attributes::append_write;
  if (property.attributes != 0 && attributes != property.attributes) {
    return refuse(
        EfiStatus::invalid_parameter,
        fmt::format("{} is registered with the attributes {}, not {}", name(),
                    attributes_to_string(property.attributes), attributes_to_string(attributes)));
  }
  // Appending nothing has no size.
  if (size != 0 && (size < property.min_size_bytes || size > property.max_size_bytes)) {
    return refuse(EfiStatus::invalid_parameter,
                  fmt::format("{} is registered with {} to {} bytes, not {}", name(),
                              property.min_size_bytes, property.max_size_bytes, size));
  }
  return {};
}

/// What EDK2's handler for the specification's variables demands besides their properties.
EfiResult<void> check_content(const SetRequest& request, std::span<const std::byte> payload) {
  const VariableProperty* const defined = find_property(request.name, request.guid);
  // Without a property of its own, only the name can be wrong.
  if (defined == nullptr) {
    return check_uefi_defined(request.name, request.guid, request.attributes, payload);
  }
  if (defined->check == nullptr || payload.empty() ||
      is_deletion(request.attributes, payload.size()) || defined->check(payload)) {
    return {};
  }
  return refuse(EfiStatus::invalid_parameter,
                fmt::format("the data is malformed for {}", to_string(request.name, request.guid)));
}

EfiResult<void> check_properties(const Services::State& state, const SetRequest& request,
                                 std::span<const std::byte> payload) {
  const VarCheckProperty* const registered = state.properties.find(request.name, request.guid);
  if (registered == nullptr) {
    return check_uefi_defined(request.name, request.guid, request.attributes, payload);
  }
  auto allowed = check_registered(*registered, request, payload.size());
  if (!allowed) return allowed;
  return check_content(request, payload);
}

}  // namespace

EfiResult<void> PropertyTable::set(std::u16string_view name, const Guid& guid,
                                   const VarCheckProperty& property) {
  if (name.empty()) return refuse(EfiStatus::invalid_parameter, "the name is empty");
  if (property.revision != VarCheckProperty::known_revision) {
    return refuse(EfiStatus::invalid_parameter,
                  fmt::format("revision {} of a property, expected {}", property.revision,
                              VarCheckProperty::known_revision));
  }
  const VariableId id{.name = std::u16string(name), .guid = guid};
  if (const auto present = properties_.find(id); present != properties_.end()) {
    present->second = property;
    return {};
  }
  const std::size_t size = name.size() * sizeof(char16_t);
  if (properties_.size() == max_properties ||
      size > max_property_names_size_bytes - names_size_bytes_) {
    return refuse(EfiStatus::out_of_resources,
                  fmt::format("at most {} properties, with {} bytes of names, are kept",
                              max_properties, max_property_names_size_bytes));
  }
  names_size_bytes_ += size;
  properties_.emplace(id, property);
  return {};
}

const VarCheckProperty* PropertyTable::find(std::u16string_view name, const Guid& guid) const {
  if (properties_.empty()) return nullptr;
  auto found = properties_.find({.name = std::u16string(name), .guid = guid});
  // A variable's own property goes before that of its pattern.
  if (found == properties_.end()) {
    found = properties_.find({.name = pattern_of(name, guid), .guid = guid});
  }
  return found == properties_.end() ? nullptr : &found->second;
}

std::optional<VarCheckProperty> property_of(const Services::State& state, std::u16string_view name,
                                            const Guid& guid) {
  if (const VarCheckProperty* registered = state.properties.find(name, guid)) return *registered;
  return built_in_property(name, guid);
}

bool is_user_name(const Services::State& state, std::u16string_view name, const Guid& guid) {
  return find_property(name, guid) == nullptr && state.properties.find(name, guid) == nullptr;
}

EfiResult<void> check_variable(const Services::State& state, const SetRequest& request) {
  if (state.phase == Phase::boot_early) return {};
  const auto payload = payload_of(request);
  auto allowed = check_properties(state, request, payload);
  if (!allowed) return allowed;
  const auto lookup = [&state](std::u16string_view name, const Guid& guid) {
    const Existing existing = state.find(name, guid);
    using Data = std::optional<std::span<const std::byte>>;
    const bool visible = existing && state.shows(*existing.record);
    return visible ? Data(existing.record->data) : Data();
  };
  return state.policies.check({.name = request.name,
                               .guid = request.guid,
                               .attributes = request.attributes,
                               .data_size = payload.size()},
                              lookup);
}

Status start_policies(Services::State& state, const Options& options) {
  for (const Policy& policy : options.policies) {
    auto done = state.policies.register_policy(policy);
    if (done) continue;
    return fail(Errc::invalid_argument,
                fmt::format("the policy for {}: {}", to_string(policy), done.error().reason));
  }
  if (state.phase != Phase::boot_early) state.lock_policies();
  return {};
}

EfiResult<void> Services::lock_variable(std::u16string_view name, const Guid& guid) {
  if (name.empty()) return refuse(EfiStatus::invalid_parameter, "the name is empty");
  if (state_->phase != Phase::boot_early) {
    return refuse(EfiStatus::access_denied, "variables are locked before EndOfDxe only");
  }
  Policy policy{.name = std::u16string(name), .guid = guid, .lock = PolicyLock::now};
  auto done = state_->policies.register_policy(std::move(policy));
  if (done.status() != EfiStatus::already_started) return done;
  // It may be locked all the same.
  const bool locked = std::ranges::any_of(state_->policies.policies(), [&](const Policy& present) {
    return present.guid == guid && present.name == name && present.lock == PolicyLock::now;
  });
  if (locked) return {};
  return done;
}

EfiResult<void> Services::register_property(std::u16string_view name, const Guid& guid,
                                            const VarCheckProperty& property) {
  if (state_->phase == Phase::boot_early) return state_->properties.set(name, guid, property);
  // What is malformed is told so in every phase, as in EDK2.
  if (auto valid = PropertyTable().set(name, guid, property); !valid) return valid;
  return refuse(EfiStatus::access_denied, "properties are registered before EndOfDxe only");
}

EfiResult<VarCheckProperty> Services::get_property(std::u16string_view name,
                                                   const Guid& guid) const {
  if (name.empty()) return refuse(EfiStatus::invalid_parameter, "the name is empty");
  const auto property = property_of(*state_, name, guid);
  if (!property) return refuse(EfiStatus::not_found);
  return *property;
}

const PolicyTable& Services::policies() const noexcept {
  return state_->policies;
}

PolicyTable& Services::policies() noexcept {
  return state_->policies;
}

}  // namespace efistore::variable
