// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/capsule/fwu_metadata.hpp"

#include <algorithm>
#include <string>

#include "efistore/base/bytes.hpp"
#include "efistore/base/crc32.hpp"

#include "field.hpp"

namespace efistore::capsule {

namespace {

constexpr std::string_view structure = "FWU metadata";
constexpr std::size_t version_1_header_size = 16;
/// Of version 2: up to the descriptor of the images, and that.
constexpr std::size_t version_2_header_size = 32;
constexpr std::size_t descriptor_size = 8;
constexpr std::size_t image_header_size = 32;
constexpr std::size_t bank_image_size = 24;

std::size_t images_size(std::size_t images, std::size_t banks) noexcept {
  return images * (image_header_size + banks * bank_image_size);
}

bool has_checksum(std::span<const std::byte> bytes) noexcept {
  return ByteReader(bytes).u32() == crc32(bytes.subspan(4));
}

std::vector<FwuImage> read_images(ByteReader& reader, std::size_t images, std::size_t banks) {
  std::vector<FwuImage> read(images);
  for (FwuImage& image : read) {
    image.type_id = Guid::from_bytes(reader.take(sizeof(Guid)));
    image.location_guid = Guid::from_bytes(reader.take(sizeof(Guid)));
    image.banks.resize(banks);
    for (BankImage& bank : image.banks) {
      bank.image_guid = Guid::from_bytes(reader.take(sizeof(Guid)));
      bank.accepted = reader.u32() == 1;
      reader.skip(4);
    }
  }
  return read;
}

/// The smallest number of images, and banks, that the checksum is right for.
Status read_version_1(std::span<const std::byte> bytes, FwuMetadata& metadata) {
  for (std::size_t images = 1; images <= max_bank_images; ++images) {
    for (std::size_t banks = 2; banks <= max_banks; ++banks) {
      const std::size_t size = version_1_header_size + images_size(images, banks);
      if (size > bytes.size() || !has_checksum(bytes.first(size))) continue;
      ByteReader reader(bytes.subspan(version_1_header_size));
      metadata.images = read_images(reader, images, banks);
      return {};
    }
  }
  return fail(Errc::invalid_argument,
              fmt::format("{}: its checksum at byte 0 is wrong for any number of images and banks",
                          structure));
}

Status read_version_2(std::span<const std::byte> bytes, FwuMetadata& metadata) {
  ByteReader reader(bytes.subspan(version_1_header_size));
  const std::uint32_t size = reader.u32();
  const std::uint16_t descriptor_offset = reader.u16();
  reader.skip(2);
  for (BankState& state : metadata.bank_states) state = BankState{reader.u8()};
  reader.skip(4);
  const std::size_t banks = reader.u8();
  reader.skip(1);
  const std::size_t images = reader.u16();
  const std::size_t image_size = reader.u16();
  const std::size_t bank_size = reader.u16();
  if (!reader.ok())
    return too_short(structure, {0, bytes.size()}, version_2_header_size + descriptor_size);
  if (descriptor_offset != version_2_header_size) {
    return bad_field(structure, "desc_offset", 20, descriptor_offset, "32");
  }
  if (banks < 1 || banks > max_banks) {
    return bad_field(structure, "num_banks", 32, banks, fmt::format("1 to {}", max_banks));
  }
  if (images < 1 || images > max_bank_images) {
    return bad_field(structure, "num_images", 34, images, fmt::format("1 to {}", max_bank_images));
  }
  if (image_size != images_size(1, banks)) {
    return bad_field(structure, "img_entry_size", 36, image_size,
                     fmt::format("{}", images_size(1, banks)));
  }
  if (bank_size != bank_image_size) {
    return bad_field(structure, "bank_info_entry_size", 38, bank_size, "24");
  }
  const std::size_t expected = version_2_header_size + descriptor_size + images_size(images, banks);
  if (size != expected || size > bytes.size()) {
    return bad_field(structure, "metadata_size", 16, size,
                     fmt::format("{}, of the {} bytes there are", expected, bytes.size()));
  }
  if (!has_checksum(bytes.first(size))) {
    return bad_field(structure, "crc_32", 0, fmt::format("{:#010x}", ByteReader(bytes).u32()),
                     fmt::format("{:#010x}", crc32(bytes.subspan(4, size - 4))));
  }
  for (std::size_t bank = 0; bank < banks; ++bank) {
    const BankState state = metadata.bank_states[bank];
    if (state != BankState::accepted && state != BankState::valid && state != BankState::invalid) {
      return bad_field(structure, fmt::format("bank_state[{}]", bank), 24 + bank,
                       fmt::format("{:#04x}", static_cast<unsigned>(state)), "0xfc, 0xfe or 0xff");
    }
  }
  metadata.images = read_images(reader, images, banks);
  return {};
}

}  // namespace

const FwuImage* FwuMetadata::find(const Guid& type_id) const noexcept {
  const auto found = std::ranges::find(images, type_id, &FwuImage::type_id);
  return found == images.end() ? nullptr : &*found;
}

FwuImage* FwuMetadata::find(const Guid& type_id) noexcept {
  const auto found = std::ranges::find(images, type_id, &FwuImage::type_id);
  return found == images.end() ? nullptr : &*found;
}

bool FwuMetadata::is_trial() const noexcept {
  return std::ranges::any_of(
      images, [this](const FwuImage& image) { return !image.banks[active_index].accepted; });
}

Result<FwuMetadata> parse_fwu_metadata(std::span<const std::byte> bytes) {
  bytes = bytes.first(std::min(bytes.size(), max_fwu_metadata_size_bytes));
  if (bytes.size() < version_1_header_size) {
    return too_short(structure, {0, bytes.size()}, version_1_header_size);
  }
  const auto front = bytes.first(version_1_header_size);
  if (is_filled(front, std::byte{0xff}) || is_filled(front, std::byte{0})) {
    return fail(Errc::blank, fmt::format("{}: nothing is written there", structure));
  }
  FwuMetadata metadata;
  ByteReader reader(bytes.subspan(4));
  metadata.version = reader.u32();
  metadata.active_index = reader.u32();
  metadata.previous_index = reader.u32();
  if (metadata.version != 1 && metadata.version != 2) {
    return bad_field(structure, "version", 4, metadata.version, "1 or 2");
  }
  Status read =
      metadata.version == 1 ? read_version_1(bytes, metadata) : read_version_2(bytes, metadata);
  if (!read) return forward(std::move(read));
  const auto most = fmt::format("0 to {}", metadata.bank_count() - 1);
  if (metadata.active_index >= metadata.bank_count()) {
    return bad_field(structure, "active_index", 8, metadata.active_index, most);
  }
  if (metadata.previous_index >= metadata.bank_count()) {
    return bad_field(structure, "previous_active_index", 12, metadata.previous_index, most);
  }
  return metadata;
}

std::vector<std::byte> encode_fwu_metadata(const FwuMetadata& metadata) {
  const std::size_t banks = metadata.bank_count();
  const std::size_t front =
      metadata.version == 1 ? version_1_header_size : version_2_header_size + descriptor_size;
  std::vector<std::byte> bytes(front + images_size(metadata.images.size(), banks));
  ByteWriter writer(bytes);
  writer.u32(0);
  writer.u32(metadata.version);
  writer.u32(metadata.active_index);
  writer.u32(metadata.previous_index);
  if (metadata.version != 1) {
    writer.u32(static_cast<std::uint32_t>(bytes.size()));
    writer.u16(static_cast<std::uint16_t>(version_2_header_size));
    writer.u16(0);
    for (const BankState state : metadata.bank_states) writer.u8(static_cast<std::uint8_t>(state));
    writer.u32(0);
    writer.u8(static_cast<std::uint8_t>(banks));
    writer.u8(0);
    writer.u16(static_cast<std::uint16_t>(metadata.images.size()));
    writer.u16(static_cast<std::uint16_t>(images_size(1, banks)));
    writer.u16(static_cast<std::uint16_t>(bank_image_size));
  }
  for (const FwuImage& image : metadata.images) {
    writer.bytes(image.type_id.bytes);
    writer.bytes(image.location_guid.bytes);
    for (const BankImage& bank : image.banks) {
      writer.bytes(bank.image_guid.bytes);
      writer.u32(bank.accepted ? 1 : 0);
      writer.u32(0);
    }
  }
  ByteWriter(bytes).u32(crc32(std::span(bytes).subspan(4)));
  return bytes;
}

}  // namespace efistore::capsule
