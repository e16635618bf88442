// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Secure boot's modes and the variables that show them (UEFI 2.10, 32.3; EDK2's AuthVariableLib).
//
//   setup    -> user      a platform key is enrolled
//   setup    -> audit     AuditMode is set to 1
//   user     -> setup     the platform key is deleted
//   user     -> audit     AuditMode is set to 1; the platform key goes
//   user     -> deployed  DeployedMode is set to 1
//   audit    -> deployed  a platform key is enrolled
//   deployed -> setup     the platform key is deleted
//   deployed -> user      DeployedMode is set to 0 by somebody at the machine
//
// Firmware keeps the two modes that EDK2 does not know where it likes; here they are non-volatile
// variables under a GUID of efistore's own, which no caller may write.
#pragma once

#include "state.hpp"

namespace efistore::variable {

/// Whether PK is enrolled.
bool has_platform_key(const Services::State& state) noexcept;

SecureBootMode secure_boot_mode(const Services::State& state) noexcept;

/// True if changes of keys need no signature: setup and audit mode, and custom mode with somebody
/// at the machine.
bool keys_are_open(const Services::State& state) noexcept;

/// Services::start_secure_boot().
EfiResult<void> show_secure_boot(Services::State& state);

/// After the platform key came or went: the mode, and what follows from it. Inside a transaction
/// with that change.
EfiResult<void> platform_key_changed(Services::State& state);

/// Whether no key was changed without a signature yet.
bool has_vendor_keys(const Services::State& state) noexcept;
/// Notes that keys were changed without a signature (EDK2's VendorKeyIsModified()).
EfiResult<void> vendor_keys_modified(Services::State& state);

/// AuditMode and DeployedMode of the global namespace.
bool is_mode_variable(std::u16string_view name, const Guid& guid) noexcept;
/// SetVariable of one of them. Errors: write_protected (no such transition, or the operating system
/// runs), invalid_parameter.
EfiResult<void> set_mode(Services::State& state, const SetRequest& request);

/// CustomMode was set by this boot, and counts.
void custom_mode_set(Services::State& state) noexcept;

/// Makes the volatile variables, where they are shown, say what is.
EfiResult<void> refresh_secure_boot(Services::State& state);

}  // namespace efistore::variable
