// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/capsule/fmp_capsule.hpp"

#include <algorithm>
#include <limits>

#include "efistore/capsule/dependency.hpp"

#include "field.hpp"
#include "fmp_format.hpp"

namespace efistore::capsule {

namespace {

Range behind(const Range& whole, std::uint64_t offset) noexcept {
  return {offset, whole.end() - offset};
}

Result<Payload> parse_payload(const Source& source, const Range& item) {
  constexpr std::string_view structure = "FMP image header";
  const auto first = read_structure<4>(source, item, structure);
  if (!first) return tl::unexpected(first.error());
  Payload payload;
  ImageHeader& header = payload.header;
  header.offset = item.offset;
  header.version = ByteReader(*first).u32();
  if (header.version < 1 || header.version > 3) {
    return bad_field(structure, "Version", item.offset, header.version, "1 to 3");
  }
  const std::uint64_t size = image_header_size(header.version);
  if (item.size < size) return too_short(structure, item, size);
  const auto bytes = read_all(source, {item.offset, size});
  if (!bytes) return tl::unexpected(bytes.error());
  ByteReader reader(*bytes);
  reader.skip(4);
  header.type_id = Guid::from_bytes(reader.take(16));
  header.index = reader.u8();
  reader.skip(3);
  header.image_size = reader.u32();
  header.vendor_code_size = reader.u32();
  if (header.version >= 2) header.hardware_instance = reader.u64();
  if (header.version >= 3) header.support = reader.u64();
  const std::uint64_t rest = item.size - size;
  if (header.image_size > rest) {
    return bad_field(structure, "UpdateImageSize", item.offset + 24, header.image_size,
                     fmt::format("at most {}", rest));
  }
  if (header.vendor_code_size != rest - header.image_size) {
    return bad_field(
        structure, "UpdateVendorCodeSize", item.offset + 28, header.vendor_code_size,
        fmt::format("{}, what the image leaves of the item", rest - header.image_size));
  }
  payload.image = {item.offset + size, header.image_size};
  payload.vendor_code = {payload.image.end(), header.vendor_code_size};
  return payload;
}

/// The items' offsets from the FMP header on, ascending, each inside of `body`.
Result<std::vector<std::uint64_t>> parse_offsets(const Source& source, const Range& body,
                                                 std::size_t count) {
  constexpr std::string_view structure = "FMP capsule header";
  const std::uint64_t list_end = fmp_header_size + item_offset_size * count;
  if (list_end > body.size) return too_short(structure, body, list_end);
  const auto bytes = read_all(source, {body.offset + fmp_header_size, 8 * count});
  if (!bytes) return tl::unexpected(bytes.error());
  ByteReader reader(*bytes);
  std::vector<std::uint64_t> offsets;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t lowest = offsets.empty() ? list_end : offsets.back() + 1;
    const std::uint64_t offset = reader.u64();
    if (offset < lowest || offset >= body.size) {
      return bad_field(structure, fmt::format("ItemOffsetList[{}]", i),
                       body.offset + fmp_header_size + 8 * i, offset,
                       fmt::format("{} to {}", lowest, body.size - 1));
    }
    offsets.push_back(offset);
  }
  return offsets;
}

Result<bool> begins_with_payload_header(const Source& source, const Range& range) {
  std::array<std::byte, 4> bytes;
  if (range.size < bytes.size()) return false;
  if (Status read = source.read(range.offset, bytes); !read) return forward(std::move(read));
  return ByteReader(bytes).u32() == payload_header_signature;
}

/// The dependency that `range` begins with.
Result<Range> parse_dependency(const Source& source, const Range& range) {
  const auto bytes = read_all(
      source, {range.offset, std::min<std::uint64_t>(range.size, max_dependency_size_bytes)});
  if (!bytes) return tl::unexpected(bytes.error());
  const auto size = dependency_size(*bytes);
  if (!size) {
    return fail(Errc::invalid_argument,
                fmt::format("neither an FMP payload header nor a dependency stands at byte {}: {}",
                            range.offset, size.error().message));
  }
  return Range{range.offset, *size};
}

Result<PayloadHeader> parse_payload_header(const Source& source, const Range& range) {
  constexpr std::string_view structure = "FMP payload header";
  const auto bytes = read_structure<payload_header_size>(source, range, structure);
  if (!bytes) return tl::unexpected(bytes.error());
  ByteReader reader(*bytes);
  PayloadHeader header;
  header.offset = range.offset;
  const std::uint32_t signature = reader.u32();
  header.header_size = reader.u32();
  header.version = reader.u32();
  header.lowest_supported_version = reader.u32();
  if (signature != payload_header_signature) {
    return bad_field(structure, "Signature", range.offset, fmt::format("{:#010x}", signature),
                     "0x3153534d, \"MSS1\"");
  }
  // One byte of firmware at least.
  const std::uint64_t most = std::min<std::uint64_t>(range.size - 1, max_payload_header_size_bytes);
  if (header.header_size < payload_header_size || header.header_size > most) {
    return bad_field(structure, "HeaderSize", range.offset + 4, header.header_size,
                     range.size > payload_header_size
                         ? fmt::format("{} to {}", payload_header_size, most)
                         : fmt::format("{}, and firmware behind it", payload_header_size));
  }
  return header;
}

}  // namespace

