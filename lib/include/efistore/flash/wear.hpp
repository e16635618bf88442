// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// How often the erase blocks of a device were erased. EDK2's format has no place for it, so the
// counts are kept in a file beside the store; they know of erases made through here, and of no
// others.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "efistore/flash/device.hpp"

namespace efistore::flash {

/// Erases of each erase block, in order.
struct WearCounts {
  std::uint32_t erase_block_size_bytes = 0;
  std::vector<std::uint64_t> erases;

  std::uint64_t total() const noexcept;
  /// The block that was erased most, the first of several; 0 if there is no block.
  std::size_t most_worn() const noexcept;

  friend bool operator==(const WearCounts&, const WearCounts&) = default;
};

/// Reads the counts of a device of that geometry; an empty file is one that starts to count.
/// The file: a line "efistore-wear 1 BLOCK-SIZE BLOCKS", then one decimal number a line.
/// Errors: not_found, permission, damaged (the message says in which line), unsupported (more than
/// 2^17 blocks), io.
Result<WearCounts> load_wear(const std::filesystem::path& path, const Geometry& geometry);

/// Replaces the file at once: a reader sees the old counts or the new ones.
/// Errors: not_found (the directory), permission, no_space, io.
Status save_wear(const std::filesystem::path& path, const WearCounts& counts);

/// Where the counts of the device that open_device() opens for `locator` are kept: beside an image
/// file, "IMAGE.wear", counted where that file is there; for an MTD device
/// "/var/lib/efistore/NAME.wear", counted always.
std::filesystem::path wear_path(const std::string& locator, const Device& device);

/// Counts the erases that it passes on, and saves the counts with every sync() that follows one.
/// Counts that cannot be saved are no failure of the device: they are kept, and tried again.
class WearDevice final : public Device {
 public:
  WearDevice(std::unique_ptr<Device> below, std::filesystem::path file, WearCounts counts);
  ~WearDevice() override;

  const WearCounts& counts() const noexcept { return counts_; }
  /// The device that is counted.
  const Device& below() const noexcept { return *below_; }

  const Geometry& geometry() const noexcept override { return below_->geometry(); }
  const std::string& name() const noexcept override { return below_->name(); }
  bool read_only() const noexcept override { return below_->read_only(); }
  Status read(std::uint64_t offset, std::span<std::byte> out) override;
  Status program(std::uint64_t offset, std::span<const std::byte> data) override;
  Status erase(Range blocks) override;
  Status sync() override;

 private:
  void save();

  std::unique_ptr<Device> below_;
  std::filesystem::path file_;
  WearCounts counts_;
  bool unsaved_ = false;
};

/// Puts a WearDevice over a device that was opened for writing, where its erases are counted. Where
/// the counts cannot be read, nothing is counted and the file is left alone.
std::unique_ptr<Device> count_wear(std::unique_ptr<Device> device, const std::string& locator);

}  // namespace efistore::flash
