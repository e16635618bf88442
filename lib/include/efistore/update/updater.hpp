// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Capsules onto firmware resources: verified as a whole, written so that a power cut at any point
// leaves the old firmware, or something that resume() makes the new one, and reported.
// lib/DESIGN.md, "update", has the states.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "efistore/base/efi_status.hpp"
#include "efistore/base/efi_time.hpp"
#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"
#include "efistore/capsule/last_attempt_status.hpp"
#include "efistore/capsule/report.hpp"
#include "efistore/capsule/source.hpp"
#include "efistore/crypto/digest.hpp"
#include "efistore/update/block_set.hpp"
#include "efistore/update/extent_device.hpp"
#include "efistore/update/resource.hpp"
#include "efistore/update/staging.hpp"
#include "efistore/update/variables.hpp"

namespace efistore::update {

/// What an updater is given by the program around it; references must outlive it.
struct Environment {
  std::span<const Resource> resources;
  Variables& variables;
  /// Where capsules are kept while they are applied. Made if it is not there.
  std::filesystem::path state_folder;
  DeviceOpener open_device;
  std::function<EfiTime()> now;
};

/// What happens, for those who watch.
struct Event {
  enum class Kind {
    verifying,  ///< the signatures of a payload
    comparing,  ///< the firmware with what is on flash
    writing,    ///< erase blocks
  } kind = Kind::verifying;
  std::size_t payload = 0;
  const Resource* resource = nullptr;
  std::uint64_t done_bytes = 0;
  std::uint64_t total_bytes = 0;
};
using Observer = std::function<void(const Event&)>;

/// One payload for one resource: what would be, or was, done.
struct PayloadOutcome {
  std::size_t payload = 0;
  Guid type_id{};
  std::uint8_t image_index = 0;
  const Resource* resource = nullptr;  ///< null if there is none for it
  std::optional<std::uint32_t> version{};
  std::size_t bank = 0;  ///< that is written
  std::uint64_t firmware_size_bytes = 0;
  std::uint32_t block_size_bytes = 0;
  BlockSet blocks{};  ///< that are erased and programmed
  EfiStatus status = EfiStatus::success;
  capsule::LastAttemptStatus last_attempt = capsule::LastAttemptStatus::success;
  std::string reason{};     ///< empty with success
  bool is_written = false;  ///< the target holds it now
};

struct UpdateOutcome {
  EfiStatus status =
      EfiStatus::success;  ///< the first that is none of the capsule and its payloads
  std::string reason{};
  Guid capsule_guid{};
  std::vector<PayloadOutcome> payloads{};
  bool reset_required = false;  ///< another bank is to be booted
};

class Updater {
 public:
  explicit Updater(Environment environment, Observer observer = {});

  /// What apply() would do. Writes nothing.
  UpdateOutcome plan(const capsule::Source& source);

  /// Verifies every payload, writes what differs, and reports each in FmpState. Updates that a
  /// power loss cut are taken up before. Accept and revert capsules change FWU metadata only. Power
  /// loss: resume() leaves the firmware as it was before, or as it is afterwards.
  UpdateOutcome apply(const capsule::Source& source);

  /// Goes on with what a power loss cut. What cannot be gone on with now is reported, and tried
  /// again the next time; what never can is given up.
  std::vector<UpdateOutcome> resume();

  /// To be called once a boot, also where nothing is on trial: no bank is written before the one
  /// that was written last has been booted. Counts a boot of banks on trial, and goes back to the
  /// previous one where they were booted max_trial_boots times. Whether it did. Errors: those of
  /// BankSwitch and Variables.
  Result<bool> count_boot();

  /// The resources as ESRT shows them; several of one type are one entry.
  /// Errors: io; those of reading a version.
  Result<std::vector<capsule::EsrtEntry>> esrt();

 private:
  /// Why it is refused before anything is copied, if it is.
  std::optional<UpdateOutcome> look_at(const capsule::Source& source, bool at_targets);
  /// Applies what is staged under that digest, or goes on with it.
  UpdateOutcome apply_staged(const crypto::Digest& digest, bool is_resumed);
  /// Errors: what keeps a new update from being begun.
  Status take_up(const StateFolder& folder, std::vector<UpdateOutcome>& outcomes);
  Result<std::vector<crypto::Digest>> begun_updates();

  Environment environment_;
  Observer observer_;
};

}  // namespace efistore::update
