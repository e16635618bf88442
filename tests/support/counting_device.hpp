// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstdint>

#include "support/decorator.hpp"

namespace efistore::test {

/// What went through a CountingDevice. Requests that failed count nothing.
struct FlashCounts {
  std::uint64_t reads = 0;
  std::uint64_t bytes_read = 0;
  std::uint64_t programs = 0;
  std::uint64_t bytes_programmed = 0;
  std::uint64_t erases = 0;
  std::uint64_t blocks_erased = 0;
  std::uint64_t syncs = 0;

  friend bool operator==(const FlashCounts&, const FlashCounts&) = default;
};

/// Counts what it passes on to the device below.
class CountingDevice final : public Decorator {
 public:
  explicit CountingDevice(flash::Device& borrowed) : Decorator(borrowed) {}
  explicit CountingDevice(std::unique_ptr<flash::Device> owned) : Decorator(std::move(owned)) {}

  const FlashCounts& counts() const noexcept { return counts_; }
  /// Starts again at zero.
  void reset() noexcept { counts_ = {}; }

  Status read(std::uint64_t offset, std::span<std::byte> out) override;
  Status program(std::uint64_t offset, std::span<const std::byte> data) override;
  Status erase(flash::Range blocks) override;
  Status sync() override;

 private:
  FlashCounts counts_;
};

}  // namespace efistore::test
