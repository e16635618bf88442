// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>

namespace efistore::crypto {

/// SHA-256 of something.
using Digest = std::array<std::byte, 32>;

Digest sha256(std::span<const std::byte> data);

/// Of the parts, one behind the other.
Digest sha256(std::initializer_list<std::span<const std::byte>> parts);

}  // namespace efistore::crypto
