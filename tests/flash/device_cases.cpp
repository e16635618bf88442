// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "flash/device_cases.hpp"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "efistore/flash/memory_device.hpp"
#include "efistore/flash/mtd_device.hpp"
#include "efistore/flash/partition.hpp"

#include "support/counting_device.hpp"
#include "support/faulty_device.hpp"

namespace efistore::flash {

namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t block_size_bytes = 4096;
constexpr std::uint64_t size_bytes = std::uint64_t{12} * block_size_bytes;

template <typename T>
std::unique_ptr<T> must(Result<std::unique_ptr<T>> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "cannot make the device to be tested: %s\n", result.error().message.c_str());
  std::exit(1);
}

std::unique_ptr<Device> memory_device() {
  return std::make_unique<MemoryDevice>(
      Geometry{.size_bytes = size_bytes, .erase_block_size_bytes = block_size_bytes});
}

std::unique_ptr<Device> image_file(const fs::path& directory) {
  return must(ImageFile::create(directory / "image.fd", size_bytes, block_size_bytes));
}

std::unique_ptr<Device> reopened_image_file(const fs::path& directory, OpenMode mode) {
  return must(ImageFile::open(directory / "image.fd", mode, block_size_bytes));
}

std::unique_ptr<Device> image_file_with_tail(const fs::path& directory) {
  image_file(directory);
  fs::resize_file(directory / "image.fd", size_bytes + 100);
  return reopened_image_file(directory, OpenMode::read_write);
}

std::unique_ptr<Device> part_of(std::unique_ptr<Device> whole) {
  const std::uint32_t block_size = whole->geometry().erase_block_size_bytes;
  const std::uint64_t size = whole->geometry().size_bytes;
  return must(Partition::create(
      std::move(whole), {.offset = block_size, .size = size - std::uint64_t{2} * block_size}));
}

DeviceCase partition_of(const DeviceCase& whole) {
  DeviceCase part{.name = "PartitionOf" + whole.name,
                  .make = [make = whole.make](const fs::path& d) { return part_of(make(d)); },
                  .reopen = {}};
  if (whole.reopen) {
    part.reopen = [reopen = whole.reopen](const fs::path& d, OpenMode mode) {
      return part_of(reopen(d, mode));
    };
  }
  return part;
}

template <typename Decorator>
DeviceCase decorated(const std::string& name, const DeviceCase& below) {
  DeviceCase decorator{
      .name = name + below.name,
      .make = [make =
                   below.make](const fs::path& d) { return std::make_unique<Decorator>(make(d)); },
      .reopen = {}};
  if (below.reopen) {
    decorator.reopen = [reopen = below.reopen](const fs::path& d, OpenMode mode) {
      return std::make_unique<Decorator>(reopen(d, mode));
    };
  }
  return decorator;
}

}  // namespace

std::vector<DeviceCase> device_cases() {
  const DeviceCase memory{.name = "MemoryDevice",
                          .make = [](const fs::path&) { return memory_device(); },
                          .reopen = {}};
  const DeviceCase image{.name = "ImageFile", .make = image_file, .reopen = reopened_image_file};
  const DeviceCase tailed{
      .name = "ImageFileWithTail", .make = image_file_with_tail, .reopen = reopened_image_file};
  std::vector<DeviceCase> cases{memory,
                                image,
                                tailed,
                                partition_of(memory),
                                partition_of(image),
                                partition_of(partition_of(memory)),
                                decorated<test::CountingDevice>("Counting", memory),
                                decorated<test::CountingDevice>("Counting", image),
                                decorated<test::FaultyDevice>("Faulty", memory),
                                decorated<test::FaultyDevice>("Faulty", image)};
  if (const char* node = std::getenv("EFISTORE_TEST_MTD"); node != nullptr) {
    const auto open = [path = fs::path(node)](const fs::path&, OpenMode mode) {
      return std::unique_ptr<Device>(must(MtdDevice::open(path, mode)));
    };
    const DeviceCase mtd{
        .name = "MtdDevice",
        .make = [open](const fs::path& d) { return open(d, OpenMode::read_write); },
        .reopen = open};
    cases.push_back(mtd);
    cases.push_back(partition_of(mtd));
  }
  return cases;
}

std::vector<DeviceCase> lasting_device_cases() {
  std::vector<DeviceCase> cases = device_cases();
  std::erase_if(cases, [](const DeviceCase& device) { return !device.reopen; });
  return cases;
}

}  // namespace efistore::flash
