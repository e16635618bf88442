// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "efistore/flash/device.hpp"

namespace efistore::flash {

/// Whether the device is one of MTD, also under the counting of its wear.
bool is_mtd(const Device& device) noexcept;

/// Where something is kept beside the store on the device that open_device() opened for `locator`:
/// for an image file "IMAGE.extension", for an MTD device "/var/lib/efistore/NAME.extension".
std::filesystem::path sidecar_path(const std::string& locator, const Device& device,
                                   std::string_view extension);

}  // namespace efistore::flash
