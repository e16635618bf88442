// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstdint>

namespace efistore::mm {

/// What a caller may do; a set of bits.
enum class Rights : std::uint32_t {
  none = 0,
  read = 1,    ///< read variables, policies and figures
  write = 2,   ///< set variables, compact the store
  lock = 4,    ///< lock variables, register policies and properties, signal events
  update = 8,  ///< hand over capsules
  all = 15,
};

constexpr Rights operator|(Rights a, Rights b) noexcept {
  return static_cast<Rights>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
constexpr bool includes(Rights rights, Rights wanted) noexcept {
  return (static_cast<std::uint32_t>(rights) & static_cast<std::uint32_t>(wanted)) ==
         static_cast<std::uint32_t>(wanted);
}

/// Who asks.
struct Caller {
  Rights rights = Rights::none;
  /// The connection or open file that the request came through: reasons and uploads belong to it.
  std::uint64_t session = 0;
  /// Whom a server charges with what is written.
  std::uint32_t user = 0;
};

}  // namespace efistore::mm
