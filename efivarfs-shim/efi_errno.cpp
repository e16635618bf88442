// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efi_errno.hpp"

#include <cerrno>

namespace efistore::shim {

int efi_errno(EfiStatus status) noexcept {
  switch (status) {
    case EfiStatus::success:
      return 0;
    case EfiStatus::out_of_resources:
      return ENOSPC;
    case EfiStatus::device_error:
      return EIO;
    case EfiStatus::write_protected:
      return EROFS;
    case EfiStatus::security_violation:
      return EACCES;
    case EfiStatus::not_found:
      return ENOENT;
    case EfiStatus::aborted:
      return EINTR;
    case EfiStatus::load_error:
    case EfiStatus::invalid_parameter:
    case EfiStatus::unsupported:
    case EfiStatus::bad_buffer_size:
    case EfiStatus::buffer_too_small:
    case EfiStatus::not_ready:
    case EfiStatus::volume_corrupted:
    case EfiStatus::volume_full:
    case EfiStatus::access_denied:
    case EfiStatus::timeout:
    case EfiStatus::already_started:
    case EfiStatus::not_available_yet:
      return EINVAL;
  }
  return EINVAL;  // a value that is no enumerator
}

int efi_write_errno(EfiStatus status) noexcept {
  return status == EfiStatus::not_found ? EIO : efi_errno(status);
}

int efi_unlink_errno(EfiStatus status) noexcept {
  return status == EfiStatus::success || status == EfiStatus::not_found ? 0 : EINVAL;
}

}  // namespace efistore::shim
