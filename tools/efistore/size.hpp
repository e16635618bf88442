// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace efistore::tools {

/// Bytes from "65536", "0x10000", "64K" or "1M" (K and M: 1024 and 1024 times 1024, in either
/// case). None for anything else and for what exceeds 64 bits.
std::optional<std::uint64_t> parse_size(std::string_view text);

/// "528 KiB", "1 MiB", "65470 bytes": the largest unit that leaves no fraction.
std::string format_size(std::uint64_t bytes);

}  // namespace efistore::tools
