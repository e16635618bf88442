// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/capsule/capsule_header.hpp"

#include <string>

#include "field.hpp"

namespace efistore::capsule {

Result<CapsuleHeader> parse_capsule_header(const Source& source, const Range& range) {
  constexpr std::string_view structure = "capsule header";
  const auto bytes = read_structure<capsule_header_size>(source, range, structure);
  if (!bytes) return tl::unexpected(bytes.error());
  ByteReader reader(*bytes);
  CapsuleHeader header;
  header.offset = range.offset;
  header.guid = Guid::from_bytes(reader.take(16));
  header.header_size = reader.u32();
  header.flags = reader.u32();
  header.image_size = reader.u32();
  if (header.image_size != range.size) {
    return bad_field(structure, "CapsuleImageSize", range.offset + 24, header.image_size,
                     fmt::format("{}, the bytes there are", range.size));
  }
  if (header.header_size < capsule_header_size || header.header_size > header.image_size) {
    return bad_field(structure, "HeaderSize", range.offset + 16, header.header_size,
                     fmt::format("{} to {}", capsule_header_size, header.image_size));
  }
  return header;
}

Status check_flags(const CapsuleHeader& header) {
  const std::uint64_t at = header.offset + 20;
  const auto has = [&](std::uint32_t flag) { return (header.flags & flag) != 0; };
  const auto value = fmt::format("{:#010x}", header.flags);
  if ((has(flags::populate_system_table) || has(flags::initiate_reset)) &&
      !has(flags::persist_across_reset)) {
    return bad_field(
        "capsule header", "Flags", at, value,
        "PERSIST_ACROSS_RESET (0x10000) with POPULATE_SYSTEM_TABLE and INITIATE_RESET");
  }
  if (has(flags::populate_system_table) && header.guid == guids::fmp_capsule) {
    return bad_field("capsule header", "Flags", at, value,
                     "no POPULATE_SYSTEM_TABLE (0x20000) for an FMP capsule");
  }
  return {};
}

std::string_view to_string(CapsuleKind kind) noexcept {
  switch (kind) {
    case CapsuleKind::fmp:
      return "fmp";
    case CapsuleKind::display:
      return "display";
    case CapsuleKind::json:
      return "json";
    case CapsuleKind::file_name:
      return "file_name";
    case CapsuleKind::accept:
      return "accept";
    case CapsuleKind::revert:
      return "revert";
    case CapsuleKind::unknown:
      return "unknown";
  }
  return "unknown";
}

}  // namespace efistore::capsule
