// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <sys/stat.h>

namespace efistore::flash {

/// Whether stat() described an MTD character device, mtdN or mtdNro.
bool is_mtd_node(const struct stat& node) noexcept;

}  // namespace efistore::flash
