// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The devices over which the contract of flash/device.hpp is tested.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "efistore/flash/device.hpp"
#include "efistore/flash/image_file.hpp"

namespace efistore::flash {

struct DeviceCase {
  std::string name;
  /// Makes the device, files of it in the directory given. Failing ends the process.
  std::function<std::unique_ptr<Device>(const std::filesystem::path&)> make;
  /// Opens what make() made again, after that was closed; empty for devices that are forgotten.
  std::function<std::unique_ptr<Device>(const std::filesystem::path&, OpenMode)> reopen;
};

/// How GoogleTest shows a case.
inline void PrintTo(const DeviceCase& device, std::ostream* out) {
  *out << device.name;
}

/// Every device and decorator; MTD devices only if EFISTORE_TEST_MTD in the environment names a
/// node whose content may be destroyed.
std::vector<DeviceCase> device_cases();
/// Those of them that can be opened again.
std::vector<DeviceCase> lasting_device_cases();

}  // namespace efistore::flash
