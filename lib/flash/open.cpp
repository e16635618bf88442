// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/flash/open.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <string_view>
#include <utility>

#include "efistore/flash/mtd_device.hpp"
#include "efistore/flash/mtd_lookup.hpp"
#include "efistore/flash/wear.hpp"

#include "mtd_node.hpp"

namespace efistore::flash {

Result<std::unique_ptr<Device>> open_device(const std::string& locator, OpenMode mode) {
  constexpr std::string_view mtd_prefix = "mtd:";
  std::filesystem::path path = locator;
  if (locator.starts_with(mtd_prefix)) {
    auto node = find_mtd(std::string_view(locator).substr(mtd_prefix.size()));
    if (!node) return forward(std::move(node));
    path = std::move(*node);
  }
  struct stat node {};
  if (::stat(path.c_str(), &node) != 0) return fail_errno(errno, path.string());
  if (is_mtd_node(node)) {
    auto device = MtdDevice::open(path, mode);
    if (!device) return forward(std::move(device));
    return count_wear(std::move(*device), locator);
  }
  if (S_ISREG(node.st_mode)) {
    auto device = ImageFile::open(path, mode);
    if (!device) return forward(std::move(device));
    return count_wear(std::move(*device), locator);
  }
  return fail(Errc::invalid_argument,
              path.string() + " is neither an image file nor an MTD character device (/dev/mtdN)");
}

}  // namespace efistore::flash
