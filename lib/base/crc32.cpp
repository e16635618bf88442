// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/base/crc32.hpp"

#include <zlib.h>

namespace efistore {

std::uint32_t crc32(std::span<const std::byte> bytes) noexcept {
  return static_cast<std::uint32_t>(
      ::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace efistore
