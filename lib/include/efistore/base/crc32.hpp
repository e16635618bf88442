// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace efistore {

/// CRC-32 with zlib's polynomial (IEEE 802.3), as EDK2's CalculateCrc32 and U-Boot's crc32.
std::uint32_t crc32(std::span<const std::byte> bytes) noexcept;

}  // namespace efistore
