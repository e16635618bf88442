// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/base/efi_status.hpp"

namespace efistore {

std::string_view to_string(EfiStatus status) noexcept {
  switch (status) {
    case EfiStatus::success:
      return "EFI_SUCCESS";
    case EfiStatus::load_error:
      return "EFI_LOAD_ERROR";
    case EfiStatus::invalid_parameter:
      return "EFI_INVALID_PARAMETER";
    case EfiStatus::unsupported:
      return "EFI_UNSUPPORTED";
    case EfiStatus::bad_buffer_size:
      return "EFI_BAD_BUFFER_SIZE";
    case EfiStatus::buffer_too_small:
      return "EFI_BUFFER_TOO_SMALL";
    case EfiStatus::not_ready:
      return "EFI_NOT_READY";
    case EfiStatus::device_error:
      return "EFI_DEVICE_ERROR";
    case EfiStatus::write_protected:
      return "EFI_WRITE_PROTECTED";
    case EfiStatus::out_of_resources:
      return "EFI_OUT_OF_RESOURCES";
    case EfiStatus::volume_corrupted:
      return "EFI_VOLUME_CORRUPTED";
    case EfiStatus::volume_full:
      return "EFI_VOLUME_FULL";
    case EfiStatus::not_found:
      return "EFI_NOT_FOUND";
    case EfiStatus::access_denied:
      return "EFI_ACCESS_DENIED";
    case EfiStatus::timeout:
      return "EFI_TIMEOUT";
    case EfiStatus::already_started:
      return "EFI_ALREADY_STARTED";
    case EfiStatus::aborted:
      return "EFI_ABORTED";
    case EfiStatus::security_violation:
      return "EFI_SECURITY_VIOLATION";
    case EfiStatus::not_available_yet:
      return "EFI_NOT_AVAILABLE_YET";
  }
  return "EFI_UNKNOWN";
}

}  // namespace efistore
