// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <memory>
#include <string>

#include "efistore/flash/device.hpp"

namespace efistore::flash {

/// A part of another device, seen as a device of its own.
class Partition final : public Device {
 public:
  /// Errors: out_of_range, invalid_argument (not on erase-block boundaries, or empty).
  static Result<std::unique_ptr<Partition>> create(std::unique_ptr<Device> whole, Range range);

  const Geometry& geometry() const noexcept override { return geometry_; }
  const std::string& name() const noexcept override { return name_; }
  bool read_only() const noexcept override { return whole_->read_only(); }
  Status read(std::uint64_t offset, std::span<std::byte> out) override;
  Status program(std::uint64_t offset, std::span<const std::byte> data) override;
  Status erase(Range blocks) override;
  Status sync() override { return whole_->sync(); }

 private:
  Partition(std::unique_ptr<Device> whole, Range range);

  std::unique_ptr<Device> whole_;
  std::uint64_t offset_;
  Geometry geometry_;
  std::string name_;
};

}  // namespace efistore::flash
