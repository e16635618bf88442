// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What info, check and map share: a store looked at from outside.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "efistore/flash/device.hpp"
#include "efistore/flash/wear.hpp"
#include "efistore/store/examine.hpp"

#include "common/outcome.hpp"

namespace efistore::tools {

/// A device, open for reading, and what it holds.
struct ExaminedStore {
  std::unique_ptr<flash::Device> device;
  store::Examination examination;
};

/// Fails for a blank device, and where there is no volume to speak of.
Outcome<ExaminedStore> examine_store(const std::string& locator);

/// The erase counts of the device that `locator` opened. Errors: those of flash::load_wear().
Result<flash::WearCounts> wear_of(const std::string& locator, const flash::Device& device);

/// Findings by severity.
struct FindingCounts {
  std::size_t notes = 0;
  std::size_t warnings = 0;
  std::size_t damage = 0;

  /// "damaged", "warnings", "notes" or "clean", the worst there is.
  std::string_view health() const noexcept;
};
FindingCounts count_findings(const store::Examination& examination) noexcept;

/// "vars.fd: ovmf-4m, auth format, 528 KiB", safe for a terminal.
std::string headline(const std::string& locator, const store::Layout& layout);

}  // namespace efistore::tools
