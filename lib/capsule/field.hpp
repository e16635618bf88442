// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The one form that errors about a capsule's fields have.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "efistore/base/bytes.hpp"
#include "efistore/base/result.hpp"
#include "efistore/capsule/source.hpp"

namespace efistore::capsule {

/// "capsule header: HeaderSize at byte 16 is 7, expected 28 to 4208".
template <typename Value>
tl::unexpected<Error> bad_field(std::string_view structure, std::string_view field,
                                std::uint64_t offset, const Value& value,
                                std::string_view expected) {
  return fail(Errc::invalid_argument, fmt::format("{}: {} at byte {} is {}, expected {}", structure,
                                                  field, offset, value, expected));
}

/// A structure does not fit in what there is for it.
inline tl::unexpected<Error> too_short(std::string_view structure, const Range& range,
                                       std::uint64_t needed) {
  return fail(Errc::invalid_argument,
              fmt::format("{} at byte {}: it takes {} bytes, and there are {}", structure,
                          range.offset, needed, range.size));
}

/// The first `size` bytes of `range`, for a structure with that many.
template <std::size_t size>
Result<std::array<std::byte, size>> read_structure(const Source& source, const Range& range,
                                                   std::string_view structure) {
  if (range.size < size) return too_short(structure, range, size);
  std::array<std::byte, size> bytes;
  if (Status read = source.read(range.offset, bytes); !read) return forward(std::move(read));
  return bytes;
}

}  // namespace efistore::capsule
