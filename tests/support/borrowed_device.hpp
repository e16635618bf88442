// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include "support/decorator.hpp"

namespace efistore::test {

/// A device that a store can own while the test keeps the one below.
class BorrowedDevice final : public Decorator {
 public:
  explicit BorrowedDevice(flash::Device& device) : Decorator(device) {}

  Status read(std::uint64_t offset, std::span<std::byte> out) override {
    return below().read(offset, out);
  }
  Status program(std::uint64_t offset, std::span<const std::byte> data) override {
    return below().program(offset, data);
  }
  Status erase(flash::Range blocks) override { return below().erase(blocks); }
  Status sync() override { return below().sync(); }
};

}  // namespace efistore::test
