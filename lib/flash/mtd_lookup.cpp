// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/flash/mtd_lookup.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <libudev.h>
#include <sys/types.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "printable.hpp"

namespace efistore::flash {

namespace {

constexpr std::size_t name_limit = 64;

template <auto unref>
struct Unref {
  template <typename T>
  void operator()(T* object) const noexcept {
    unref(object);
  }
};
using UdevHandle = std::unique_ptr<udev, Unref<udev_unref>>;
using UdevEnumerate = std::unique_ptr<udev_enumerate, Unref<udev_enumerate_unref>>;
using UdevDevice = std::unique_ptr<udev_device, Unref<udev_device_unref>>;

std::string describe(const MtdEntry& entry) {
  return fmt::format("\"{}\" ({})", printable(entry.name, name_limit), entry.node.string());
}

}  // namespace

Result<std::vector<MtdEntry>> list_mtd() {
  const UdevHandle library(udev_new());
  const UdevEnumerate enumeration(library ? udev_enumerate_new(library.get()) : nullptr);
  if (!enumeration || udev_enumerate_add_match_subsystem(enumeration.get(), "mtd") < 0) {
    return fail(Errc::io, "udev cannot list the MTD devices");
  }
  if (const int error = udev_enumerate_scan_devices(enumeration.get()); error < 0) {
    return fail_errno(-error, "list the MTD devices");
  }
  std::vector<std::pair<dev_t, MtdEntry>> found;
  for (udev_list_entry* entry = udev_enumerate_get_list_entry(enumeration.get()); entry != nullptr;
       entry = udev_list_entry_get_next(entry)) {
    const UdevDevice device(
        udev_device_new_from_syspath(library.get(), udev_list_entry_get_name(entry)));
    if (!device) continue;  // gone since
    const char* type = udev_device_get_devtype(device.get());
    const char* node = udev_device_get_devnode(device.get());
    const char* name = udev_device_get_sysattr_value(device.get(), "name");
    // Only the node for writing has a type; mtdNro and mtdblockN do not.
    if (type == nullptr || std::string_view(type) != "mtd" || node == nullptr) continue;
    found.emplace_back(udev_device_get_devnum(device.get()),
                       MtdEntry{.node = node, .name = name != nullptr ? name : ""});
  }
  // udev sorts by path, mtd10 before mtd2.
  std::ranges::sort(found, {}, &std::pair<dev_t, MtdEntry>::first);
  std::vector<MtdEntry> entries;
  entries.reserve(found.size());
  for (auto& [number, entry] : found) entries.push_back(std::move(entry));
  return entries;
}

Result<std::filesystem::path> find_mtd(std::string_view name) {
  auto entries = list_mtd();
  if (!entries) return forward(std::move(entries));
  const std::string wanted = printable(name, name_limit);
  if (entries->empty()) {
    return fail(Errc::not_found,
                fmt::format("no MTD device is called \"{}\": there are none here", wanted));
  }
  std::vector<std::string> all;
  std::vector<MtdEntry> matches;
  for (const MtdEntry& entry : *entries) {
    all.push_back(describe(entry));
    if (entry.name == name) matches.push_back(entry);
  }
  if (matches.empty()) {
    return fail(Errc::not_found, fmt::format("no MTD device is called \"{}\", there are {}", wanted,
                                             fmt::join(all, ", ")));
  }
  if (matches.size() > 1) {
    return fail(Errc::invalid_argument,
                fmt::format("{} MTD devices are called \"{}\", {} first: name one by its node",
                            matches.size(), wanted, matches.front().node.string()));
  }
  return matches.front().node;
}

}  // namespace efistore::flash
