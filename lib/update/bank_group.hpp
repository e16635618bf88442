// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Resources with the same FWU metadata: their banks are written, switched, tried and left together.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "efistore/update/bank_switch.hpp"
#include "efistore/update/extent_device.hpp"
#include "efistore/update/resource.hpp"
#include "efistore/update/variables.hpp"

namespace efistore::update {

class BankGroup {
 public:
  /// The group of a resource of scheme ab. `resources` and `variables` must outlive it.
  BankGroup(std::span<const Resource> resources, const FwuLocation& location, Variables& variables);

  const FwuLocation& location() const noexcept { return location_; }
  /// Those of the group, in their order.
  std::span<const Resource* const> members() const noexcept { return members_; }
  bool has(const Resource& resource) const noexcept { return resource.fwu == location_; }

  /// Reads the metadata. If the pool opens for writing, a change that was cut is taken up.
  /// Errors: those of BankSwitch and the pool; invalid_argument (the metadata do not have the
  /// members' types, or their number of banks).
  Status open(DevicePool& pool);

  const capsule::FwuMetadata& metadata() const noexcept { return metadata_; }
  std::size_t active() const noexcept { return metadata_.active_index; }
  /// The bank that an update is written to.
  std::size_t next() const noexcept { return (active() + 1) % metadata_.bank_count(); }

  /// Whether banks were switched since the machine was started, so that the one to be written next
  /// is the one that runs.
  Result<bool> awaits_boot() const;

  /// Errors: those of BankSwitch::change().
  Status change(const capsule::FwuMetadata& metadata);

  /// `bank` is about to be written.
  Status invalidate(std::size_t bank);
  /// `bank` is written, and is to be booted: on trial for those of `on_trial`.
  Status activate(std::size_t bank, std::span<const Resource* const> on_trial);
  /// The active bank's image of that type has proved itself.
  /// Errors: also not_found (nothing of it is on trial).
  Status accept(const Guid& type_id);
  /// Back to the previous bank, whose versions are the running ones again.
  /// Errors: also not_found (nothing is on trial).
  Status revert();
  /// One more boot of a bank on trial. Whether it was one too many, and is left.
  Result<bool> count_boot();

 private:
  /// Of the variables: letters and digits that tell groups apart.
  std::u16string key() const;
  std::u16string trial_counter_name() const;
  std::u16string switched_name() const;
  Status forget_trial();
  /// Makes the recorded versions those of the active bank, which a boot loader may have changed, or
  /// a revert that was cut.
  Status reconcile();

  FwuLocation location_;
  Variables* variables_;
  std::vector<const Resource*> members_;
  bool is_only_ = true;  ///< group of the machine
  std::unique_ptr<ExtentDevice> first_;
  std::unique_ptr<ExtentDevice> second_;
  std::optional<BankSwitch> banks_;
  capsule::FwuMetadata metadata_;
};

}  // namespace efistore::update
