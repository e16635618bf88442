// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "support/decorator.hpp"

namespace efistore::test {

enum class FlashOperation { read, program, erase, sync };

/// One fault that is to come.
struct Fault {
  FlashOperation operation = FlashOperation::program;
  /// Which operation of that kind fails, counted from arm() on: 1 is the next.
  std::uint64_t nth = 1;
  /// How much of it is done before it fails, rounded down to whole write units or erase blocks;
  /// UINT64_MAX does all of it and fails all the same.
  std::uint64_t bytes_done = 0;
  /// Every later operation of that kind fails too, with nothing done, until disarm().
  bool lasting = false;
  /// What it says: no_space as a full file system does below a sparse image, for one.
  Errc code = Errc::io;
};

/// Fails one operation, or all from one on, and passes everything else on to the
/// device below. Requests that the contract refuses are refused as ever and do not count.
class FaultyDevice final : public Decorator {
 public:
  explicit FaultyDevice(flash::Device& borrowed) : Decorator(borrowed) {}
  explicit FaultyDevice(std::unique_ptr<flash::Device> owned) : Decorator(std::move(owned)) {}

  /// Takes the place of the fault armed before, if any.
  void arm(Fault fault);
  void disarm() noexcept { fault_.reset(); }
  /// How many operations were failed so far.
  std::uint64_t faults() const noexcept { return faults_; }

  Status read(std::uint64_t offset, std::span<std::byte> out) override;
  Status program(std::uint64_t offset, std::span<const std::byte> data) override;
  Status erase(flash::Range blocks) override;
  Status sync() override;

 private:
  /// The bytes to be done before the operation at hand fails, or none if it is not to fail.
  std::optional<std::uint64_t> take_fault(FlashOperation operation);
  Status failure(std::string_view operation) const;

  std::optional<Fault> fault_;
  Errc code_ = Errc::io;  ///< of the fault at hand
  std::uint64_t faults_ = 0;
};

}  // namespace efistore::test
