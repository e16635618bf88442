// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <memory>
#include <string>

#include "efistore/flash/device.hpp"
#include "efistore/flash/image_file.hpp"

namespace efistore::flash {

/// Opens what `locator` names: "mtd:NAME", the path of an MTD character device, or the path of an
/// image file. Opened for writing, its erases are counted where wear.hpp says so.
/// Errors: those of find_mtd(), MtdDevice::open() and ImageFile::open(); invalid_argument for a
/// node of any other kind.
Result<std::unique_ptr<Device>> open_device(const std::string& locator, OpenMode mode);

}  // namespace efistore::flash
