// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The parts of payloads that both sides of the protocols write and read.
#pragma once

#include <cstddef>
#include <string_view>

#include "efistore/base/bytes.hpp"
#include "efistore/variable/var_check.hpp"

namespace efistore::mm {

/// Bytes of a name with its NUL.
inline std::size_t name_size_of(std::u16string_view name) noexcept {
  return (name.size() + 1) * sizeof(char16_t);
}
/// The name and its NUL.
void write_name(ByteWriter& writer, std::u16string_view name) noexcept;

/// VAR_CHECK_VARIABLE_PROPERTY.
variable::VarCheckProperty read_property(ByteReader& reader) noexcept;
void write_property(ByteWriter& writer, const variable::VarCheckProperty& property) noexcept;

}  // namespace efistore::mm
