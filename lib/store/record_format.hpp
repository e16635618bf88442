// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstdint>

namespace efistore::store {

/// VARIABLE_DATA, a record's StartId.
inline constexpr std::uint16_t record_start_id = 0x55aa;
/// Offset of the state byte in a record header.
inline constexpr std::uint32_t record_state_offset = 2;

}  // namespace efistore::store
