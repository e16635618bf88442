// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include "efistore/base/result.hpp"

namespace efistore::shim {

/// Gives up what a mounted file system of root's does not need: gaining privileges by executing
/// files, and every capability but those for unmounting. Does nothing for others than root, who
/// unmount by executing fusermount3, which is set-user-id.
/// Errors: permission.
Status drop_privileges();

}  // namespace efistore::shim
