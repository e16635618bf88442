// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "efistore/base/unique_fd.hpp"
#include "efistore/flash/device.hpp"

namespace efistore::flash {

enum class OpenMode { read_only, read_write };

/// A regular file that behaves like NOR flash: programming clears bits only, and a request to set
/// one is refused with Errc::bit_set. Holds a lock on the file, shared for reading and exclusive
/// for writing.
class ImageFile final : public Device {
 public:
  static constexpr std::uint32_t default_erase_block_size_bytes = 4096;

  /// Opens an existing image. A tail shorter than an erase block belongs to no block and is left
  /// alone.
  /// Errors: not_found, permission, busy, invalid_argument (no regular file, block size not a power
  /// of two, file smaller than a block), io.
  static Result<std::unique_ptr<ImageFile>> open(
      const std::filesystem::path& path, OpenMode mode,
      std::uint32_t erase_block_size_bytes = default_erase_block_size_bytes);

  /// Makes an erased image of `size_bytes`. The file appears under its name only when it is
  /// complete and on disk, and is locked from then on.
  /// Errors: already_exists, permission, invalid_argument (block size not a power of
  /// two, size no multiple of it or zero), no_space, io.
  /// Power loss: a file called ".efistore-" and 16 digits may be left in the same directory.
  static Result<std::unique_ptr<ImageFile>> create(
      const std::filesystem::path& path, std::uint64_t size_bytes,
      std::uint32_t erase_block_size_bytes = default_erase_block_size_bytes);

  const Geometry& geometry() const noexcept override { return geometry_; }
  const std::string& name() const noexcept override { return name_; }
  bool read_only() const noexcept override { return mode_ == OpenMode::read_only; }
  Status read(std::uint64_t offset, std::span<std::byte> out) override;
  Status program(std::uint64_t offset, std::span<const std::byte> data) override;
  Status erase(Range blocks) override;
  Status sync() override;

 private:
  ImageFile(UniqueFd fd, std::string name, OpenMode mode, Geometry geometry);

  UniqueFd fd_;
  std::string name_;
  OpenMode mode_;
  Geometry geometry_;
};

}  // namespace efistore::flash
