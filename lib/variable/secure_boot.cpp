// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "secure_boot.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "efistore/base/attributes.hpp"
#include "efistore/base/bytes.hpp"
#include "efistore/variable/signature_list.hpp"

#include "private_authority.hpp"
#include "uefi_defined.hpp"
#include "var_check.hpp"

namespace efistore::variable {

using namespace literals;

namespace {

constexpr std::uint32_t shown_attributes =
    attributes::bootservice_access | attributes::runtime_access;
constexpr std::uint32_t boot_attributes = attributes::non_volatile | attributes::bootservice_access;
/// As EDK2 has them for VendorKeysNv: nobody has a key with which to sign a change.
constexpr std::uint32_t kept_attributes =
    boot_attributes | attributes::time_based_authenticated_write_access;

struct Name {
  std::u16string_view name;
  Guid guid;
};

constexpr Name platform_key{u"PK", guids::global_variable};
constexpr Name setup_mode{u"SetupMode", guids::global_variable};
constexpr Name secure_boot{u"SecureBoot", guids::global_variable};
constexpr Name audit_mode{u"AuditMode", guids::global_variable};
constexpr Name deployed_mode{u"DeployedMode", guids::global_variable};
constexpr Name vendor_keys{u"VendorKeys", guids::global_variable};
constexpr Name supported_signatures{u"SignatureSupport", guids::global_variable};
constexpr Name custom_mode{u"CustomMode", custom_mode_guid};
constexpr Name secure_boot_enable{u"SecureBootEnable", secure_boot_enable_guid};
constexpr Name vendor_keys_kept{u"VendorKeysNv", vendor_keys_guid};
constexpr Name audit_mode_kept{u"AuditModeNv", secure_boot_mode_guid};
constexpr Name deployed_mode_kept{u"DeployedModeNv", secure_boot_mode_guid};

constexpr std::byte off{0};
constexpr std::byte on{1};

/// The value of a variable of one byte.
std::optional<std::byte> byte_of(const Services::State& state, const Name& name) {
  const store::Record* const record = state.nv.find(name.name, name.guid);
  if (record == nullptr || record->data.size() != 1) return std::nullopt;
  return record->data[0];
}

/// The value of one that only keep() writes: of other attributes it is somebody else's, as all are
/// in the normal format.
std::optional<std::byte> kept_byte(const Services::State& state, const Name& name) {
  const store::Record* const record = state.nv.find(name.name, name.guid);
  if (!state.auth_supported() || record == nullptr || record->attributes != kept_attributes) {
    return std::nullopt;
  }
  return byte_of(state, name);
}

/// Changes that the firmware makes for itself, whatever a caller may do at runtime.
EfiResult<void> keep(Services::State& state, const Name& name, std::uint32_t attributes,
                     std::byte value) {
  const Phase phase = std::exchange(state.phase, Phase::boot);
  auto done = update_variable(state, {.name = name.name,
                                      .guid = name.guid,
                                      .attributes = attributes,
                                      .data = std::span(&value, 1)});
  state.phase = phase;
  return done;
}

EfiResult<void> forget(Services::State& state, const Name& name) {
  const store::Record* const present = state.nv.find(name.name, name.guid);
  if (present == nullptr) return {};
  if (!state.write_ready) {
    return refuse(EfiStatus::not_available_yet, "the flash cannot be written yet");
  }
  return remove_variable(state, {present, false});
}

EfiResult<void> show(Services::State& state, const Name& name, std::span<const std::byte> data) {
  const store::Record* const present = state.volatile_area.find(name.name, name.guid);
  if (present != nullptr && equal_bytes(present->data, data)) return {};
  auto done = write_volatile(state, {name.name, name.guid, shown_attributes, data});
  if (done) state.changes.note(name.name, name.guid);
  return done;
}

EfiResult<void> show(Services::State& state, const Name& name, bool value) {
  const std::byte byte = value ? on : off;
  return show(state, name, std::span(&byte, 1));
}

/// SecureBoot tells what this boot does, and the operating system does not change that.
EfiResult<void> show_modes(Services::State& state) {
  const SecureBootMode mode = secure_boot_mode(state);
  const bool has_key = mode == SecureBootMode::user || mode == SecureBootMode::deployed;
  if (auto done = show(state, setup_mode, !has_key); !done) return done;
  if (auto done = show(state, audit_mode, mode == SecureBootMode::audit); !done) return done;
  if (auto done = show(state, deployed_mode, mode == SecureBootMode::deployed); !done) return done;
  if (auto done = show(state, vendor_keys, has_vendor_keys(state)); !done) return done;
  if (state.at_runtime() && state.volatile_area.find(secure_boot.name, secure_boot.guid) != nullptr)
    return {};
  const bool enabled = byte_of(state, secure_boot_enable).value_or(on) == on;
  return show(state, secure_boot, has_key && enabled);
}

tl::unexpected<EfiError> no_transition(std::string_view what) {
  return refuse(EfiStatus::write_protected, std::string(what));
}

EfiResult<void> enter_audit_mode(Services::State& state) {
  // The platform key goes, and a policy that keeps it there has a say.
  const SetRequest deletion{
      .name = platform_key.name, .guid = platform_key.guid, .attributes = 0, .data = {}};
  if (has_platform_key(state)) {
    if (auto allowed = check_variable(state, deletion); !allowed) return allowed;
  }
  if (auto done = forget(state, platform_key); !done) return done;
  if (auto done = platform_key_changed(state); !done) return done;
  if (auto done = keep(state, audit_mode_kept, kept_attributes, on); !done) return done;
  return refresh_secure_boot(state);
}

EfiResult<void> set_audit_mode(Services::State& state, bool wanted) {
  switch (secure_boot_mode(state)) {
    case SecureBootMode::audit:
      if (!wanted) return no_transition("audit mode ends with a platform key");
      return {};
    case SecureBootMode::deployed:
      return no_transition("in deployed mode AuditMode is read-only");
    case SecureBootMode::setup:
    case SecureBootMode::user:
      break;
  }
  if (!wanted) return {};
  return enter_audit_mode(state);
}

EfiResult<void> set_deployed_mode(Services::State& state, bool wanted) {
  const SecureBootMode mode = secure_boot_mode(state);
  if (wanted == (mode == SecureBootMode::deployed)) return {};
  if (wanted && mode != SecureBootMode::user) {
    return no_transition("deployed mode is entered from user mode, that is with a platform key");
  }
  if (!wanted && !state.physically_present) {
    return no_transition("only somebody at the machine can leave deployed mode");
  }
  auto kept = wanted ? keep(state, deployed_mode_kept, kept_attributes, on)
                     : forget(state, deployed_mode_kept);
  if (!kept) return kept;
  return refresh_secure_boot(state);
}

}  // namespace

bool has_vendor_keys(const Services::State& state) noexcept {
  return kept_byte(state, vendor_keys_kept) != off;
}

bool has_platform_key(const Services::State& state) noexcept {
  return state.nv.find(platform_key.name, platform_key.guid) != nullptr;
}

SecureBootMode secure_boot_mode(const Services::State& state) noexcept {
  if (has_platform_key(state)) {
    const bool deployed = kept_byte(state, deployed_mode_kept) == on;
    return deployed ? SecureBootMode::deployed : SecureBootMode::user;
  }
  const bool audit = kept_byte(state, audit_mode_kept) == on;
  return audit ? SecureBootMode::audit : SecureBootMode::setup;
}

bool keys_are_open(const Services::State& state) noexcept {
  const SecureBootMode mode = secure_boot_mode(state);
  if (mode == SecureBootMode::setup || mode == SecureBootMode::audit) return true;
  // Custom mode is of a boot, and of the firmware: it ends where the operating system begins.
  return state.physically_present && !state.at_runtime() &&
         !state.secure_boot.custom_mode_of_earlier_boot && byte_of(state, custom_mode) == on;
}

EfiResult<void> show_secure_boot(Services::State& state) {
  if (!state.auth_supported()) return {};
  state.secure_boot.shown = true;
  const auto types = signature_support();
  if (auto done = show(state, supported_signatures, types); !done) return done;
  EfiResult<void> kept;
  if (state.write_ready && !state.nv.read_only() && !state.nv.report().damaged) {
    kept = forget_lost_variables(state);
    if (kept && state.nv.find(custom_mode.name, custom_mode.guid) != nullptr) {
      kept = keep(state, custom_mode, boot_attributes, off);
    }
  }
  state.secure_boot.custom_mode_of_earlier_boot = byte_of(state, custom_mode).value_or(off) != off;
  if (auto done = show_modes(state); !done) return done;
  return kept;
}

void custom_mode_set(Services::State& state) noexcept {
  state.secure_boot.custom_mode_of_earlier_boot = false;
}

EfiResult<void> refresh_secure_boot(Services::State& state) {
  return state.secure_boot.shown ? show_modes(state) : EfiResult<void>{};
}

EfiResult<void> platform_key_changed(Services::State& state) {
  const bool has_key = has_platform_key(state);
  const bool audited = has_key && kept_byte(state, audit_mode_kept) == on;
  // Also what firmware that does not know of them has left of modes that were over.
  if (auto done = forget(state, audit_mode_kept); !done) return done;
  auto kept = audited ? keep(state, deployed_mode_kept, kept_attributes, on)
                      : forget(state, deployed_mode_kept);
  if (!kept) return kept;
  if (!state.at_runtime()) {
    auto done = has_key ? keep(state, secure_boot_enable, boot_attributes, on)
                        : forget(state, secure_boot_enable);
    if (!done) return done;
  }
  return refresh_secure_boot(state);
}

EfiResult<void> vendor_keys_modified(Services::State& state) {
  if (!has_vendor_keys(state)) return {};
  if (auto done = keep(state, vendor_keys_kept, kept_attributes, off); !done) return done;
  return refresh_secure_boot(state);
}

bool is_mode_variable(std::u16string_view name, const Guid& guid) noexcept {
  return guid == guids::global_variable && (name == audit_mode.name || name == deployed_mode.name);
}

EfiResult<void> set_mode(Services::State& state, const SetRequest& request) {
  if (state.at_runtime()) return no_transition("the mode is fixed while the operating system runs");
  if (is_deletion(request.attributes, request.data.size())) {
    return no_transition("AuditMode and DeployedMode cannot be deleted");
  }
  if (request.attributes != shown_attributes || request.data.size() != 1 || request.data[0] > on) {
    return refuse(EfiStatus::invalid_parameter,
                  "AuditMode and DeployedMode take the attributes bs,rt and one byte, 0 or 1");
  }
  const bool wanted = request.data[0] == on;
  const bool audit = request.name == audit_mode.name;
  return transact(state, [&](Services::State& changed) {
    return audit ? set_audit_mode(changed, wanted) : set_deployed_mode(changed, wanted);
  });
}

}  // namespace efistore::variable
