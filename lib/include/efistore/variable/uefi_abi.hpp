// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The four services with the specification's own signatures (UEFI 2.10, 8.2): names end in NUL,
// pointers may be null, sizes go in and out. For callers that hold memory in the firmware's way.
#pragma once

#include <cstddef>
#include <cstdint>

#include "efistore/base/efi_status.hpp"
#include "efistore/base/guid.hpp"
#include "efistore/variable/services.hpp"

namespace efistore::variable {

/// GetVariable. On buffer_too_small `*data_size` is the size needed and `*attributes`, if wanted,
/// is set as well.
EfiStatus efi_get_variable(const Services& services, const char16_t* variable_name,
                           const Guid* vendor_guid, std::uint32_t* attributes,
                           std::size_t* data_size, void* data);

/// GetNextVariableName. `*variable_name_size` is in bytes, as everywhere in UEFI; on
/// buffer_too_small it is the size needed.
EfiStatus efi_get_next_variable_name(const Services& services, std::size_t* variable_name_size,
                                     char16_t* variable_name, Guid* vendor_guid);

/// SetVariable.
EfiStatus efi_set_variable(Services& services, const char16_t* variable_name,
                           const Guid* vendor_guid, std::uint32_t attributes, std::size_t data_size,
                           const void* data);

/// QueryVariableInfo.
EfiStatus efi_query_variable_info(const Services& services, std::uint32_t attributes,
                                  std::uint64_t* maximum_variable_storage_size,
                                  std::uint64_t* remaining_variable_storage_size,
                                  std::uint64_t* maximum_variable_size);

}  // namespace efistore::variable
