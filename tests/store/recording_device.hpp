// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/decorator.hpp"

namespace efistore::test {

/// Writes down what is programmed and erased, as "P 64 ffff" (offset in hex, the bytes) and
/// "E 0 1000".
class RecordingDevice final : public Decorator {
 public:
  explicit RecordingDevice(std::unique_ptr<flash::Device> owned) : Decorator(std::move(owned)) {}

  std::vector<std::string> take() { return std::exchange(log_, {}); }

  Status read(std::uint64_t offset, std::span<std::byte> out) override;
  Status program(std::uint64_t offset, std::span<const std::byte> data) override;
  Status erase(flash::Range blocks) override;
  Status sync() override { return below().sync(); }

 private:
  std::vector<std::string> log_;
};

}  // namespace efistore::test
