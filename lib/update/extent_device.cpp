// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/update/extent_device.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace efistore::update {

Result<std::shared_ptr<flash::Device>> DevicePool::get(const std::string& locator) {
  auto& device = devices_[locator];
  if (!device) {
    auto opened = open_(locator, mode_);
    if (!opened) return forward(std::move(opened));
    device = *std::move(opened);
  }
  return device;
}

Result<std::unique_ptr<ExtentDevice>> ExtentDevice::open(const Target& target, DevicePool& pool) {
  std::unique_ptr<ExtentDevice> made(new ExtentDevice);
  made->read_only_ = pool.mode() == flash::OpenMode::read_only;
  for (const Extent& extent : target) {
    auto device = pool.get(extent.device);
    if (!device) return forward(std::move(device));
    if (Status added = made->add(extent, *std::move(device)); !added) {
      return forward(std::move(added));
    }
  }
  return made;
}

Status ExtentDevice::add(const Extent& extent, std::shared_ptr<flash::Device> shared) {
  flash::Device& device = *shared;
  const flash::Geometry& there = device.geometry();
  const std::uint64_t block = there.erase_block_size_bytes;
  if (extent.offset >= there.size_bytes ||
      extent.size_bytes.value_or(0) > there.size_bytes - extent.offset) {
    return fail(Errc::out_of_range,
                fmt::format("{}: {} bytes from {} on are not on it, it has {}", device.name(),
                            extent.size_bytes.value_or(1), extent.offset, there.size_bytes));
  }
  const std::uint64_t size = extent.size_bytes.value_or(there.size_bytes - extent.offset);
  if (extent.offset % block != 0 || size % block != 0) {
    return fail(Errc::invalid_argument,
                fmt::format("{}: offset {} and size {}, expected multiples of its erase block, {}",
                            device.name(), extent.offset, size, block));
  }
  if (parts_.empty()) {
    geometry_ = there;
    geometry_.size_bytes = 0;
    name_ = device.name();
  } else if (block != geometry_.erase_block_size_bytes) {
    return fail(Errc::invalid_argument,
                fmt::format("{}: its erase blocks have {} bytes, and those of {} {}", device.name(),
                            block, name_, geometry_.erase_block_size_bytes));
  }
  geometry_.write_unit_bytes = std::max(geometry_.write_unit_bytes, there.write_unit_bytes);
  geometry_.bit_writable = geometry_.bit_writable && there.bit_writable;
  geometry_.size_bytes += size;
  parts_.push_back({std::move(shared), extent.offset, size});
  return {};
}

template <typename Step>
Status ExtentDevice::for_each_part(flash::Range range, const Step& step) {
  std::uint64_t begin = 0;
  std::uint64_t done = 0;
  for (const Part& part : parts_) {
    const std::uint64_t end = begin + part.size;
    if (done < range.size && range.offset + done < end) {
      const std::uint64_t inside = range.offset + done - begin;
      const std::uint64_t size = std::min(range.size - done, part.size - inside);
      if (Status stepped = step(*part.device, part.offset + inside, done, size); !stepped) {
        return stepped;
      }
      done += size;
    }
    begin = end;
  }
  return {};
}

Status ExtentDevice::read(std::uint64_t offset, std::span<std::byte> out) {
  if (Status checked = flash::check_read(*this, offset, out.size()); !checked) return checked;
  return for_each_part({offset, out.size()}, [out](flash::Device& device, std::uint64_t there,
                                                   std::uint64_t done, std::uint64_t size) {
    return device.read(there, out.subspan(done, size));
  });
}

Status ExtentDevice::program(std::uint64_t offset, std::span<const std::byte> data) {
  if (Status checked = flash::check_program(*this, offset, data.size()); !checked) return checked;
  return for_each_part({offset, data.size()}, [data](flash::Device& device, std::uint64_t there,
                                                     std::uint64_t done, std::uint64_t size) {
    return device.program(there, data.subspan(done, size));
  });
}

Status ExtentDevice::erase(flash::Range blocks) {
  if (Status checked = flash::check_erase(*this, blocks); !checked) return checked;
  return for_each_part(
      blocks, [](flash::Device& device, std::uint64_t there, std::uint64_t, std::uint64_t size) {
        return device.erase({there, size});
      });
}

Status ExtentDevice::sync() {
  for (const Part& part : parts_) {
    if (Status synced = part.device->sync(); !synced) return synced;
  }
  return {};
}

}  // namespace efistore::update
