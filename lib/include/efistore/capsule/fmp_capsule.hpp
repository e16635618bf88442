// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The body of an FMP capsule (UEFI 2.10, 23.3): its items, and what is in the image of a payload:
// EFI_FIRMWARE_IMAGE_AUTHENTICATION, the dependency expression, EDK2's FMP payload header and the
// firmware. The byte tables are in lib/SPEC.md, and so is where this is stricter than EDK2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"
#include "efistore/capsule/capsule_header.hpp"
#include "efistore/capsule/source.hpp"

namespace efistore::capsule {

namespace guids {
/// EFI_CERT_TYPE_PKCS7_GUID (UEFI 2.10, 32.2.4).
inline constexpr Guid cert_type_pkcs7 = "4aafd29d-68df-49ee-8aa9-347d375665a7"_guid;
}  // namespace guids

/// Payloads and drivers of one capsule; CapsuleNNNN counts payloads in a byte.
inline constexpr std::size_t max_items = 255;
/// Of the PKCS#7 data of one payload.
inline constexpr std::uint64_t max_certificate_data_size_bytes = std::uint64_t{1024} * 1024;

/// Of the FMP payload header, with what may stand behind the fields that are known.
inline constexpr std::uint64_t max_payload_header_size_bytes = std::uint64_t{64} * 1024;

/// Bits of ImageCapsuleSupport.
namespace image_support {
inline constexpr std::uint64_t authentication = 1;
inline constexpr std::uint64_t dependency = 2;
}  // namespace image_support

/// EFI_FIRMWARE_MANAGEMENT_CAPSULE_IMAGE_HEADER. No signature covers it.
struct ImageHeader {
  std::uint64_t offset = 0;
  std::uint32_t version = 3;  ///< 1 to 3
  Guid type_id;
  std::uint8_t index = 1;
  std::uint32_t image_size = 0;
  std::uint32_t vendor_code_size = 0;
  std::uint64_t hardware_instance = 0;  ///< 0 in version 1
  std::uint64_t support = 0;            ///< image_support; 0 in versions 1 and 2
};

/// Bytes of an image header of that version: 32, 40 or 48.
std::uint64_t image_header_size(std::uint32_t version) noexcept;

/// EFI_FIRMWARE_IMAGE_AUTHENTICATION.
struct ImageAuthentication {
  std::uint64_t offset = 0;
  std::uint64_t monotonic_count = 0;
  Guid cert_type;
  Range certificate_data;  ///< DER
  /// What is signed, before the eight bytes of the monotonic count: all that follows.
  Range signed_data;
};

/// FMP_PAYLOAD_HEADER (EDK2 FmpPayloadHeaderLib), "MSS1".
struct PayloadHeader {
  std::uint64_t offset = 0;
  std::uint32_t header_size = 16;
  std::uint32_t version = 0;
  std::uint32_t lowest_supported_version = 0;
};

/// A payload and where its parts are.
struct Payload {
  ImageHeader header;
  Range image;        ///< all that UpdateImageSize counts
  Range vendor_code;  ///< behind the image
};

/// How the image of a payload is made up. The header has bits that say so and that nobody signs:
/// who writes firmware knows it from the resource's configuration.
struct ImageForm {
  bool authenticated = true;
  bool payload_header = true;  ///< without one there is neither version nor dependency

  friend bool operator==(const ImageForm&, const ImageForm&) = default;
};

/// The parts of a payload's image.
struct Image {
  std::optional<ImageAuthentication> authentication;
  std::optional<Range> dependency;
  std::optional<PayloadHeader> payload_header;
  Range firmware;
};

struct FmpCapsule {
  std::uint64_t offset = 0;
  std::vector<Range> drivers;
  std::vector<Payload> payloads;
};

/// The body of an FMP capsule.
/// Errors: invalid_argument, naming the field, its offset and what was expected; unsupported (no
/// item at all); those of Source::read().
Result<FmpCapsule> parse_fmp_capsule(const Source& source, const Range& body);

/// What the bytes look like. For those who show them; a writer must not ask.
/// Errors: those of Source::read().
Result<ImageForm> guess_image_form(const Source& source, const Payload& payload);

/// What an authenticated image begins with.
/// Errors: invalid_argument, naming the field, its offset and what was expected; unsupported (a
/// certificate type other than PKCS#7); those of Source::read().
Result<ImageAuthentication> parse_authentication(const Source& source, const Range& image);

/// The parts of an image behind its authentication, which stays empty.
/// Errors: invalid_argument, naming the field, its offset and what was expected; those of
/// Source::read().
Result<Image> parse_contents(const Source& source, const Range& contents, bool payload_header);

/// Both.
Result<Image> parse_image(const Source& source, const Payload& payload, const ImageForm& form);

}  // namespace efistore::capsule
