// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Positioned reads and writes that end only when they are complete or have failed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "efistore/base/result.hpp"

namespace efistore::flash {

/// Errors: io, also if the file ends before `out` is full; messages call the file `name`.
Status read_fully(int fd, std::uint64_t offset, std::span<std::byte> out, const std::string& name);

/// Errors: no_space, read_only, io; messages call the file `name`.
Status write_fully(int fd, std::uint64_t offset, std::span<const std::byte> data,
                   const std::string& name);

/// Writes `size` bytes of 0xff from `offset` on. Errors as write_fully().
Status write_erased(int fd, std::uint64_t offset, std::uint64_t size, const std::string& name);

}  // namespace efistore::flash
