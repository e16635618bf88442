// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/capsule/build.hpp"

#include <fmt/format.h>

#include <limits>
#include <string>
#include <utility>

#include "efistore/base/bytes.hpp"
#include "efistore/capsule/dependency.hpp"

#include "fmp_format.hpp"

namespace efistore::capsule {

namespace {

tl::unexpected<Error> refuse(std::string what) {
  return fail(Errc::invalid_argument, std::move(what));
}

tl::unexpected<Error> no_place(std::string what) {
  return fail(Errc::unsupported, std::move(what));
}

std::uint64_t signature_size(const PayloadContents& payload) noexcept {
  return payload.signature ? authentication_size + payload.signature->der.size() : 0;
}

std::uint64_t image_size(const PayloadContents& payload) noexcept {
  return signature_size(payload) + payload.body.size();
}

std::uint64_t item_size(const PayloadContents& payload) noexcept {
  return image_header_size(payload.header_version) + image_size(payload) +
         payload.vendor_code.size();
}

std::uint64_t list_end(std::size_t items) noexcept {
  return fmp_header_size + item_offset_size * items;
}

Status check_payload(const PayloadContents& payload) {
  if (payload.header_version < 1 || payload.header_version > 3) {
    return refuse(
        fmt::format("the image header's version is {}, expected 1 to 3", payload.header_version));
  }
  if (payload.header_version < 2 && payload.hardware_instance != 0) {
    return refuse("an image header of version 1 has no hardware instance");
  }
  if (payload.header_version < 3 && payload.support != 0) {
    return refuse(
        fmt::format("an image header of version {} has no bits that say what there is in the image",
                    payload.header_version));
  }
  if (payload.signature && (payload.signature->der.empty() ||
                            payload.signature->der.size() > max_certificate_data_size_bytes)) {
    return refuse(fmt::format("its signature has {} bytes, expected 1 to {}",
                              payload.signature->der.size(), max_certificate_data_size_bytes));
  }
  return {};
}

/// The size of the body, if everything has its place.
Result<std::uint64_t> check_contents(const FmpContents& contents) {
  const std::size_t items = contents.drivers.size() + contents.payloads.size();
  if (items == 0 || items > max_items) {
    return refuse(
        fmt::format("a capsule has 1 to {} drivers and payloads, not {}", max_items, items));
  }
  std::uint64_t size = list_end(items);
  for (std::size_t i = 0; i < contents.drivers.size(); ++i) {
    if (contents.drivers[i].empty()) return refuse(fmt::format("driver {} has no bytes", i));
    size += contents.drivers[i].size();
  }
  for (std::size_t i = 0; i < contents.payloads.size(); ++i) {
    if (Status checked = check_payload(contents.payloads[i]); !checked) {
      return forward(std::move(checked), fmt::format("payload {}", i));
    }
    size += item_size(contents.payloads[i]);
  }
  return size;
}

struct NewHeader {
  Guid guid;
  HeaderChoices choices;
  std::uint64_t body_size = 0;
};

/// A capsule with its header, and zeros for a body.
Result<std::vector<std::byte>> make_capsule(const NewHeader& header) {
  if (header.choices.header_size < capsule_header_size) {
    return refuse(fmt::format("the capsule header takes {} bytes, not {}", capsule_header_size,
                              header.choices.header_size));
  }
  constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
  const std::uint64_t size = header.choices.header_size + header.body_size;
  if (size > most) {
    return refuse(fmt::format("the capsule would have {} bytes, and {} are the most", size, most));
  }
  std::vector<std::byte> bytes(size);
  ByteWriter writer(bytes);
  writer.bytes(header.guid.bytes);
  writer.u32(header.choices.header_size);
  writer.u32(header.choices.flags);
  writer.u32(static_cast<std::uint32_t>(size));
  return bytes;
}

void write_payload(ByteWriter& writer, const PayloadContents& payload) {
  writer.u32(payload.header_version);
  writer.bytes(payload.type_id.bytes);
  writer.u8(payload.index);
  writer.fill(image_header_reserved_size, std::byte{0});
  writer.u32(static_cast<std::uint32_t>(image_size(payload)));
  writer.u32(static_cast<std::uint32_t>(payload.vendor_code.size()));
  if (payload.header_version >= 2) writer.u64(payload.hardware_instance);
  if (payload.header_version >= 3) writer.u64(payload.support);
  if (payload.signature) {
    const PayloadSignature& signature = *payload.signature;
    writer.u64(signature.monotonic_count);
    writer.u32(static_cast<std::uint32_t>(certificate_header_size + signature.der.size()));
    writer.u16(certificate_revision);
    writer.u16(certificate_type_guid);
    writer.bytes(guids::cert_type_pkcs7.bytes);
    writer.bytes(signature.der);
  }
  writer.bytes(payload.body);
  writer.bytes(payload.vendor_code);
}

/// Fails unless the bytes of `range` are 0.
Status expect_zeros(const Source& source, const Range& range, std::string_view what) {
  return for_each_piece(source, range, [&](std::span<const std::byte> piece) -> Status {
    if (is_filled(piece, std::byte{0})) return {};
    return no_place(
        fmt::format("{}, {} bytes from byte {} on, are not all 0", what, range.size, range.offset));
  });
}

Result<PayloadContents> payload_contents(const Source& source, const Payload& payload) {
  const ImageHeader& header = payload.header;
  if (Status zeros = expect_zeros(
          source, {header.offset + image_header_reserved_offset, image_header_reserved_size},
          "the reserved bytes of the FMP image header");
      !zeros) {
    return forward(std::move(zeros));
  }
  PayloadContents contents{.header_version = header.version,
                           .type_id = header.type_id,
                           .index = header.index,
                           .hardware_instance = header.hardware_instance,
                           .support = header.support,
                           .signature = {},
                           .body = {},
                           .vendor_code = {}};
  Range body = payload.image;
  const auto authentication = parse_authentication(source, payload.image);
  if (authentication) {
    auto der = read_all(source, authentication->certificate_data);
    if (!der) return forward(std::move(der));
    contents.signature = {.monotonic_count = authentication->monotonic_count,
                          .der = *std::move(der)};
    body = authentication->signed_data;
  } else if (authentication.error().code == Errc::io) {
    return tl::unexpected(authentication.error());
  }
  auto bytes = read_all(source, body);
  if (!bytes) return forward(std::move(bytes));
  contents.body = *std::move(bytes);
  auto vendor_code = read_all(source, payload.vendor_code);
  if (!vendor_code) return forward(std::move(vendor_code));
  contents.vendor_code = *std::move(vendor_code);
  return contents;
}

/// Fails where there is something that FmpContents has no place for.
Status check_expressible(const Source& source, const Capsule& capsule) {
  if (!capsule.fmp) return no_place("it is no FMP capsule");
  if (!capsule.wrappers.empty()) return no_place("it is in the header of another capsule");
  const CapsuleHeader& header = capsule.header;
  if (Status zeros = expect_zeros(
          source, {header.offset + capsule_header_size, header.header_size - capsule_header_size},
          "the bytes behind the fields of the capsule header");
      !zeros) {
    return zeros;
  }
  const FmpCapsule& fmp = *capsule.fmp;
  const std::uint64_t expected = fmp.offset + list_end(fmp.drivers.size() + fmp.payloads.size());
  const std::uint64_t first =
      fmp.drivers.empty() ? fmp.payloads.front().header.offset : fmp.drivers.front().offset;
  if (first != expected) {
    return no_place(fmt::format("{} bytes stand before the first item, from byte {} on",
                                first - expected, expected));
  }
  return {};
}

}  // namespace

Result<std::vector<std::byte>> encode(const FmpContents& contents) {
  const auto body_size = check_contents(contents);
  if (!body_size) return tl::unexpected(body_size.error());
  auto bytes =
      make_capsule({.guid = guids::fmp_capsule,
                    .choices = {.flags = contents.flags, .header_size = contents.header_size},
                    .body_size = *body_size});
  if (!bytes) return bytes;
  const std::span<std::byte> body = std::span(*bytes).subspan(contents.header_size);
  ByteWriter writer(body);
  writer.u32(fmp_header_version);
  writer.u16(static_cast<std::uint16_t>(contents.drivers.size()));
  writer.u16(static_cast<std::uint16_t>(contents.payloads.size()));
  std::uint64_t offset = list_end(contents.drivers.size() + contents.payloads.size());
  for (const auto& driver : contents.drivers) {
    writer.u64(offset);
    offset += driver.size();
  }
  for (const PayloadContents& payload : contents.payloads) {
    writer.u64(offset);
    offset += item_size(payload);
  }
  for (const auto& driver : contents.drivers) writer.bytes(driver);
  for (const PayloadContents& payload : contents.payloads) write_payload(writer, payload);
  return bytes;
}

Result<std::vector<std::byte>> encode_accept(const Guid& type_id, const HeaderChoices& choices) {
  auto bytes =
      make_capsule({.guid = guids::accept_capsule, .choices = choices, .body_size = sizeof(Guid)});
  if (bytes) ByteWriter(std::span(*bytes).subspan(choices.header_size)).bytes(type_id.bytes);
  return bytes;
}

Result<std::vector<std::byte>> encode_revert(const HeaderChoices& choices) {
  return make_capsule({.guid = guids::revert_capsule, .choices = choices, .body_size = 0});
}

Result<FmpContents> contents_of(const Source& source, const Capsule& capsule) {
  if (Status checked = check_expressible(source, capsule); !checked) {
    return forward(std::move(checked));
  }
  FmpContents contents{.flags = capsule.header.flags,
                       .header_size = capsule.header.header_size,
                       .drivers = {},
                       .payloads = {}};
  for (const Range& range : capsule.fmp->drivers) {
    auto driver = read_all(source, range);
    if (!driver) return forward(std::move(driver));
    contents.drivers.push_back(*std::move(driver));
  }
  for (std::size_t i = 0; i < capsule.fmp->payloads.size(); ++i) {
    auto payload = payload_contents(source, capsule.fmp->payloads[i]);
    if (!payload) return forward(std::move(payload), fmt::format("payload {}", i));
    contents.payloads.push_back(*std::move(payload));
  }
  return contents;
}

std::vector<std::byte> signed_content(std::span<const std::byte> body,
                                      std::uint64_t monotonic_count) {
  std::vector<std::byte> content(body.size() + monotonic_count_size);
  ByteWriter writer(content);
  writer.bytes(body);
  writer.u64(monotonic_count);
  return content;
}

Result<std::vector<std::byte>> make_body(const BodyParts& parts) {
  if (parts.firmware.empty()) return refuse("there is no firmware");
  if (!parts.dependency.empty()) {
    if (!parts.versions) return refuse("a dependency needs an FMP payload header behind it");
    const auto size = dependency_size(parts.dependency);
    if (!size) return refuse("the dependency: " + size.error().message);
    if (*size != parts.dependency.size()) {
      return refuse(fmt::format("the dependency ends after {} of its {} bytes", *size,
                                parts.dependency.size()));
    }
  }
  std::vector<std::byte> body(parts.dependency.size() + (parts.versions ? payload_header_size : 0) +
                              parts.firmware.size());
  ByteWriter writer(body);
  writer.bytes(parts.dependency);
  if (parts.versions) {
    writer.u32(payload_header_signature);
    writer.u32(payload_header_size);
    writer.u32(parts.versions->version);
    writer.u32(parts.versions->lowest_supported_version);
  }
  writer.bytes(parts.firmware);
  return body;
}

}  // namespace efistore::capsule
