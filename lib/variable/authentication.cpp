// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/variable/authentication.hpp"

#include <fmt/format.h>

#include "efistore/base/bytes.hpp"

namespace efistore::variable {

using namespace literals;

namespace {

/// EFI_CERT_TYPE_PKCS7_GUID.
constexpr Guid pkcs7_type = "4aafd29d-68df-49ee-8aa9-347d375665a7"_guid;
constexpr std::size_t time_size = 16;
/// dwLength counts from itself to the end of CertData.
constexpr std::uint32_t certificate_header_size = 24;
constexpr std::uint16_t revision = 0x0200;
constexpr std::uint16_t certificate_type = 0x0ef1;

tl::unexpected<Error> broken(std::size_t offset, const std::string& what) {
  return fail(Errc::invalid_argument,
              fmt::format("authentication descriptor, byte {}: {}", offset, what));
}

Status check_time(const EfiTime& time) {
  ByteReader reader(time.bytes);
  reader.skip(7);
  const std::uint8_t pad1 = reader.u8();
  const std::uint32_t nanosecond = reader.u32();
  const std::uint16_t time_zone = reader.u16();
  const std::uint8_t daylight = reader.u8();
  const std::uint8_t pad2 = reader.u8();
  if (pad1 != 0 || nanosecond != 0 || time_zone != 0 || daylight != 0 || pad2 != 0) {
    return broken(7, "Pad1, Nanosecond, TimeZone, Daylight and Pad2 must be zero");
  }
  if (!time.is_zero() && !time.is_date())
    return broken(0, fmt::format("{} is no date", to_string(time)));
  return {};
}

}  // namespace

Result<Authentication> parse_authentication(std::span<const std::byte> data) {
  if (data.size() < authentication_header_size) {
    return broken(0, fmt::format("it takes at least {} bytes, and there are {}",
                                 authentication_header_size, data.size()));
  }
  const EfiTime time = EfiTime::from_bytes(data);
  if (Status checked = check_time(time); !checked) return forward(std::move(checked));
  ByteReader reader(data.subspan(time_size));
  const std::uint32_t length = reader.u32();
  if (length < certificate_header_size || length > data.size() - time_size) {
    return broken(16, fmt::format("dwLength is {}, expected {} to {}", length,
                                  certificate_header_size, data.size() - time_size));
  }
  if (const std::uint16_t value = reader.u16(); value != revision) {
    return broken(20, fmt::format("wRevision is {:#06x}, expected {:#06x}", value, revision));
  }
  if (const std::uint16_t value = reader.u16(); value != certificate_type) {
    return broken(
        22, fmt::format("wCertificateType is {:#06x}, expected {:#06x}", value, certificate_type));
  }
  if (const Guid type = Guid::from_bytes(reader.take(16)); type != pkcs7_type) {
    return broken(
        24, fmt::format("CertType is {}, expected {}", to_string(type), to_string(pkcs7_type)));
  }
  return Authentication{.time = time,
                        .signed_data = reader.take(length - certificate_header_size),
                        .payload = data.subspan(time_size + length)};
}

std::vector<std::byte> signed_content(std::u16string_view name, const Guid& guid,
                                      std::uint32_t attributes, const EfiTime& time,
                                      std::span<const std::byte> payload) {
  std::vector<std::byte> content(2 * name.size() + guid.bytes.size() + sizeof attributes +
                                 time_size + payload.size());
  ByteWriter writer(content);
  for (const char16_t c : name) writer.u16(c);
  writer.bytes(guid.bytes);
  writer.u32(attributes);
  writer.bytes(time.bytes);
  writer.bytes(payload);
  return content;
}

std::vector<std::byte> make_authentication(const EfiTime& time,
                                           std::span<const std::byte> signed_data,
                                           std::span<const std::byte> payload) {
  std::vector<std::byte> data(authentication_header_size + signed_data.size() + payload.size());
  ByteWriter writer(data);
  writer.bytes(time.bytes);
  writer.u32(static_cast<std::uint32_t>(certificate_header_size + signed_data.size()));
  writer.u16(revision);
  writer.u16(certificate_type);
  writer.bytes(pkcs7_type.bytes);
  writer.bytes(signed_data);
  writer.bytes(payload);
  return data;
}

}  // namespace efistore::variable
