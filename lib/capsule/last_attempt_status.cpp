// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/capsule/last_attempt_status.hpp"

namespace efistore::capsule {

std::string_view to_string(LastAttemptStatus status) noexcept {
  switch (status) {
    case LastAttemptStatus::success:
      return "success";
    case LastAttemptStatus::unsuccessful:
      return "unsuccessful";
    case LastAttemptStatus::insufficient_resources:
      return "insufficient resources";
    case LastAttemptStatus::incorrect_version:
      return "incorrect version";
    case LastAttemptStatus::invalid_format:
      return "invalid format";
    case LastAttemptStatus::auth_error:
      return "authentication error";
    case LastAttemptStatus::power_ac:
      return "no mains power";
    case LastAttemptStatus::power_battery:
      return "battery too low";
    case LastAttemptStatus::unsatisfied_dependencies:
      return "unsatisfied dependencies";
    case LastAttemptStatus::get_fmp_header:
      return "no FMP payload header";
    case LastAttemptStatus::image_not_provided:
      return "no image";
    case LastAttemptStatus::invalid_certificate:
      return "invalid certificate";
    case LastAttemptStatus::invalid_image_index:
      return "invalid image index";
    case LastAttemptStatus::version_too_low:
      return "version below the lowest supported one";
    case LastAttemptStatus::image_auth_failure:
      return "image authentication failed";
    case LastAttemptStatus::dependency_no_end:
      return "dependency without END";
    case LastAttemptStatus::dependency_opcode:
      return "unknown dependency opcode";
    case LastAttemptStatus::dependency_guid:
      return "dependency with a truncated GUID";
    case LastAttemptStatus::dependency_version:
      return "dependency with a truncated version";
    case LastAttemptStatus::dependency_version_string:
      return "dependency with an unterminated version string";
    case LastAttemptStatus::dependency_fmp_not_found:
      return "dependency on absent firmware";
    case LastAttemptStatus::dependency_push:
      return "dependency that overflows the stack";
    case LastAttemptStatus::dependency_pop:
      return "dependency that lacks an operand";
    case LastAttemptStatus::dependency_declare_not_first:
      return "dependency with a misplaced DECLARE_LENGTH";
    case LastAttemptStatus::dependency_declare_too_long:
      return "dependency longer than its image";
    case LastAttemptStatus::dependency_declare_wrong:
      return "dependency with a wrong DECLARE_LENGTH";
  }
  return "vendor status";
}

LastAttemptStatus standard_status(LastAttemptStatus status) noexcept {
  if (status <= LastAttemptStatus::power_battery) return status;
  switch (status) {
    case LastAttemptStatus::invalid_certificate:
    case LastAttemptStatus::image_auth_failure:
      return LastAttemptStatus::auth_error;
    case LastAttemptStatus::version_too_low:
      return LastAttemptStatus::incorrect_version;
    case LastAttemptStatus::get_fmp_header:
    case LastAttemptStatus::image_not_provided:
    case LastAttemptStatus::invalid_image_index:
      return LastAttemptStatus::invalid_format;
    default:
      return LastAttemptStatus::unsuccessful;
  }
}

}  // namespace efistore::capsule
