// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// LAST_ATTEMPT_STATUS values (UEFI 2.10, 23.4.2), and EDK2's in the range that the specification
// leaves to vendors (FmpDevicePkg LastAttemptStatus.h).
#pragma once

#include <cstdint>
#include <string_view>

namespace efistore::capsule {

enum class LastAttemptStatus : std::uint32_t {
  success = 0,
  unsuccessful = 1,
  insufficient_resources = 2,
  incorrect_version = 3,
  invalid_format = 4,
  auth_error = 5,
  power_ac = 6,
  power_battery = 7,
  unsatisfied_dependencies = 8,
  get_fmp_header = 0x1000,
  image_not_provided = 0x100a,
  invalid_certificate = 0x100c,
  invalid_image_index = 0x100d,
  version_too_low = 0x1010,
  image_auth_failure = 0x1012,
  dependency_no_end = 0x1081,
  dependency_opcode = 0x1082,
  dependency_guid = 0x1083,
  dependency_version = 0x1084,
  dependency_version_string = 0x1085,
  dependency_fmp_not_found = 0x1086,
  dependency_push = 0x1087,
  dependency_pop = 0x1088,
  dependency_declare_not_first = 0x1089,
  dependency_declare_too_long = 0x108a,
  dependency_declare_wrong = 0x108b,
};

/// Lower case, words separated by spaces; "vendor status" for one that is not listed.
std::string_view to_string(LastAttemptStatus status) noexcept;

/// The specification's status that stands for `status` where only those up to 7 are understood:
/// sysfs, as fwupd reads it.
LastAttemptStatus standard_status(LastAttemptStatus status) noexcept;

}  // namespace efistore::capsule
