// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <gtest/gtest.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "efi_errno.hpp"

namespace efistore::shim {
namespace {

TEST(EfiErrno, IsTheKernelsTable) {
  const std::vector<std::pair<EfiStatus, int>> table{
      {EfiStatus::success, 0},
      {EfiStatus::load_error, EINVAL},
      {EfiStatus::invalid_parameter, EINVAL},
      {EfiStatus::unsupported, EINVAL},
      {EfiStatus::bad_buffer_size, EINVAL},
      {EfiStatus::buffer_too_small, EINVAL},
      {EfiStatus::not_ready, EINVAL},
      {EfiStatus::device_error, EIO},
      {EfiStatus::write_protected, EROFS},
      {EfiStatus::out_of_resources, ENOSPC},
      {EfiStatus::volume_corrupted, EINVAL},
      {EfiStatus::volume_full, EINVAL},
      {EfiStatus::not_found, ENOENT},
      {EfiStatus::access_denied, EINVAL},
      {EfiStatus::timeout, EINVAL},
      {EfiStatus::already_started, EINVAL},
      {EfiStatus::aborted, EINTR},
      {EfiStatus::security_violation, EACCES},
      {EfiStatus::not_available_yet, EINVAL},
      {static_cast<EfiStatus>(0x8000000000001234), EINVAL},
  };
  for (const auto& [status, expected] : table) {
    EXPECT_EQ(efi_errno(status), expected) << to_string(status);
    const int when_written = status == EfiStatus::not_found ? EIO : expected;
    EXPECT_EQ(efi_write_errno(status), when_written) << to_string(status);
    const bool gone = status == EfiStatus::success || status == EfiStatus::not_found;
    EXPECT_EQ(efi_unlink_errno(status), gone ? 0 : EINVAL) << to_string(status);
  }
}

}  // namespace
}  // namespace efistore::shim
