// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// How the outcome of updates is told: FmpState variables (EDK2 FmpDevicePkg, VariableSupport.c),
// capsule result variables (UEFI 2.10, 8.5.6) and the ESRT (UEFI 2.10, 23.4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "efistore/base/efi_status.hpp"
#include "efistore/base/efi_time.hpp"
#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"
#include "efistore/capsule/last_attempt_status.hpp"

namespace efistore::capsule {

namespace guids {
using namespace efistore::literals;
/// EFI_CAPSULE_REPORT_GUID (UEFI 2.10, 8.5.6).
inline constexpr Guid capsule_report = "39b68c46-f7fb-441b-b6ec-16b0f69821f3"_guid;
}  // namespace guids

/// What is known of one firmware resource; a field that was never set has no value.
struct FmpState {
  std::optional<std::uint32_t> version;
  std::optional<std::uint32_t> lowest_supported_version;
  std::optional<LastAttemptStatus> last_attempt_status;
  std::optional<std::uint32_t> last_attempt_version;

  friend bool operator==(const FmpState&, const FmpState&) = default;
};

/// "FmpState", 16 hexadecimal digits behind it for a hardware instance that is not 0, and "-" and
/// two more for an index that is not 1, which EDK2 does not have. Its vendor is the image type.
std::u16string fmp_state_name(std::uint64_t hardware_instance, std::uint8_t index = 1);
/// The same with another word in front.
std::u16string state_variable_name(std::u16string_view word, std::uint64_t hardware_instance,
                                   std::uint8_t index);
std::vector<std::byte> encode_fmp_state(const FmpState& state);
/// Errors: invalid_argument (not 20 bytes).
Result<FmpState> parse_fmp_state(std::span<const std::byte> data);

/// EFI_CAPSULE_RESULT_VARIABLE_HEADER, and of an FMP payload EFI_CAPSULE_RESULT_VARIABLE_FMP.
struct CapsuleResult {
  Guid capsule_guid;
  EfiTime processed;
  EfiStatus status = EfiStatus::success;
  struct Payload {
    std::uint8_t payload_index = 0;
    std::uint8_t image_index = 0;
    Guid type_id;
    std::u16string file_name{};
    std::u16string target{};
  };
  std::optional<Payload> payload{};
};

/// Errors: invalid_argument (a NUL in a string), no_space (larger than a u32 says).
Result<std::vector<std::byte>> encode_capsule_result(const CapsuleResult& result);
/// Errors: invalid_argument, naming the field.
Result<CapsuleResult> parse_capsule_result(std::span<const std::byte> data);

/// "Capsule0000" for 0. fwupd's parser takes decimal digits only, so the numbers end at 9999.
inline constexpr std::uint32_t max_capsule_result = 9999;
std::u16string capsule_result_name(std::uint32_t number);
/// The number in such a name; none for any other.
std::optional<std::uint32_t> capsule_result_number(std::u16string_view name);
/// A name without NUL, as CapsuleMax and CapsuleLast hold it.
std::vector<std::byte> encode_capsule_result_name(std::uint32_t number);

/// EFI_SYSTEM_RESOURCE_ENTRY.
struct EsrtEntry {
  Guid fw_class;
  std::uint32_t fw_type = 0;  ///< 0 unknown, 1 system, 2 device, 3 UEFI driver
  std::uint32_t version = 0;
  std::uint32_t lowest_supported_version = 0;
  std::uint32_t capsule_flags = 0;
  std::uint32_t last_attempt_version = 0;
  LastAttemptStatus last_attempt_status = LastAttemptStatus::success;

  friend bool operator==(const EsrtEntry&, const EsrtEntry&) = default;
};

/// EFI_SYSTEM_RESOURCE_TABLE, version 1.
std::vector<std::byte> encode_esrt(std::span<const EsrtEntry> entries);
/// Errors: invalid_argument, naming the field.
Result<std::vector<EsrtEntry>> parse_esrt(std::span<const std::byte> table);

/// Entries of one class as one, as EDK2 does it: the lowest versions, and the first status that is
/// no success. In the order in which classes come first.
std::vector<EsrtEntry> merge_esrt(std::span<const EsrtEntry> entries);

}  // namespace efistore::capsule
