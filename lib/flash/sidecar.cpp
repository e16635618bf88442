// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/flash/sidecar.hpp"

#include <fmt/format.h>

#include "efistore/flash/mtd_device.hpp"
#include "efistore/flash/wear.hpp"

namespace efistore::flash {

namespace {

constexpr std::string_view mtd_directory = "/var/lib/efistore";

/// A file name from what an MTD device is called, "mtd4 (uefi-vars)": its own name, or its node's
/// where it has none.
std::string mtd_file_name(std::string_view device_name) {
  const std::size_t open = device_name.find('(');
  if (open != std::string_view::npos && device_name.ends_with(')') &&
      open + 2 < device_name.size()) {
    device_name = device_name.substr(open + 1, device_name.size() - open - 2);
  }
  std::string name(device_name);
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_';
    if (!plain) c = '_';
  }
  return name;
}

}  // namespace

bool is_mtd(const Device& device) noexcept {
  const auto* const counted = dynamic_cast<const WearDevice*>(&device);
  const Device& bare = counted == nullptr ? device : counted->below();
  return dynamic_cast<const MtdDevice*>(&bare) != nullptr;
}

std::filesystem::path sidecar_path(const std::string& locator, const Device& device,
                                   std::string_view extension) {
  const std::string ending = fmt::format(".{}", extension);
  if (!is_mtd(device)) return locator + ending;
  return std::filesystem::path(mtd_directory) / (mtd_file_name(device.name()) + ending);
}

}  // namespace efistore::flash
