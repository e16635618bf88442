// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstdint>

namespace efistore::variable {

/// VAR_CHECK_VARIABLE_PROPERTY (EDK2's MdeModulePkg, Protocol/VarCheck.h): what SetVariable demands
/// of one variable from EndOfDxe on, whoever writes it.
struct VarCheckProperty {
  static constexpr std::uint16_t known_revision = 1;
  static constexpr std::uint16_t read_only_bit = 0x0001;

  std::uint16_t revision = known_revision;
  std::uint16_t property = 0;  ///< read_only_bit; other bits are kept
  /// Exactly these, but for append; 0 for any.
  std::uint32_t attributes = 0;
  std::uint64_t min_size_bytes = 0;
  std::uint64_t max_size_bytes = UINT64_MAX;

  bool read_only() const noexcept { return (property & read_only_bit) != 0; }

  friend bool operator==(const VarCheckProperty&, const VarCheckProperty&) = default;
};

}  // namespace efistore::variable
