// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What the kernel's efivarfs checks of a variable's content before it asks the firmware. (It means
// to check more than this; only load options ever match its table, and clients rely on that.)
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "efistore/base/guid.hpp"

namespace efistore::shim {

/// True if `data` may be written to the variable. Only Boot#### and Driver#### of the global
/// namespace have a rule: they must be an EFI_LOAD_OPTION (UEFI 2.10, 3.1.3) whose file path list
/// lies inside the data and has an end node, also where the write deletes or appends. A fifth digit
/// is no name for a load option and always refused.
bool is_acceptable_payload(std::u16string_view name, const Guid& guid,
                           std::span<const std::byte> data) noexcept;

}  // namespace efistore::shim
