// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Variables that the UEFI specification, or EDK2's secure boot, defines: who may write them, with
// which attributes, and what they may hold (UEFI 2.10, 3.3; EDK2's VarCheckUefiLib and
// AuthVariableLib).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "efistore/base/guid.hpp"
#include "efistore/variable/efi_result.hpp"

namespace efistore::variable {

using namespace literals;

inline constexpr Guid custom_mode_guid = "c076ec0c-7028-4399-a072-71ee5c448b9f"_guid;
inline constexpr Guid secure_boot_enable_guid = "f0a30bc7-af08-4556-99c4-001009c93a44"_guid;
inline constexpr Guid vendor_keys_guid = "9073e4e0-60ec-4b6e-9903-4c223c260f3c"_guid;
/// Of efistore's own: what it keeps of the modes that EDK2 does not know (secure_boot.hpp).
inline constexpr Guid secure_boot_mode_guid = "9467a289-f4e1-44dd-a3c5-72b39df9280a"_guid;

using ContentCheck = bool (*)(std::span<const std::byte> data);

/// EDK2's VAR_CHECK_VARIABLE_PROPERTY, and how the content is checked.
struct VariableProperty {
  bool read_only = false;
  std::uint32_t attributes = 0;
  std::size_t min_size_bytes = 0;
  std::size_t max_size_bytes = SIZE_MAX;
  ContentCheck check = nullptr;
};

/// The property of a variable, or nullptr.
const VariableProperty* find_property(std::u16string_view name, const Guid& guid) noexcept;

/// What EDK2's VarCheckLibSetVariableCheck refuses after EndOfDxe. `payload` comes without
/// authentication data.
/// Errors: write_protected (read-only), invalid_parameter (attributes, size, content, or a name
/// that the specification does not define in a namespace of its own).
EfiResult<void> check_uefi_defined(std::u16string_view name, const Guid& guid,
                                   std::uint32_t attributes, std::span<const std::byte> payload);

/// PK, KEK, db, dbx, dbt and dbr.
bool is_key_variable(std::u16string_view name, const Guid& guid) noexcept;

/// certdb, certdbv, VendorKeysNv, AuditModeNv and DeployedModeNv, which no caller may write in any
/// phase: EDK2 has made them when the first caller comes, authenticated and signed by nobody.
bool is_firmwares_own(std::u16string_view name, const Guid& guid) noexcept;

/// CustomMode and SecureBootEnable, which only somebody at the machine may change.
bool needs_physical_presence(std::u16string_view name, const Guid& guid) noexcept;

/// EFI_LOAD_OPTION (UEFI 2.10, 3.1.3): a terminated description, and a valid device path within
/// FilePathListLength.
bool is_load_option(std::span<const std::byte> data);

/// A device path of complete nodes with an end node (UEFI 2.10, 10.2).
bool is_device_path(std::span<const std::byte> data);

}  // namespace efistore::variable
