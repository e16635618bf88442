// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/mm/payload.hpp"

namespace efistore::mm {

void write_name(ByteWriter& writer, std::u16string_view name) noexcept {
  writer.text(name);
  writer.u16(0);
}

variable::VarCheckProperty read_property(ByteReader& reader) noexcept {
  variable::VarCheckProperty property;
  property.revision = reader.u16();
  property.property = reader.u16();
  property.attributes = reader.u32();
  property.min_size_bytes = reader.u64();
  property.max_size_bytes = reader.u64();
  return property;
}

void write_property(ByteWriter& writer, const variable::VarCheckProperty& property) noexcept {
  writer.u16(property.revision);
  writer.u16(property.property);
  writer.u32(property.attributes);
  writer.u64(property.min_size_bytes);
  writer.u64(property.max_size_bytes);
}

}  // namespace efistore::mm
