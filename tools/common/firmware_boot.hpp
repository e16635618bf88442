// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include "efistore/variable/services.hpp"

namespace efistore::tools {

/// Does what firmware has done by the time an operating system mounts efivarfs: EndOfDxe,
/// ReadyToBoot and, unless the services are to stay in the boot phase, ExitBootServices, of
/// services that are before EndOfDxe. A second boot of the same store writes nothing, and a store
/// that is read-only or damaged stays as it is.
///
/// Errors: as end_of_dxe() and ready_to_boot(), with runtime begun all the same: firmware starts
/// the operating system with a full store, too.
variable::EfiResult<void> boot_firmware(variable::Services& services, bool stay_in_boot = false);

}  // namespace efistore::tools
