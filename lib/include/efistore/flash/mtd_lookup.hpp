// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/base/result.hpp"

namespace efistore::flash {

/// An MTD device or partition as udev lists it.
struct MtdEntry {
  std::filesystem::path node;  ///< "/dev/mtd3"
  std::string name;            ///< the partition's name, "uefi-vars"
};

/// All MTD character devices, read-only nodes (mtdNro) left out, in the kernel's order. Needs
/// sysfs, but no running udevd. Errors: io.
Result<std::vector<MtdEntry>> list_mtd();

/// The node of the MTD device or partition called `name`.
/// Errors: not_found, with the names there are; invalid_argument if several are called so; io.
Result<std::filesystem::path> find_mtd(std::string_view name);

}  // namespace efistore::flash
