// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "efistore/flash/device.hpp"
#include "efistore/flash/image_file.hpp"
#include "efistore/update/resource.hpp"

namespace efistore::update {

/// flash::open_device(), or what stands for it.
using DeviceOpener = std::function<Result<std::unique_ptr<flash::Device>>(
    const std::string& locator, flash::OpenMode mode)>;

/// Devices, each opened once, as it holds a lock.
class DevicePool {
 public:
  DevicePool(DeviceOpener open, flash::OpenMode mode) : open_(std::move(open)), mode_(mode) {}

  flash::OpenMode mode() const noexcept { return mode_; }
  /// Errors: those of the opener.
  Result<std::shared_ptr<flash::Device>> get(const std::string& locator);

 private:
  DeviceOpener open_;
  flash::OpenMode mode_;
  std::map<std::string, std::shared_ptr<flash::Device>> devices_;
};

/// The extents of a target as one device.
class ExtentDevice final : public flash::Device {
 public:
  /// Errors: those of the pool; out_of_range (an extent is not on its device), invalid_argument
  /// (not on erase-block boundaries, or devices whose erase blocks are not of one size).
  static Result<std::unique_ptr<ExtentDevice>> open(const Target& target, DevicePool& pool);

  const flash::Geometry& geometry() const noexcept override { return geometry_; }
  const std::string& name() const noexcept override { return name_; }
  bool read_only() const noexcept override { return read_only_; }
  Status read(std::uint64_t offset, std::span<std::byte> out) override;
  Status program(std::uint64_t offset, std::span<const std::byte> data) override;
  Status erase(flash::Range blocks) override;
  Status sync() override;

 private:
  struct Part {
    std::shared_ptr<flash::Device> device{};
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
  };

  ExtentDevice() = default;
  Status add(const Extent& extent, std::shared_ptr<flash::Device> shared);
  /// Calls `step(device, offset there, offset in the range, size)` for each part of a range.
  template <typename Step>
  Status for_each_part(flash::Range range, const Step& step);

  std::vector<Part> parts_;
  flash::Geometry geometry_;
  std::string name_;
  bool read_only_ = false;
};

}  // namespace efistore::update
