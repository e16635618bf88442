// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Capsules that are made: what one holds as a value, and its bytes. Whoever signs a payload signs
// signed_content() with crypto::sign(), in a ContentInfo.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"
#include "efistore/capsule/capsule.hpp"
#include "efistore/capsule/fmp_capsule.hpp"
#include "efistore/capsule/source.hpp"

namespace efistore::capsule {

/// Where the header of an FMP capsule ends by default: at a multiple of 8, as EDK2's
/// GenerateCapsule has it, so that the 64-bit fields behind it are aligned.
inline constexpr std::uint32_t default_fmp_header_size = 32;

/// EFI_FIRMWARE_IMAGE_AUTHENTICATION without what is the same in each.
struct PayloadSignature {
  std::uint64_t monotonic_count = 0;
  std::vector<std::byte> der;  ///< PKCS#7 SignedData over signed_content()

  friend bool operator==(const PayloadSignature&, const PayloadSignature&) = default;
};

/// A payload without the sizes and offsets that follow from it.
struct PayloadContents {
  std::uint32_t header_version = 3;  ///< 1 to 3
  Guid type_id;
  std::uint8_t index = 1;
  std::uint64_t hardware_instance = 0;  ///< from version 2 on
  std::uint64_t support = 0;            ///< image_support, from version 3 on
  std::optional<PayloadSignature> signature;
  /// Dependency, FMP payload header and firmware: make_body().
  std::vector<std::byte> body;
  std::vector<std::byte> vendor_code;

  friend bool operator==(const PayloadContents&, const PayloadContents&) = default;
};

struct FmpContents {
  std::uint32_t flags = 0;
  std::uint32_t header_size = default_fmp_header_size;
  std::vector<std::vector<std::byte>> drivers;
  std::vector<PayloadContents> payloads;

  friend bool operator==(const FmpContents&, const FmpContents&) = default;
};

/// The fields of EFI_CAPSULE_HEADER that whoever makes a capsule chooses.
struct HeaderChoices {
  std::uint32_t flags = 0;
  std::uint32_t header_size = capsule_header_size;
};

/// The capsule's bytes, which parse_capsule() takes.
/// Errors: invalid_argument, naming the item: a capsule of more than 4 GiB less one byte, more than
/// max_items items or none, a driver without bytes, a header that is too small, an image header's
/// version that is not known or has no place for a field, a signature without bytes or with more
/// than max_certificate_data_size_bytes; flags that check_flags() refuses are not looked at.
Result<std::vector<std::byte>> encode(const FmpContents& contents);

/// The capsule that says that the trial of firmware of that type has succeeded.
/// Errors: invalid_argument (the header's size).
Result<std::vector<std::byte>> encode_accept(const Guid& type_id,
                                             const HeaderChoices& choices = {});

/// The capsule that asks for the previous bank.
/// Errors: invalid_argument (the header's size).
Result<std::vector<std::byte>> encode_revert(const HeaderChoices& choices = {});

/// What encode() made, or could have made, the FMP capsule `capsule` of: encode() gives the same
/// bytes again. An image that begins as an authenticated one does counts as signed.
/// Errors: unsupported, naming the place: no FMP capsule, one in another header, bytes that are not
/// 0 behind the capsule header's fields or in a reserved field, bytes before the first item; those
/// of Source::read().
Result<FmpContents> contents_of(const Source& source, const Capsule& capsule);

/// What is signed of a payload: its body, and the count behind it as eight bytes.
std::vector<std::byte> signed_content(std::span<const std::byte> body,
                                      std::uint64_t monotonic_count);

/// FwVersion and LowestSupportedVersion of an FMP payload header.
struct PayloadVersions {
  std::uint32_t version = 0;
  std::uint32_t lowest_supported_version = 0;
};

struct BodyParts {
  /// Without it there is no FMP payload header, and no place for a dependency.
  std::optional<PayloadVersions> versions;
  /// An expression with its END; empty for none.
  std::span<const std::byte> dependency;
  std::span<const std::byte> firmware;
};

/// The body of a payload.
/// Errors: invalid_argument (no firmware; a dependency without versions, or that is not just one
/// well-formed expression).
Result<std::vector<std::byte>> make_body(const BodyParts& parts);

}  // namespace efistore::capsule
