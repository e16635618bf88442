// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Firmware onto flash: which erase blocks have to be written, in which order they are, and what is
// to be written again after a power cut. lib/DESIGN.md, "update", has the argument.
#pragma once

#include <cstdint>
#include <functional>

#include "efistore/base/result.hpp"
#include "efistore/capsule/source.hpp"
#include "efistore/flash/device.hpp"
#include "efistore/update/block_set.hpp"

namespace efistore::update {

/// Of a device that firmware is written to.
inline constexpr std::uint32_t max_erase_block_size_bytes = 4 * 1024 * 1024;

/// Firmware in a source, for one device.
struct Firmware {
  const capsule::Source& source;
  capsule::Range range;
};

/// What is remembered of a write.
struct WritePlan {
  BlockSet blocks;
  /// Which of the blocks were other than the firmware before.
  enum class Differing : std::uint8_t {
    all = 0,
    ends = 1,     ///< the first and the last of each run, and any between them
    unknown = 2,  ///< any
  } differing = Differing::all;
};

/// Called with how many of how many bytes are compared, or written.
using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

class ImageWriter {
 public:
  /// `target` takes the firmware from its first byte on, and must outlive the writer, as the
  /// firmware's source must.
  /// Errors: no_space (the target is smaller), unsupported (larger erase blocks than
  /// max_erase_block_size_bytes).
  static Result<ImageWriter> create(flash::Device& target, const Firmware& firmware);

  /// The blocks whose bytes are not those of the firmware. What stands behind its end in the last
  /// one does not count. Errors: those of the device and the source.
  Result<BlockSet> compare(const Progress& progress = {});

  /// The blocks among which is the one that was being written when write(plan.blocks) was cut: it
  /// may read as if it were done, and read otherwise later. To be called before anything is written
  /// again. Errors: those of compare(); out_of_range.
  Result<BlockSet> possibly_cut(const WritePlan& plan);

  /// Erases the blocks, programs them and reads them back. The first block of the target, if it is
  /// one of them, is erased before all others and programmed after them; the others in ascending
  /// order. The bytes behind the firmware's end in its last block are erased.
  /// Errors: those of the device and the source; io, if a block reads back as something else.
  /// Power loss: what possibly_cut() finds, and compare() afterwards.
  Status write(const BlockSet& blocks, const Progress& progress = {});

  std::uint32_t block_size_bytes() const noexcept { return block_size_; }
  std::uint64_t block_count() const noexcept;

 private:
  ImageWriter(flash::Device& target, const Firmware& firmware);

  /// The firmware's bytes in a block, without those behind its end.
  Result<std::span<const std::byte>> firmware_of(std::uint32_t block);
  Result<bool> is_same(std::uint32_t block);
  Status erase(std::uint32_t block);
  Status program(std::uint32_t block);

  flash::Device* target_;
  Firmware firmware_;
  std::uint32_t block_size_;
  std::vector<std::byte> wanted_;
  std::vector<std::byte> read_;
};

}  // namespace efistore::update
