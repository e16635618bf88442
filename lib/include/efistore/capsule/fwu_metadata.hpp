// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Firmware-update metadata: which of several banks is booted (Platform Security Firmware Update for
// the A-profile 1.0, DEN0118, versions 1 and 2 of the metadata; U-Boot fwu_mdata.h). It is kept in
// two copies.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"

namespace efistore::capsule {

inline constexpr std::size_t max_banks = 4;
inline constexpr std::size_t max_bank_images = 64;

/// Version 2 only.
enum class BankState : std::uint8_t {
  accepted = 0xfc,  ///< every image of the bank is accepted
  valid = 0xfe,     ///< written, on trial
  invalid = 0xff,
};

/// An image type's image in one bank.
struct BankImage {
  Guid image_guid;
  bool accepted = false;
};

struct FwuImage {
  Guid type_id;
  Guid location_guid;
  std::vector<BankImage> banks;
};

struct FwuMetadata {
  std::uint32_t version = 2;  ///< 1 or 2
  std::uint32_t active_index = 0;
  std::uint32_t previous_index = 0;
  /// As many as there are banks, which is the same number for each image.
  std::vector<FwuImage> images;
  std::array<BankState, max_banks> bank_states{BankState::invalid, BankState::invalid,
                                               BankState::invalid, BankState::invalid};

  std::size_t bank_count() const noexcept { return images.empty() ? 0 : images[0].banks.size(); }
  /// The images of that type; nullptr if there is none.
  const FwuImage* find(const Guid& type_id) const noexcept;
  FwuImage* find(const Guid& type_id) noexcept;
  /// Whether the active bank is on trial: not all of its images are accepted.
  bool is_trial() const noexcept;
};

/// No metadata is larger.
inline constexpr std::size_t max_fwu_metadata_size_bytes = 16384;

/// The metadata at the front of `bytes`, which may go on behind it. Version 1 does not tell how
/// many images and banks there are: those are found for which its checksum is right. Errors:
/// invalid_argument, naming the field and what was expected; blank (all 0xff, or all 0).
Result<FwuMetadata> parse_fwu_metadata(std::span<const std::byte> bytes);

/// With its checksum, in the version that `metadata` names.
std::vector<std::byte> encode_fwu_metadata(const FwuMetadata& metadata);

}  // namespace efistore::capsule
