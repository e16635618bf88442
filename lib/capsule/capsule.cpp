// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/capsule/capsule.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "field.hpp"

namespace efistore::capsule {

namespace {

constexpr std::uint64_t display_header_size = 16;
constexpr std::uint64_t json_header_size = 12;
/// BITMAPFILEHEADER, and of BITMAPINFOHEADER the fields up to biBitCount.
constexpr std::uint64_t bitmap_header_size = 30;

CapsuleKind kind_of(const Guid& guid) noexcept {
  if (guid == guids::fmp_capsule) return CapsuleKind::fmp;
  if (guid == guids::display_capsule) return CapsuleKind::display;
  if (guid == guids::json_capsule) return CapsuleKind::json;
  if (guid == guids::file_name_capsule) return CapsuleKind::file_name;
  if (guid == guids::accept_capsule) return CapsuleKind::accept;
  if (guid == guids::revert_capsule) return CapsuleKind::revert;
  return CapsuleKind::unknown;
}

/// The byte sum of the capsule, which is 0 where its CheckSum is right.
Result<std::uint8_t> checksum(const Source& source, const Range& range) {
  std::uint8_t sum = 0;
  Status summed = for_each_piece(source, range, [&sum](std::span<const std::byte> piece) -> Status {
    for (const std::byte byte : piece) {
      sum = static_cast<std::uint8_t>(sum + std::to_integer<unsigned>(byte));
    }
    return {};
  });
  if (!summed) return forward(std::move(summed));
  return sum;
}

/// The picture's sides, for which it must have the bytes.
Status parse_picture(const Source& source, DisplayCapsule& display) {
  constexpr std::string_view structure = "bitmap";
  const Range& picture = display.picture;
  const auto bytes = read_structure<bitmap_header_size>(source, picture, structure);
  if (!bytes) return tl::unexpected(bytes.error());
  ByteReader reader(*bytes);
  const std::uint16_t signature = reader.u16();
  reader.skip(8);
  const std::uint32_t pixels_offset = reader.u32();
  reader.skip(4);
  const auto width = std::bit_cast<std::int32_t>(reader.u32());
  const auto height = std::bit_cast<std::int32_t>(reader.u32());
  reader.skip(2);
  const std::uint16_t bits_per_pixel = reader.u16();
  if (signature != 0x4d42) {
    return bad_field(structure, "bfType", picture.offset, fmt::format("{:#06x}", signature),
                     "0x4d42, \"BM\"");
  }
  constexpr auto most = static_cast<std::int32_t>(max_picture_side_pixels);
  if (width < 1 || width > most) {
    return bad_field(structure, "biWidth", picture.offset + 18, width,
                     fmt::format("1 to {}", most));
  }
  // A negative one says that the rows come from the top.
  if (height == 0 || height < -most || height > most) {
    return bad_field(structure, "biHeight", picture.offset + 22, height,
                     fmt::format("1 to {}", most));
  }
  constexpr std::array<std::uint16_t, 6> depths{1, 4, 8, 16, 24, 32};
  if (std::ranges::find(depths, bits_per_pixel) == depths.end()) {
    return bad_field(structure, "biBitCount", picture.offset + 28, bits_per_pixel,
                     "1, 4, 8, 16, 24 or 32");
  }
  display.width_pixels = static_cast<std::uint32_t>(width);
  display.height_pixels = static_cast<std::uint32_t>(height < 0 ? -height : height);
  // Rows are filled up to four bytes.
  const std::uint64_t row_size =
      (std::uint64_t{display.width_pixels} * bits_per_pixel + 31) / 32 * 4;
  const std::uint64_t pixels_size = row_size * display.height_pixels;
  if (pixels_offset < bitmap_header_size || pixels_offset > picture.size ||
      pixels_size > picture.size - pixels_offset) {
    return bad_field(
        structure, "bfOffBits", picture.offset + 10, pixels_offset,
        fmt::format("{} bytes of pixels from there on, of {}", pixels_size, picture.size));
  }
  return {};
}

Result<DisplayCapsule> parse_display(const Source& source, const CapsuleHeader& header) {
  constexpr std::string_view structure = "display capsule";
  if (header.header_size != capsule_header_size) {
    return bad_field("capsule header", "HeaderSize", header.offset + 16, header.header_size,
                     fmt::format("{} of a display capsule", capsule_header_size));
  }
  const Range body = header.body();
  const auto bytes = read_structure<display_header_size>(source, body, structure);
  if (!bytes) return tl::unexpected(bytes.error());
  ByteReader reader(*bytes);
  const std::uint8_t version = reader.u8();
  const std::uint8_t stored_checksum = reader.u8();
  const std::uint8_t image_type = reader.u8();
  reader.skip(1);
  DisplayCapsule display;
  display.mode = reader.u32();
  display.offset_x = reader.u32();
  display.offset_y = reader.u32();
  display.picture = {body.offset + display_header_size, body.size - display_header_size};
  if (version != 1) return bad_field(structure, "Version", body.offset, version, "1");
  if (image_type != 0) {
    return bad_field(structure, "ImageType", body.offset + 2, image_type, "0, a bitmap");
  }
  const auto sum = checksum(source, {header.offset, header.image_size});
  if (!sum) return tl::unexpected(sum.error());
  if (*sum != 0) {
    return bad_field(structure, "CheckSum", body.offset + 1, stored_checksum,
                     fmt::format("{}", static_cast<std::uint8_t>(stored_checksum - *sum)));
  }
  if (Status parsed = parse_picture(source, display); !parsed) return forward(std::move(parsed));
  return display;
}

Result<JsonCapsule> parse_json(const Source& source, const CapsuleHeader& header) {
  constexpr std::string_view structure = "JSON capsule";
  const Range body = header.body();
  const auto bytes = read_structure<json_header_size>(source, body, structure);
  if (!bytes) return tl::unexpected(bytes.error());
  ByteReader reader(*bytes);
  const std::uint32_t version = reader.u32();
  JsonCapsule json;
  json.capsule_id = reader.u32();
  const std::uint32_t length = reader.u32();
  if (version != 1) return bad_field(structure, "Version", body.offset, version, "1");
  if (length != body.size - json_header_size) {
    return bad_field(structure, "PayloadLength", body.offset + 8, length,
                     fmt::format("{}, the bytes that follow", body.size - json_header_size));
  }
  json.payload = {body.offset + json_header_size, length};
  return json;
}

/// CHAR16 strings, each with its NUL.
Result<std::vector<std::u16string>> parse_file_names(const Source& source,
                                                     const CapsuleHeader& header) {
  constexpr std::string_view structure = "file-name capsule";
  const Range body = header.body();
  if (body.size % 2 != 0 || body.size > max_file_names_size_bytes) {
    return bad_field("capsule header", "CapsuleImageSize", header.offset + 24, header.image_size,
                     fmt::format("an even number of bytes behind the header, at most {}",
                                 max_file_names_size_bytes));
  }
  const auto bytes = read_all(source, body);
  if (!bytes) return tl::unexpected(bytes.error());
  ByteReader reader(*bytes);
  std::vector<std::u16string> names;
  std::u16string name;
  while (reader.remaining() > 0) {
    const auto character = static_cast<char16_t>(reader.u16());
    if (character != 0) {
      name += character;
    } else {
      names.push_back(std::exchange(name, {}));
    }
  }
  if (!name.empty() || names.empty()) {
    return fail(
        Errc::invalid_argument,
        fmt::format("{}: the name that ends at byte {} lacks its NUL", structure, body.end()));
  }
  return names;
}

Result<Guid> parse_accept(const Source& source, const CapsuleHeader& header) {
  const Range body = header.body();
  if (body.size != sizeof(Guid)) {
    return bad_field("capsule header", "CapsuleImageSize", header.offset + 24, header.image_size,
                     fmt::format("{}: the header and an image type", header.header_size + 16U));
  }
  const auto bytes = read_all(source, body);
  if (!bytes) return tl::unexpected(bytes.error());
  return Guid::from_bytes(*bytes);
}

/// Whether what a header of unknown GUID has behind it is a whole capsule again.
Result<bool> holds_capsule(const Source& source, const Range& body) {
  if (body.size < capsule_header_size) return false;
  const auto inner = parse_capsule_header(source, body);
  if (inner) return true;
  if (inner.error().code == Errc::invalid_argument) return false;
  return tl::unexpected(inner.error());
}

/// Takes headers of resources off, until something else stands there.
Status unwrap(const Source& source, Capsule& capsule) {
  while (kind_of(capsule.header.guid) == CapsuleKind::unknown) {
    const auto nested = holds_capsule(source, capsule.header.body());
    if (!nested) return tl::unexpected(nested.error());
    if (!*nested) return {};
    if (capsule.wrappers.size() == max_wrappers) {
      return fail(Errc::invalid_argument,
                  fmt::format("capsule header at byte {}: more than {} capsules are in one another",
                              capsule.header.offset, max_wrappers));
    }
    auto inner = parse_capsule_header(source, capsule.header.body());
    if (!inner) return forward(std::move(inner));
    capsule.wrappers.push_back(std::exchange(capsule.header, *inner));
  }
  return {};
}

Status parse_body(const Source& source, Capsule& capsule) {
  switch (capsule.kind) {
    case CapsuleKind::fmp: {
      auto fmp = parse_fmp_capsule(source, capsule.header.body());
      if (!fmp) return forward(std::move(fmp));
      capsule.fmp = *std::move(fmp);
      return {};
    }
    case CapsuleKind::display: {
      const auto display = parse_display(source, capsule.header);
      if (!display) return tl::unexpected(display.error());
      capsule.display = *display;
      return {};
    }
    case CapsuleKind::json: {
      const auto json = parse_json(source, capsule.header);
      if (!json) return tl::unexpected(json.error());
      capsule.json = *json;
      return {};
    }
    case CapsuleKind::file_name: {
      auto names = parse_file_names(source, capsule.header);
      if (!names) return forward(std::move(names));
      capsule.file_names = *std::move(names);
      return {};
    }
    case CapsuleKind::accept: {
      const auto type = parse_accept(source, capsule.header);
      if (!type) return tl::unexpected(type.error());
      capsule.accepted_type = *type;
      return {};
    }
    case CapsuleKind::revert:
      if (capsule.header.body().size != 0) {
        return bad_field("capsule header", "CapsuleImageSize", capsule.header.offset + 24,
                         capsule.header.image_size,
                         fmt::format("{}: the header alone", capsule.header.header_size));
      }
      return {};
    case CapsuleKind::unknown:
      return {};
  }
  return {};
}

}  // namespace

Result<Capsule> parse_capsule(const Source& source) {
  Capsule capsule;
  auto header = parse_capsule_header(source, {0, source.size()});
  if (!header) return forward(std::move(header));
  capsule.header = *header;
  if (Status unwrapped = unwrap(source, capsule); !unwrapped) return forward(std::move(unwrapped));
  capsule.kind = kind_of(capsule.header.guid);
  if (Status parsed = parse_body(source, capsule); !parsed) return forward(std::move(parsed));
  return capsule;
}

}  // namespace efistore::capsule
