// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstdint>
#include <string_view>

namespace efistore {

/// EFI_STATUS values (UEFI 2.10, appendix D), as on a 64-bit machine.
enum class EfiStatus : std::uint64_t {
  success = 0,
  load_error = 0x8000000000000001,
  invalid_parameter = 0x8000000000000002,
  unsupported = 0x8000000000000003,
  bad_buffer_size = 0x8000000000000004,
  buffer_too_small = 0x8000000000000005,
  not_ready = 0x8000000000000006,
  device_error = 0x8000000000000007,
  write_protected = 0x8000000000000008,
  out_of_resources = 0x8000000000000009,
  volume_corrupted = 0x800000000000000a,
  volume_full = 0x800000000000000b,
  not_found = 0x800000000000000e,
  access_denied = 0x800000000000000f,
  timeout = 0x8000000000000012,
  already_started = 0x8000000000000014,
  aborted = 0x8000000000000015,
  security_violation = 0x800000000000001a,
  not_available_yet = 0x800000000000001c,  // PI 1.8, volume 1, EFI_NOT_AVAILABLE_YET
};

/// The specification's name, "EFI_NOT_FOUND"; "EFI_UNKNOWN" for a value outside the enumeration.
std::string_view to_string(EfiStatus status) noexcept;

}  // namespace efistore
