// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What the commands that know the machine's firmware resources share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "efistore/update/updater.hpp"
#include "efistore/variable/services.hpp"

#include "command.hpp"
#include "json.hpp"

namespace efistore::tools {

/// Where resources are described, and where updates keep what they need.
struct FirmwareOptions {
  std::string folder = "/etc/efistore/firmware.d";
  std::string state_folder = "/var/lib/efistore/capsules";

  void add_to(CLI::App& command);
};

/// The resources, and an updater over the store that has their state.
class Firmware {
 public:
  /// Fails, saying what to do, where a daemon has the store: the state of updates is kept in
  /// variables that only boot services may use.
  static Outcome<std::unique_ptr<Firmware>> open(const std::string& locator,
                                                 const FirmwareOptions& options,
                                                 flash::OpenMode mode,
                                                 update::Observer observer = {});

  update::Updater& updater() noexcept { return *updater_; }
  const std::vector<update::Resource>& resources() const noexcept { return resources_; }

 private:
  Firmware(std::vector<update::Resource> resources, variable::Services services)
      : resources_(std::move(resources)), services_(std::move(services)), variables_(services_) {}

  std::vector<update::Resource> resources_;
  variable::Services services_;
  update::ServicesVariables variables_;
  std::optional<update::Updater> updater_;
};

/// An outcome as JSON: status, reason, capsule, reset_required, payloads.
Json outcome_json(const update::UpdateOutcome& outcome);

}  // namespace efistore::tools