std::uint64_t image_header_size(std::uint32_t version) noexcept {
  constexpr std::uint64_t of_version_1 = 32;
  return of_version_1 + 8 * (std::uint64_t{version} - 1);
}

Result<FmpCapsule> parse_fmp_capsule(const Source& source, const Range& body) {
  constexpr std::string_view structure = "FMP capsule header";
  const auto bytes = read_structure<fmp_header_size>(source, body, structure);
  if (!bytes) return tl::unexpected(bytes.error());
  ByteReader reader(*bytes);
  const std::uint32_t version = reader.u32();
  const std::size_t driver_count = reader.u16();
  const std::size_t payload_count = reader.u16();
  if (version != fmp_header_version) {
    return bad_field(structure, "Version", body.offset, version, "1");
  }
  const std::size_t count = driver_count + payload_count;
  if (count > max_items) {
    return bad_field(structure, "EmbeddedDriverCount and PayloadItemCount", body.offset + 4, count,
                     fmt::format("at most {} together", max_items));
  }
  const auto offsets = parse_offsets(source, body, count);
  if (!offsets) return tl::unexpected(offsets.error());
  if (count == 0) {
    if (body.size != fmp_header_size) {
      return fail(Errc::invalid_argument,
                  fmt::format("{} at byte {}: {} bytes follow, and it has no items", structure,
                              body.offset, body.size - fmp_header_size));
    }
    return fail(Errc::unsupported,
                fmt::format("{} at byte {}: it has no items", structure, body.offset));
  }
  FmpCapsule capsule{.offset = body.offset, .drivers = {}, .payloads = {}};
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t end = i + 1 < count ? (*offsets)[i + 1] : body.size;
    const Range item{body.offset + (*offsets)[i], end - (*offsets)[i]};
    if (i < driver_count) {
      capsule.drivers.push_back(item);
      continue;
    }
    auto payload = parse_payload(source, item);
    if (!payload) return forward(std::move(payload), fmt::format("payload {}", i - driver_count));
    capsule.payloads.push_back(*payload);
  }
  return capsule;
}

