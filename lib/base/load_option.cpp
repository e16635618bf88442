// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/base/load_option.hpp"

namespace efistore {

std::optional<DevicePathNode> next_device_path_node(ByteReader& reader) noexcept {
  constexpr std::size_t header_size = 4;
  DevicePathNode node;
  node.type = reader.u8();
  node.subtype = reader.u8();
  const std::uint16_t length = reader.u16();
  if (!reader.ok() || length < header_size) return std::nullopt;
  node.body = reader.take(length - header_size);
  if (!reader.ok()) return std::nullopt;
  return node;
}

std::optional<LoadOption> split_load_option(std::span<const std::byte> data) noexcept {
  ByteReader reader(data);
  LoadOption option;
  option.attributes = reader.u32();
  const std::uint16_t path_size = reader.u16();
  const std::size_t description_at = reader.position();
  while (reader.u16() != 0) {  // the read beyond the end gives 0 and fails
  }
  if (!reader.ok()) return std::nullopt;
  option.description =
      data.subspan(description_at, reader.position() - description_at - sizeof(char16_t));
  option.file_path = reader.take(path_size);
  if (!reader.ok()) return std::nullopt;
  option.extra_data = reader.take(reader.remaining());
  return option;
}

}  // namespace efistore
