// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// One capsule on its way to the resources: parse, verify, compare, write, finish. A step that fails
// ends the capsule, and the outcome says of what.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "efistore/capsule/capsule.hpp"
#include "efistore/capsule/verify.hpp"
#include "efistore/update/image_writer.hpp"
#include "efistore/update/updater.hpp"

#include "bank_group.hpp"
#include "resource_state.hpp"

namespace efistore::update {

class UpdateRun {
 public:
  /// All of them must outlive it. `pool` opens for reading where nothing is to be written. `digest`
  /// is that of the staged copy; if journals name it already, their writes are gone on with.
  UpdateRun(Environment& environment, const Observer& observer, const capsule::Source& source,
            flash::OpenMode mode, const crypto::Digest& digest = {})
      : environment_(environment),
        observer_(observer),
        source_(source),
        digest_(digest),
        pool_(environment.open_device, mode) {}

  /// The capsule's form, and who is to get its payloads.
  bool parse();
  /// Whether the targets are large enough to look further, once it is parsed.
  bool has_room();
  /// Every payload: signature, versions, dependency. Parses, if that was not done.
  bool verify();
  /// Which blocks have to be written, of all targets, before any of them is.
  bool compare();
  /// Writes them, and switches banks.
  bool write();
  /// Records in FmpState how it went. Where it failed, and is given up, the journals stay for what
  /// they list; else they stay as they are.
  void record(bool is_given_up = true);
  /// Whether the capsule itself was found wanting: another try finds the same.
  bool is_verdict() const noexcept { return is_verdict_; }

  UpdateOutcome take_outcome();

 private:
  /// Firmware for a bank of a resource.
  struct Item {
    std::size_t payload = 0;
    const Resource* resource = nullptr;
    /// Of the payload; none for an image that only goes along into the bank that is written.
    std::optional<capsule::VerifiedImage> image{};
    std::unique_ptr<capsule::Source> source{};
    capsule::Range firmware{};
    std::size_t bank = 0;
    std::unique_ptr<ExtentDevice> device{};
    std::optional<Journal> journal{};
    BlockSet blocks{};
    bool has_suspects = false;  ///< blocks that are written although they read as the firmware
    bool is_written = false;

    bool is_payload() const noexcept { return image.has_value(); }
  };

  bool refuse(const capsule::Refusal& refusal);
  bool refuse_payload(std::size_t payload, const Resource* resource,
                      const capsule::Refusal& refusal);
  PayloadOutcome& outcome_of(std::size_t payload, const Resource* resource);

  bool find_resources();
  bool find_journals();
  std::optional<capsule::Refusal> verify_item(Item& item);
  std::optional<capsule::Refusal> check_versions(const Item& item,
                                                 const capsule::PayloadHeader& header);
  std::optional<capsule::Refusal> check_dependency(const Item& item);
  bool serve_trial();
  Status open_groups();
  Status choose_banks();
  Status add_companions(BankGroup& group, std::size_t bank);
  Status open_item(Item& item);
  Status compare_item(Item& item);
  /// Of a bank that is active already: it must hold the firmware.
  Status compare_written(Item& item);
  Status announce();
  Status write_item(Item& item);
  Status write_target(Item& item);
  Status run_hook_of(const Item& item, const std::vector<std::string>& command);
  Status switch_banks(BankGroup& group);
  bool fail_item(const Item& item, const Error& error);

  Environment& environment_;
  const Observer& observer_;
  const capsule::Source& source_;
  crypto::Digest digest_;
  DevicePool pool_;
  capsule::Capsule capsule_;
  bool is_parsed_ = false;
  bool is_resumed_ = false;
  bool is_verdict_ = false;
  std::vector<Item> items_;
  std::vector<BankGroup> groups_;
  UpdateOutcome outcome_;
};

}  // namespace efistore::update
