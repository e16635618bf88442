// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Capsules that callers hand over, kept in a folder until they are processed: one file each, named
// by the order of their arrival.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "efistore/base/unique_fd.hpp"
#include "efistore/mm/dispatcher.hpp"

namespace efistore::daemon {

inline constexpr std::uint64_t max_capsule_size_bytes = 64U << 20;
inline constexpr std::size_t max_uploads = 4;
inline constexpr std::size_t max_staged_capsules = 16;

class CapsuleSpool final : public mm::CapsuleReceiver {
 public:
  /// Makes the folder, and removes what uploads that were cut have left in it.
  /// Errors: permission, io.
  static Result<CapsuleSpool> open(std::filesystem::path folder);

  variable::EfiResult<void> begin(std::uint64_t session, std::uint64_t size_bytes) override;
  variable::EfiResult<void> data(std::uint64_t session, std::uint64_t offset,
                                 std::span<const std::byte> piece) override;
  /// Checks EFI_CAPSULE_HEADER (UEFI 2.10, 8.5.3). A power loss before it returns leaves the whole
  /// capsule, or none.
  variable::EfiResult<void> commit(std::uint64_t session) override;
  void cancel(std::uint64_t session) noexcept override;

 private:
  struct Upload {
    UniqueFd fd{};
    std::filesystem::path path{};
    std::uint64_t size_bytes = 0;
    std::uint64_t received_bytes = 0;
  };

  explicit CapsuleSpool(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::filesystem::path folder_;
  std::map<std::uint64_t, Upload> uploads_;
};

}  // namespace efistore::daemon
