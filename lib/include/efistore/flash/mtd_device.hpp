// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "efistore/base/unique_fd.hpp"
#include "efistore/flash/device.hpp"
#include "efistore/flash/image_file.hpp"

namespace efistore::flash {

/// What MEMGETINFO (mtd/mtd-abi.h) says of a device, as far as it decides.
struct MtdInfo {
  std::uint8_t type = 0;
  std::uint32_t flags = 0;
  std::uint64_t size_bytes = 0;
  std::uint32_t erase_block_size_bytes = 0;
  std::uint32_t write_size_bytes = 0;
};

/// Whether the EDK2 format can live there: it programs the same byte up to three times, so it needs
/// NOR (or RAM) with a write size of 1 and bit-wise writing.
/// Errors: unsupported, with the reason and the value found.
Status check_mtd_suitable(const MtdInfo& info, const std::string& name);

/// A Linux MTD character device (/dev/mtdN).
class MtdDevice final : public Device {
 public:
  /// Errors: not_found, permission, busy, unsupported (see check_mtd_suitable), read_only (device
  /// or partition not writable), invalid_argument (no MTD character device), io.
  static Result<std::unique_ptr<MtdDevice>> open(const std::filesystem::path& path, OpenMode mode);

  const Geometry& geometry() const noexcept override { return geometry_; }
  const std::string& name() const noexcept override { return name_; }
  bool read_only() const noexcept override { return mode_ == OpenMode::read_only; }
  Status read(std::uint64_t offset, std::span<std::byte> out) override;
  /// Programs whole aligned bus words, the bytes around `data` with what they hold: some
  /// controllers, QEMU's CFI flash among them, lose the other bytes of a word that is written in
  /// part.
  Status program(std::uint64_t offset, std::span<const std::byte> data) override;
  /// Unlocks the blocks first; devices that have no locks are asked once.
  Status erase(Range blocks) override;
  Status sync() override;

 private:
  MtdDevice(UniqueFd fd, std::string name, OpenMode mode, Geometry geometry);
  Status unlock(Range blocks);

  UniqueFd fd_;
  std::string name_;
  OpenMode mode_;
  Geometry geometry_;
  bool has_locks_ = true;
};

}  // namespace efistore::flash
