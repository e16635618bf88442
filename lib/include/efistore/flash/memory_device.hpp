// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <string>
#include <vector>

#include "efistore/flash/device.hpp"

namespace efistore::flash {

/// NOR flash in memory, with ImageFile's rules: for benchmarks, tests, and stores that are to be
/// forgotten.
class MemoryDevice final : public Device {
 public:
  /// Starts erased.
  explicit MemoryDevice(Geometry geometry, std::string name = "memory");
  /// Starts as `content`, whose size must be a multiple of the erase block.
  MemoryDevice(std::vector<std::byte> content, std::uint32_t erase_block_size_bytes,
               std::string name = "memory");

  std::span<const std::byte> content() const noexcept { return content_; }

  const Geometry& geometry() const noexcept override { return geometry_; }
  const std::string& name() const noexcept override { return name_; }
  bool read_only() const noexcept override { return false; }
  Status read(std::uint64_t offset, std::span<std::byte> out) override;
  Status program(std::uint64_t offset, std::span<const std::byte> data) override;
  Status erase(Range blocks) override;
  Status sync() override { return {}; }

 private:
  Geometry geometry_;
  std::vector<std::byte> content_;
  std::string name_;
};

}  // namespace efistore::flash
