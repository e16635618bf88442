// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What is looked at before anything is written.
#include "update_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "efistore/capsule/dependency.hpp"

namespace efistore::update {

namespace {

using capsule::LastAttemptStatus;
using capsule::Refusal;

bool is_for(const capsule::ImageHeader& header, const Resource& resource) {
  return header.type_id == resource.type_id && header.index == resource.index &&
         (header.hardware_instance == 0 || header.hardware_instance == resource.hardware_instance);
}

}  // namespace

bool UpdateRun::refuse(const Refusal& refusal) {
  outcome_.status = refusal.status;
  outcome_.reason = refusal.message;
  return false;
}

PayloadOutcome& UpdateRun::outcome_of(std::size_t payload, const Resource* resource) {
  const auto found = std::ranges::find_if(outcome_.payloads, [&](const PayloadOutcome& outcome) {
    return outcome.payload == payload && outcome.resource == resource;
  });
  if (found != outcome_.payloads.end()) return *found;
  const capsule::ImageHeader& header = capsule_.fmp->payloads[payload].header;
  outcome_.payloads.push_back({.payload = payload,
                               .type_id = header.type_id,
                               .image_index = header.index,
                               .resource = resource});
  return outcome_.payloads.back();
}

bool UpdateRun::refuse_payload(std::size_t payload, const Resource* resource,
                               const Refusal& refusal) {
  PayloadOutcome& outcome = outcome_of(payload, resource);
  outcome.status = refusal.status;
  outcome.last_attempt = refusal.last_attempt;
  outcome.reason = refusal.message;
  if (outcome_.status != EfiStatus::success) return false;
  return refuse({refusal.status, refusal.last_attempt,
                 fmt::format("payload {}: {}", payload, refusal.message)});
}

UpdateOutcome UpdateRun::take_outcome() {
  // Those that would have been written had another one not failed.
  if (outcome_.status != EfiStatus::success) {
    for (PayloadOutcome& payload : outcome_.payloads) {
      if (payload.status != EfiStatus::success || payload.is_written) continue;
      payload.status = EfiStatus::aborted;
      payload.last_attempt = LastAttemptStatus::unsuccessful;
      payload.reason = "another payload of the capsule has failed";
    }
  }
  return std::move(outcome_);
}

bool UpdateRun::parse() {
  if (is_parsed_) return true;
  auto parsed = capsule::parse_capsule(source_);
  if (!parsed) return refuse(capsule::refusal_of(parsed.error()));
  capsule_ = *std::move(parsed);
  outcome_.capsule_guid = capsule_.outer().guid;
  if (Status flags = capsule::check_flags(capsule_.outer()); !flags) {
    return refuse(capsule::refusal_of(flags.error()));
  }
  switch (capsule_.kind) {
    case capsule::CapsuleKind::fmp:
      if (!find_resources()) return false;
      break;
    case capsule::CapsuleKind::accept:
    case capsule::CapsuleKind::revert:
      break;
    default:
      return refuse({EfiStatus::unsupported, LastAttemptStatus::invalid_format,
                     fmt::format("a capsule with the GUID {} ({}) is none that updates firmware",
                                 to_string(capsule_.header.guid), to_string(capsule_.kind))});
  }
  is_parsed_ = true;
  return true;
}

bool UpdateRun::find_resources() {
  const capsule::FmpCapsule& fmp = *capsule_.fmp;
  if (!fmp.drivers.empty()) {
    return refuse({EfiStatus::unsupported, LastAttemptStatus::invalid_format,
                   fmt::format("it embeds {} drivers, which no signature covers and nothing here "
                               "can run",
                               fmp.drivers.size())});
  }
  for (std::size_t payload = 0; payload < fmp.payloads.size(); ++payload) {
    bool is_found = false;
    for (const Resource& resource : environment_.resources) {
      if (!is_for(fmp.payloads[payload].header, resource)) continue;
      is_found = true;
      const bool is_twice = std::ranges::any_of(
          items_, [&resource](const Item& item) { return item.resource == &resource; });
      if (is_twice) {
        return refuse_payload(payload, &resource,
                              {EfiStatus::invalid_parameter, LastAttemptStatus::invalid_format,
                               fmt::format("a second one for {}", resource.name)});
      }
      Item item;
      item.payload = payload;
      item.resource = &resource;
      items_.push_back(std::move(item));
      outcome_of(payload, &resource);
    }
    if (!is_found) {
      const capsule::ImageHeader& header = fmp.payloads[payload].header;
      return refuse_payload(
          payload, nullptr,
          {EfiStatus::not_ready, LastAttemptStatus::unsuccessful,
           fmt::format("no firmware resource has image type {}, index {} and instance {:#x}",
                       to_string(header.type_id), header.index, header.hardware_instance)});
    }
  }
  for (const capsule::CapsuleHeader& wrapper : capsule_.wrappers) {
    if (std::ranges::find(environment_.resources, wrapper.guid, &Resource::type_id) ==
        environment_.resources.end()) {
      return refuse({EfiStatus::unsupported, LastAttemptStatus::invalid_format,
                     fmt::format("it stands in a capsule of {}, which is no firmware resource",
                                 to_string(wrapper.guid))});
    }
  }
  return true;
}

/// Whether a journal names this copy: what was begun with it is gone on with.
bool UpdateRun::find_journals() {
  for (const Item& item : items_) {
    for (std::size_t bank = 0; bank < item.resource->banks.size(); ++bank) {
      const auto journal = load_journal(environment_.variables, *item.resource, bank);
      if (!journal) return refuse(capsule::refusal_of(journal.error()));
      is_resumed_ = is_resumed_ || (*journal && (*journal)->state == Journal::State::writing &&
                                    (*journal)->capsule == digest_);
    }
  }
  return true;
}

bool UpdateRun::has_room() {
  // What stands in an image beside firmware, at most.
  constexpr std::uint64_t beside = capsule::max_certificate_data_size_bytes +
                                   capsule::max_payload_header_size_bytes + 128 * 1024;
  for (const Item& item : items_) {
    const auto target = ExtentDevice::open(item.resource->banks[0], pool_);
    if (!target) return fail_item(item, target.error());
    const std::uint64_t size = capsule_.fmp->payloads[item.payload].image.size;
    if (size <= (*target)->geometry().size_bytes + beside) continue;
    return refuse_payload(
        item.payload, item.resource,
        {EfiStatus::out_of_resources, LastAttemptStatus::insufficient_resources,
         fmt::format("{}: its image has {} bytes, and there is room for {}", item.resource->name,
                     size, (*target)->geometry().size_bytes)});
  }
  return true;
}

bool UpdateRun::verify() {
  if (!parse() || !find_journals()) return false;
  for (Item& item : items_) {
    observer_({.kind = Event::Kind::verifying, .payload = item.payload, .resource = item.resource});
    if (const auto refusal = verify_item(item)) {
      is_verdict_ = refusal->status != EfiStatus::device_error;
      return refuse_payload(item.payload, item.resource, *refusal);
    }
  }
  return true;
}

std::optional<Refusal> UpdateRun::verify_item(Item& item) {
  const capsule::Payload& payload = capsule_.fmp->payloads[item.payload];
  auto image =
      capsule::VerifiedImage::verify(source_, payload, item.resource->form, item.resource->trusted);
  if (!image) return image.error();
  item.image = *std::move(image);
  item.firmware = item.image->image().firmware;
  PayloadOutcome& outcome = outcome_of(item.payload, item.resource);
  outcome.firmware_size_bytes = item.firmware.size;
  const auto& header = item.image->image().payload_header;
  if (!header) return std::nullopt;
  outcome.version = header->version;
  // An update that is gone on with was allowed when it was begun, and has changed the versions.
  if (is_resumed_) return std::nullopt;
  if (auto refusal = check_versions(item, *header)) return refusal;
  return check_dependency(item);
}

std::optional<Refusal> UpdateRun::check_versions(const Item& item,
                                                 const capsule::PayloadHeader& header) {
  const auto state = load_fmp_state(environment_.variables, *item.resource);
  if (!state) return capsule::refusal_of(state.error());
  const std::uint32_t lowest = lowest_supported_version(*item.resource, *state);
  if (header.version < lowest) {
    return Refusal{EfiStatus::aborted, LastAttemptStatus::version_too_low,
                   fmt::format("version {:#x} is below the lowest supported one, {:#x}",
                               header.version, lowest)};
  }
  // It would be the last update that is ever taken.
  if (header.lowest_supported_version > header.version ||
      header.lowest_supported_version == std::numeric_limits<std::uint32_t>::max()) {
    return Refusal{
        EfiStatus::invalid_parameter, LastAttemptStatus::invalid_format,
        fmt::format("FMP payload header: LowestSupportedVersion at byte {} is {:#x}, "
                    "expected at most FwVersion, {:#x}, and less than 0xffffffff",
                    header.offset + 12, header.lowest_supported_version, header.version)};
  }
  return std::nullopt;
}

std::optional<Refusal> UpdateRun::check_dependency(const Item& item) {
  if (item.image->dependency().empty()) return std::nullopt;
  const capsule::InstalledVersion installed =
      [this](const Guid& type_id) -> std::optional<std::uint32_t> {
    std::optional<std::uint32_t> lowest;
    for (const Resource& resource : environment_.resources) {
      if (resource.type_id != type_id) continue;
      const auto state = load_fmp_state(environment_.variables, resource);
      const auto version = state ? running_version(resource, *state)
                                 : Result<std::uint32_t>(tl::unexpected(state.error()));
      if (!version) return std::nullopt;
      lowest = std::min(lowest.value_or(*version), *version);
    }
    return lowest;
  };
  const auto answer = capsule::evaluate_dependency(item.image->dependency(), installed);
  if (answer) return std::nullopt;
  return Refusal{EfiStatus::aborted, answer.error().status, answer.error().message};
}

bool UpdateRun::compare() {
  if (capsule_.kind != capsule::CapsuleKind::fmp) return true;
  if (Status chosen = choose_banks(); !chosen) return refuse(capsule::refusal_of(chosen.error()));
  for (Item& item : items_) {
    Status compared = open_item(item);
    if (compared) compared = item.is_written ? compare_written(item) : compare_item(item);
    if (!compared) return fail_item(item, compared.error());
  }
  return true;
}

Status UpdateRun::open_groups() {
  for (const Resource& resource : environment_.resources) {
    if (!resource.fwu ||
        std::ranges::any_of(groups_, [&](const BankGroup& group) { return group.has(resource); })) {
      continue;
    }
    const bool is_needed = capsule_.kind != capsule::CapsuleKind::fmp ||
                           std::ranges::any_of(items_, [&](const Item& item) {
                             return item.resource->fwu == resource.fwu;
                           });
    if (!is_needed) continue;
    BankGroup group(environment_.resources, *resource.fwu, environment_.variables);
    if (Status opened = group.open(pool_); !opened) return opened;
    groups_.push_back(std::move(group));
  }
  return {};
}

Status UpdateRun::choose_banks() {
  if (Status opened = open_groups(); !opened) return opened;
  for (Item& item : items_) {
    for (std::size_t bank = 0; bank < item.resource->banks.size(); ++bank) {
      const auto journal = load_journal(environment_.variables, *item.resource, bank);
      if (!journal) return tl::unexpected(journal.error());
      if (!*journal || (*journal)->state != Journal::State::writing ||
          (*journal)->capsule != digest_) {
        continue;
      }
      item.journal = *journal;
      item.bank = bank;
    }
  }
  for (BankGroup& group : groups_) {
    const auto is_of_group = [&group](const Item& item) { return group.has(*item.resource); };
    const auto begun = std::ranges::find_if(
        items_, [&](const Item& item) { return is_of_group(item) && item.journal; });
    // What was cut goes to the bank that it was for, and may be active already.
    const std::size_t bank = begun != items_.end() ? begun->bank : group.next();
    const bool is_switched = begun != items_.end() && bank == group.active();
    const auto awaits_boot = group.awaits_boot();
    if (!awaits_boot) return tl::unexpected(awaits_boot.error());
    if (*awaits_boot && !is_switched) {
      return fail(Errc::busy, "the bank that was written last has to be booted first");
    }
    if (group.metadata().is_trial() && !is_switched) {
      return fail(Errc::busy, "firmware is on trial: it has to be accepted or reverted first");
    }
    for (Item& item : items_) {
      if (!is_of_group(item)) continue;
      item.bank = bank;
      item.is_written = is_switched;
    }
    if (!is_switched) {
      if (Status added = add_companions(group, bank); !added) return added;
    }
  }
  return {};
}

}  // namespace efistore::update