Result<ImageAuthentication> parse_authentication(const Source& source, const Range& image) {
  constexpr std::string_view structure = "FMP image authentication";
  const auto bytes = read_structure<authentication_size>(source, image, structure);
  if (!bytes) return tl::unexpected(bytes.error());
  ByteReader reader(*bytes);
  ImageAuthentication authentication;
  authentication.offset = image.offset;
  authentication.monotonic_count = reader.u64();
  const std::uint32_t length = reader.u32();
  const std::uint16_t revision = reader.u16();
  const std::uint16_t type = reader.u16();
  authentication.cert_type = Guid::from_bytes(reader.take(16));
  const std::uint64_t most = image.size - monotonic_count_size;
  if (length <= certificate_header_size || length > most) {
    return bad_field(structure, "dwLength", image.offset + 8, length,
                     fmt::format("{} to {}", certificate_header_size + 1, most));
  }
  if (revision != certificate_revision) {
    return bad_field(structure, "wRevision", image.offset + 12, fmt::format("{:#06x}", revision),
                     "0x0200");
  }
  if (type != certificate_type_guid) {
    return bad_field(structure, "wCertificateType", image.offset + 14, fmt::format("{:#06x}", type),
                     "0x0ef1");
  }
  if (authentication.cert_type != guids::cert_type_pkcs7) {
    return fail(Errc::unsupported,
                fmt::format("{}: CertType at byte {} is {}, expected {} (PKCS7)", structure,
                            image.offset + 16, to_string(authentication.cert_type),
                            to_string(guids::cert_type_pkcs7)));
  }
  const std::uint64_t data_size = length - certificate_header_size;
  if (data_size > max_certificate_data_size_bytes) {
    return bad_field(
        structure, "dwLength", image.offset + 8, length,
        fmt::format("at most {}", max_certificate_data_size_bytes + certificate_header_size));
  }
  authentication.certificate_data = {image.offset + authentication_size, data_size};
  authentication.signed_data = behind(image, authentication.certificate_data.end());
  return authentication;
}

Result<Image> parse_contents(const Source& source, const Range& contents, bool payload_header) {
  Image image;
  Range rest = contents;
  if (payload_header) {
    // The image header's bit that there is a dependency is not signed. The bytes are.
    const auto direct = begins_with_payload_header(source, rest);
    if (!direct) return tl::unexpected(direct.error());
    if (!*direct) {
      const auto dependency = parse_dependency(source, rest);
      if (!dependency) return tl::unexpected(dependency.error());
      rest = behind(rest, dependency->end());
      image.dependency = *dependency;
    }
    const auto header = parse_payload_header(source, rest);
    if (!header) return tl::unexpected(header.error());
    rest = behind(rest, rest.offset + header->header_size);
    image.payload_header = *header;
  }
  if (rest.size == 0) {
    return fail(Errc::invalid_argument,
                fmt::format("no firmware stands at byte {}", contents.offset));
  }
  image.firmware = rest;
  return image;
}

Result<Image> parse_image(const Source& source, const Payload& payload, const ImageForm& form) {
  std::optional<ImageAuthentication> authentication;
  if (form.authenticated) {
    auto parsed = parse_authentication(source, payload.image);
    if (!parsed) return forward(std::move(parsed));
    authentication = *parsed;
  }
  auto image = parse_contents(source, authentication ? authentication->signed_data : payload.image,
                              form.payload_header);
  if (image) image->authentication = authentication;
  return image;
}

Result<ImageForm> guess_image_form(const Source& source, const Payload& payload) {
  Range rest = payload.image;
  const auto authentication = parse_authentication(source, rest);
  if (!authentication && authentication.error().code == Errc::io) {
    return tl::unexpected(authentication.error());
  }
  ImageForm form;
  form.authenticated =
      authentication.has_value() || (payload.header.support & image_support::authentication) != 0;
  if (authentication) rest = authentication->signed_data;
  const auto direct = begins_with_payload_header(source, rest);
  if (!direct) return tl::unexpected(direct.error());
  form.payload_header = *direct || (payload.header.support & image_support::dependency) != 0;
  if (!form.payload_header) {
    if (const auto dependency = parse_dependency(source, rest)) {
      const auto follows = begins_with_payload_header(source, behind(rest, dependency->end()));
      if (!follows) return tl::unexpected(follows.error());
      form.payload_header = *follows;
    }
  }
  return form;
}

}  // namespace efistore::capsule
