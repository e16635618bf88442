// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "bank_group.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "efistore/base/bytes.hpp"
#include "efistore/base/ucs2.hpp"
#include "efistore/crypto/digest.hpp"

#include "resource_state.hpp"

namespace efistore::update {

namespace {

/// U-Boot's counter of boots on trial, a u16; of the one group that U-Boot knows.
constexpr std::u16string_view trial_counter = u"TrialStateCtr";

}  // namespace

BankGroup::BankGroup(std::span<const Resource> resources, const FwuLocation& location,
                     Variables& variables)
    : location_(location), variables_(&variables) {
  for (const Resource& resource : resources) {
    if (has(resource)) members_.push_back(&resource);
    is_only_ = is_only_ && (!resource.fwu || has(resource));
  }
}

std::u16string BankGroup::key() const {
  std::string text;
  for (const Extent& extent : location_.metadata) {
    text += fmt::format("{}:{};", extent.device, extent.offset);
  }
  constexpr std::size_t digits = 8;
  return *from_utf8(to_hex(crypto::sha256(as_bytes(text))).substr(0, digits));
}

std::u16string BankGroup::trial_counter_name() const {
  return std::u16string(trial_counter) + (is_only_ ? std::u16string() : key());
}

std::u16string BankGroup::switched_name() const {
  return u"FwuSwitched" + key();
}

Result<bool> BankGroup::awaits_boot() const {
  const auto switched = variables_->get(switched_name(), guids::update_state);
  if (!switched) return tl::unexpected(switched.error());
  return switched->has_value();
}

Status BankGroup::open(DevicePool& pool) {
  auto first = ExtentDevice::open({location_.metadata[0]}, pool);
  if (!first) return forward(std::move(first));
  auto second = ExtentDevice::open({location_.metadata[1]}, pool);
  if (!second) return forward(std::move(second));
  first_ = *std::move(first);
  second_ = *std::move(second);
  if (pool.mode() == flash::OpenMode::read_only) {
    auto metadata = BankSwitch::peek(*first_, *second_, *variables_, key());
    if (!metadata) return forward(std::move(metadata));
    metadata_ = *std::move(metadata);
  } else {
    auto banks = BankSwitch::open(*first_, *second_, *variables_, key());
    if (!banks) return forward(std::move(banks));
    banks_ = *std::move(banks);
    metadata_ = banks_->metadata();
  }
  for (const Resource* member : members_) {
    if (metadata_.find(member->type_id) == nullptr) {
      return fail(Errc::invalid_argument,
                  fmt::format("{}: the FWU metadata on {} know no image type {}",
                              member->file.string(), first_->name(), to_string(member->type_id)));
    }
    if (std::ranges::count(members_, member->type_id, &Resource::type_id) != 1) {
      return fail(Errc::invalid_argument,
                  fmt::format("{}: another resource with the same FWU metadata has its image type, "
                              "and these tell types apart only",
                              member->file.string()));
    }
    if (metadata_.bank_count() != member->banks.size()) {
      return fail(
          Errc::invalid_argument,
          fmt::format("{}: it has {} banks, and the FWU metadata on {} {}", member->file.string(),
                      member->banks.size(), first_->name(), metadata_.bank_count()));
    }
  }
  // What nobody describes nobody writes, and the bank would be booted without it.
  if (metadata_.images.size() != members_.size()) {
    return fail(Errc::invalid_argument,
                fmt::format("{}: the FWU metadata have {} image types, and {} firmware resources "
                            "are described with them",
                            first_->name(), metadata_.images.size(), members_.size()));
  }
  return {};
}

Status BankGroup::change(const capsule::FwuMetadata& metadata) {
  if (Status changed = banks_->change(metadata); !changed) return changed;
  metadata_ = metadata;
  return {};
}

Status BankGroup::invalidate(std::size_t bank) {
  capsule::FwuMetadata metadata = metadata_;
  metadata.bank_states[bank] = capsule::BankState::invalid;
  for (capsule::FwuImage& image : metadata.images) image.banks[bank].accepted = false;
  return capsule::encode_fwu_metadata(metadata) == capsule::encode_fwu_metadata(metadata_)
             ? Status()
             : change(metadata);
}

Status BankGroup::activate(std::size_t bank, std::span<const Resource* const> on_trial) {
  if (Status forgotten = forget_trial(); !forgotten) return forgotten;
  capsule::FwuMetadata metadata = metadata_;
  metadata.previous_index = metadata.active_index;
  metadata.active_index = static_cast<std::uint32_t>(bank);
  for (capsule::FwuImage& image : metadata.images) {
    image.banks[bank].accepted =
        std::ranges::find(on_trial, image.type_id, &Resource::type_id) == on_trial.end();
  }
  metadata.bank_states[bank] =
      on_trial.empty() ? capsule::BankState::accepted : capsule::BankState::valid;
  // Until it is booted the other one is all that is known to boot.
  constexpr std::array one{std::byte{1}};
  Status noted = variables_->set(switched_name(), guids::update_state, one);
  return noted ? change(metadata) : noted;
}

Status BankGroup::accept(const Guid& type_id) {
  capsule::FwuMetadata metadata = metadata_;
  capsule::FwuImage* image = metadata.find(type_id);
  if (image == nullptr || image->banks[active()].accepted) {
    return fail(Errc::not_found,
                fmt::format("no firmware of type {} is on trial", to_string(type_id)));
  }
  image->banks[active()].accepted = true;
  if (!metadata.is_trial()) metadata.bank_states[active()] = capsule::BankState::accepted;
  if (Status changed = change(metadata); !changed) return changed;
  return metadata.is_trial() ? Status() : forget_trial();
}

Status BankGroup::revert() {
  if (!metadata_.is_trial()) return fail(Errc::not_found, "no firmware is on trial");
  const std::uint32_t previous = metadata_.previous_index;
  if (previous == metadata_.active_index ||
      (metadata_.version >= 2 && metadata_.bank_states[previous] == capsule::BankState::invalid)) {
    return fail(Errc::not_found,
                fmt::format("bank {}, to which it would go back, is booted already or not valid",
                            previous));
  }
  capsule::FwuMetadata metadata = metadata_;
  std::swap(metadata.active_index, metadata.previous_index);
  metadata.bank_states[metadata.previous_index] = capsule::BankState::invalid;
  if (Status changed = change(metadata); !changed) return changed;
  if (Status forgotten = forget_trial(); !forgotten) return forgotten;
  return reconcile();
}

Status BankGroup::reconcile() {
  for (const Resource* member : members_) {
    const auto version = load_bank_version(*variables_, *member, active());
    if (!version) return tl::unexpected(version.error());
    auto state = load_fmp_state(*variables_, *member);
    if (!state) return tl::unexpected(state.error());
    if (!*version || state->version == *version) continue;
    const bool was_known = state->version.has_value();
    state->version = *version;
    // One that was never updated has not failed.
    if (was_known) state->last_attempt_status = capsule::LastAttemptStatus::unsuccessful;
    if (Status saved = save_fmp_state(*variables_, *member, *state); !saved) return saved;
  }
  return {};
}

Result<bool> BankGroup::count_boot() {
  if (Status reconciled = reconcile(); !reconciled) return forward(std::move(reconciled));
  Status booted = variables_->set(switched_name(), guids::update_state, {});
  if (!booted) return forward(std::move(booted));
  if (!metadata_.is_trial() || location_.max_trial_boots == 0) return false;
  const auto data = variables_->get(trial_counter_name(), efistore::guids::global_variable);
  if (!data) return tl::unexpected(data.error());
  unsigned boots = 0;
  if (*data && (*data)->size() == sizeof(std::uint16_t)) boots = ByteReader(**data).u16();
  if (boots >= location_.max_trial_boots) {
    if (Status reverted = revert(); !reverted) return forward(std::move(reverted));
    return true;
  }
  std::array<std::byte, sizeof(std::uint16_t)> count;
  ByteWriter(count).u16(static_cast<std::uint16_t>(boots + 1));
  Status counted = variables_->set(trial_counter_name(), efistore::guids::global_variable, count);
  if (!counted) return forward(std::move(counted));
  return false;
}

Status BankGroup::forget_trial() {
  return variables_->set(trial_counter_name(), efistore::guids::global_variable, {});
}

}  // namespace efistore::update
