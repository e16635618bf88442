// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// FWU metadata in their two copies, changed so that a boot loader finds the old or the new ones
// whenever the power goes: it takes the first copy whose checksum is right.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"
#include "efistore/capsule/fwu_metadata.hpp"
#include "efistore/flash/device.hpp"
#include "efistore/update/variables.hpp"

namespace efistore::update {

namespace guids {
using namespace efistore::literals;
/// Vendor of the variables that are the updates' own and belong to no image type.
inline constexpr Guid update_state = "5e9ab1c4-6ba0-4d0c-9d3b-d5b3a4d8b9d2"_guid;
}  // namespace guids

class BankSwitch {
 public:
  /// Takes up a change that a power loss cut. `first` and `second` hold the copies from their first
  /// byte on; `key` tells apart several pairs of copies of one machine, and ends up in a variable's
  /// name: letters and digits.
  /// Errors: damaged (neither copy is valid, and nothing is remembered), blank, io; those of
  /// Variables.
  static Result<BankSwitch> open(flash::Device& first, flash::Device& second, Variables& variables,
                                 std::u16string_view key);

  /// What open() would find. Writes nothing. Errors: those of open().
  static Result<capsule::FwuMetadata> peek(flash::Device& first, flash::Device& second,
                                           Variables& variables, std::u16string_view key);

  const capsule::FwuMetadata& metadata() const noexcept { return metadata_; }

  /// Errors: no_space (a copy's device is smaller), io; those of Variables.
  /// Power loss: old or new, for open() and for a boot loader.
  Status change(const capsule::FwuMetadata& metadata);

 private:
  BankSwitch(flash::Device& first, flash::Device& second, Variables& variables, std::u16string name)
      : copies_{&first, &second}, variables_(&variables), name_(std::move(name)) {}

  Status load();
  /// Makes the second copy what a valid first one is, so that there is one while the first is
  /// written.
  Status mend_second();
  /// Writes both copies so that one of them is valid at any time.
  Status write(std::span<const std::byte> encoded);

  std::array<flash::Device*, 2> copies_;
  Variables* variables_;
  std::u16string name_;  ///< of the variable that remembers a change under way
  capsule::FwuMetadata metadata_;
};

}  // namespace efistore::update
