// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// EDK2's fault-tolerant write: a working block with a queue of writes, and a spare area that holds
// the data of the write under way (MdeModulePkg/Universal/FaultTolerantWriteDxe; SPEC.md).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "efistore/base/result.hpp"
#include "efistore/store/examine.hpp"
#include "efistore/store/layout.hpp"

namespace efistore::store {

inline constexpr std::uint32_t ftw_header_size = 32;

/// EFI_FAULT_TOLERANT_WORKING_BLOCK_HEADER of a working area of that size, valid.
std::vector<std::byte> build_ftw_header(std::uint32_t working_size_bytes);

/// The size of the working area if `bytes` begin with a working header, valid or not; else 0.
std::uint64_t ftw_working_size(std::span<const std::byte> bytes) noexcept;

struct FtwInspection {
  FtwState state = FtwState::absent;
  std::uint32_t queue_end = 0;  ///< bytes of the working area in use
  std::string detail;           ///< for `broken` and `invalid`
};

/// Reads the queue of a working area. Bounded; right for any bytes.
FtwInspection inspect_ftw(std::span<const std::byte> working);

/// Makes the variables area of `device` read as `wanted`, where it now reads as `current`. Only
/// what is not erased already is erased, and only what differs from erased is programmed. Errors:
/// io. Power loss: the blocks that differ are undefined.
Status replace_variables(flash::Device& device, const Layout& layout,
                         std::span<const std::byte> current, std::span<const std::byte> wanted);

}  // namespace efistore::store
