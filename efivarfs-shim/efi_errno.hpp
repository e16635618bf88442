// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include "efistore/base/efi_status.hpp"

namespace efistore::shim {

/// The errno value that the kernel's efivarfs gives for a status; 0 for success. Statuses that the
/// kernel does not know are EINVAL.
int efi_errno(EfiStatus status) noexcept;

/// The same for write(2), where a variable that is not there cannot be ENOENT: EIO.
int efi_write_errno(EfiStatus status) noexcept;

/// The same for unlink(2): a variable that is not there is deleted (0), every failure is EINVAL.
int efi_unlink_errno(EfiStatus status) noexcept;

}  // namespace efistore::shim
