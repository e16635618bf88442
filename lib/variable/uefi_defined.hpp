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

/// PK, KEK, db, dbx and dbt.
bool is_key_variable(std::u16string_view name, const Guid& guid) noexcept;

/// CustomMode and SecureBootEnable, which only somebody at the machine may change.
bool needs_physical_presence(std::u16string_view name, const Guid& guid) noexcept;

/// EFI_LOAD_OPTION (UEFI 2.10, 3.1.3): a terminated description, and a valid device path within
/// FilePathListLength.
bool is_load_option(std::span<const std::byte> data);

/// A device path of complete nodes with an end node (UEFI 2.10, 10.2).
bool is_device_path(std::span<const std::byte> data);

}  // namespace efistore::variable
