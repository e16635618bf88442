// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// A capsule as a whole, of each kind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"
#include "efistore/capsule/capsule_header.hpp"
#include "efistore/capsule/fmp_capsule.hpp"
#include "efistore/capsule/source.hpp"

namespace efistore::capsule {

/// How many headers of resources may stand around a capsule. fwupd puts one.
inline constexpr std::size_t max_wrappers = 4;
/// Of the picture in a display capsule.
inline constexpr std::uint32_t max_picture_side_pixels = 16384;
/// Of all names in a file-name capsule.
inline constexpr std::uint64_t max_file_names_size_bytes = std::uint64_t{64} * 1024;

/// A picture that firmware shows while it updates (EDK2 WindowsUxCapsule.h).
struct DisplayCapsule {
  std::uint32_t mode = 0;
  std::uint32_t offset_x = 0;
  std::uint32_t offset_y = 0;
  std::uint32_t width_pixels = 0;
  std::uint32_t height_pixels = 0;
  Range picture;  ///< a Windows bitmap
};

/// EFI_JSON_CAPSULE_HEADER (UEFI 2.10, 23.5).
struct JsonCapsule {
  std::uint32_t capsule_id = 0;
  Range payload;
};

struct Capsule {
  CapsuleKind kind = CapsuleKind::unknown;
  /// Of the capsule that the rest is about.
  CapsuleHeader header;
  /// Headers around that capsule, outermost first. Their GUIDs are those of resources, as fwupd
  /// writes them; that they are known is not checked here.
  std::vector<CapsuleHeader> wrappers;

  std::optional<FmpCapsule> fmp;
  std::optional<DisplayCapsule> display;
  std::optional<JsonCapsule> json;
  std::vector<std::u16string> file_names;
  std::optional<Guid> accepted_type;  ///< image type whose trial has succeeded

  /// The header that a caller of UpdateCapsule() hands over: the outermost.
  const CapsuleHeader& outer() const noexcept {
    return wrappers.empty() ? header : wrappers.front();
  }
};

/// The capsule that takes all of `source`. Of one of an unknown kind only the header is looked at.
/// Which flags go together is check_flags()'s question.
/// Errors: invalid_argument, naming the field, its offset and what was expected; unsupported (an
/// FMP capsule without items, a version of JSON capsules that is not known); those of
/// Source::read().
Result<Capsule> parse_capsule(const Source& source);

}  // namespace efistore::capsule
