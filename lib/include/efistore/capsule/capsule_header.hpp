// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// EFI_CAPSULE_HEADER (UEFI 2.10, 8.5.3), and what kinds of capsules there are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"
#include "efistore/capsule/source.hpp"

namespace efistore::capsule {

namespace guids {
using namespace efistore::literals;
/// EFI_FIRMWARE_MANAGEMENT_CAPSULE_ID_GUID (UEFI 2.10, 23.3.1).
inline constexpr Guid fmp_capsule = "6dcbd5ed-e82d-4c44-bda1-7194199ad92a"_guid;
/// WINDOWS_UX_CAPSULE_GUID (Windows UEFI Firmware Update Platform; EDK2 WindowsUxCapsule.h).
inline constexpr Guid display_capsule = "3b8c8162-188c-46a4-aec9-be43f1d65697"_guid;
/// EFI_JSON_CAPSULE_ID_GUID (UEFI 2.10, 23.5).
inline constexpr Guid json_capsule = "67d6f4cd-d6b8-4573-bf4a-de5e252d61ae"_guid;
/// The names of capsules that were found on a disk (EDK2 CapsuleOnDisk).
inline constexpr Guid file_name_capsule = "98c80a4f-e16b-4d11-939a-abe561260330"_guid;
/// FWU_OS_REQUEST_FW_ACCEPT_GUID (Platform Security Firmware Update 1.0, U-Boot efi_api.h).
inline constexpr Guid accept_capsule = "0c996046-bcc0-4d04-85ec-e1fcedf1c6f8"_guid;
/// FWU_OS_REQUEST_FW_REVERT_GUID.
inline constexpr Guid revert_capsule = "acd58b4b-c0e8-475f-99b5-6b3f7e07aaf0"_guid;
}  // namespace guids

/// Bits of EFI_CAPSULE_HEADER.Flags. The lower 16 are each capsule type's own.
namespace flags {
inline constexpr std::uint32_t persist_across_reset = 0x00010000;
inline constexpr std::uint32_t populate_system_table = 0x00020000;
inline constexpr std::uint32_t initiate_reset = 0x00040000;
/// Of an FMP capsule with FWU: it is accepted when the operating system says so (U-Boot).
inline constexpr std::uint32_t os_accepts = 0x00008000;
}  // namespace flags

/// The fields' size; HeaderSize may be more.
inline constexpr std::uint64_t capsule_header_size = 28;

struct CapsuleHeader {
  Guid guid;
  std::uint32_t header_size = 0;
  std::uint32_t flags = 0;
  std::uint32_t image_size = 0;  ///< of the capsule, its header included
  std::uint64_t offset = 0;      ///< of the header in the source

  /// What follows the header.
  Range body() const noexcept { return {offset + header_size, image_size - header_size}; }
};

/// The header of a capsule that takes all of `range`: CapsuleImageSize must be the size of it.
/// Errors: invalid_argument, naming the field, its offset and what was expected; those of
/// Source::read().
Result<CapsuleHeader> parse_capsule_header(const Source& source, const Range& range);

/// Which flags go together (UEFI 2.10, 8.5.3): the others only with PERSIST_ACROSS_RESET, and no
/// FMP capsule is put in the system table.
/// Errors: invalid_argument.
Status check_flags(const CapsuleHeader& header);

enum class CapsuleKind {
  fmp,        ///< firmware for the resources that its payloads name
  display,    ///< a picture to show during an update
  json,       ///< configuration data
  file_name,  ///< the name of the file that another capsule came from
  accept,     ///< the trial of a bank has succeeded
  revert,     ///< back to the previous bank
  unknown,
};

/// As in this enumeration.
std::string_view to_string(CapsuleKind kind) noexcept;

}  // namespace efistore::capsule
