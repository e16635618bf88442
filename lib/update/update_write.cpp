// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What is written, and what is remembered of it meanwhile.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "hooks.hpp"
#include "update_run.hpp"

namespace efistore::update {

namespace {

using capsule::LastAttemptStatus;

/// The active bank, where it is copied into the one that is written.
class DeviceSource final : public capsule::Source {
 public:
  explicit DeviceSource(std::unique_ptr<ExtentDevice> device) : device_(std::move(device)) {}

  std::uint64_t size() const noexcept override { return device_->geometry().size_bytes; }
  Status read(std::uint64_t offset, std::span<std::byte> out) const override {
    return device_->read(offset, out);
  }

 private:
  std::unique_ptr<ExtentDevice> device_;
};

EfiStatus status_of(Errc code) noexcept {
  switch (code) {
    case Errc::no_space:
      return EfiStatus::out_of_resources;
    case Errc::permission:
      return EfiStatus::access_denied;
    case Errc::read_only:
      return EfiStatus::write_protected;
    case Errc::busy:
      return EfiStatus::not_ready;
    case Errc::not_found:
      return EfiStatus::not_found;
    case Errc::unsupported:
      return EfiStatus::unsupported;
    case Errc::damaged:
      return EfiStatus::security_violation;
    default:
      return EfiStatus::device_error;
  }
}

}  // namespace

bool UpdateRun::fail_item(const Item& item, const Error& error) {
  const capsule::Refusal refusal{status_of(error.code),
                                 error.code == Errc::no_space
                                     ? LastAttemptStatus::insufficient_resources
                                     : LastAttemptStatus::unsuccessful,
                                 fmt::format("{}: {}", item.resource->name, error.message)};
  return item.is_payload() ? refuse_payload(item.payload, item.resource, refusal) : refuse(refusal);
}

Status UpdateRun::add_companions(BankGroup& group, std::size_t bank) {
  for (const Resource* member : group.members()) {
    const bool has_payload =
        std::ranges::any_of(items_, [member](const Item& item) { return item.resource == member; });
    if (has_payload) continue;
    auto active = ExtentDevice::open(member->banks[group.active()], pool_);
    if (!active) return forward(std::move(active));
    Item item;
    item.resource = member;
    item.bank = bank;
    item.source = std::make_unique<DeviceSource>(*std::move(active));
    item.firmware = {0, item.source->size()};
    auto journal = load_journal(environment_.variables, *member, bank);
    if (!journal) return forward(std::move(journal));
    if (*journal && (*journal)->state == Journal::State::writing &&
        (*journal)->capsule == digest_) {
      item.journal = *std::move(journal);
    }
    items_.push_back(std::move(item));
  }
  return {};
}

Status UpdateRun::open_item(Item& item) {
  auto device = ExtentDevice::open(item.resource->banks[item.bank], pool_);
  if (!device) return forward(std::move(device));
  item.device = *std::move(device);
  if (item.is_payload()) {
    item.source = std::make_unique<capsule::VerifiedSource>(source_, *item.image);
  }
  return {};
}

Status UpdateRun::compare_item(Item& item) {
  auto writer = ImageWriter::create(*item.device, {*item.source, item.firmware});
  if (!writer) return forward(std::move(writer));
  BlockSet suspects;
  if (item.journal) {
    auto cut = writer->possibly_cut(item.journal->plan);
    if (!cut) return forward(std::move(cut));
    suspects = *std::move(cut);
  } else {
    const auto left = load_journal(environment_.variables, *item.resource, item.bank);
    if (!left) return tl::unexpected(left.error());
    // Of a write that was given up any block may not be what it reads as.
    if (*left) {
      for (const BlockSet::Run& run : (*left)->plan.blocks.runs()) {
        for (std::uint64_t block = run.first;
             block < std::min<std::uint64_t>(run.end(), writer->block_count()); ++block) {
          suspects.add(static_cast<std::uint32_t>(block));
        }
      }
    }
  }
  auto blocks = writer->compare([&](std::uint64_t done, std::uint64_t total) {
    observer_({Event::Kind::comparing, item.payload, item.resource, done, total});
  });
  if (!blocks) return forward(std::move(blocks));
  item.has_suspects = !suspects.empty();
  item.blocks = *std::move(blocks);
  item.blocks.add(suspects);
  if (item.resource->guard_first_block && !item.blocks.empty()) item.blocks.add(0);
  if (!item.is_payload()) return {};
  PayloadOutcome& outcome = outcome_of(item.payload, item.resource);
  outcome.bank = item.bank;
  outcome.block_size_bytes = writer->block_size_bytes();
  outcome.blocks = item.blocks;
  return {};
}

Status UpdateRun::compare_written(Item& item) {
  if (!item.is_payload()) return {};
  auto writer = ImageWriter::create(*item.device, {*item.source, item.firmware});
  if (!writer) return forward(std::move(writer));
  const auto blocks = writer->compare();
  if (!blocks) return tl::unexpected(blocks.error());
  if (blocks->empty()) return {};
  is_verdict_ = true;
  return fail(Errc::damaged, fmt::format("bank {} is active, and does not hold the firmware that "
                                         "its journal names",
                                         item.bank));
}

/// Before the first block is touched: that it was tried, and what is going to be written.
Status UpdateRun::announce() {
  for (const Item& item : items_) {
    if (!item.is_payload()) continue;
    auto state = load_fmp_state(environment_.variables, *item.resource);
    if (!state) return tl::unexpected(state.error());
    const auto& header = item.image->image().payload_header;
    state->last_attempt_version = header ? header->version : 0;
    state->last_attempt_status = LastAttemptStatus::unsuccessful;
    Status saved = save_fmp_state(environment_.variables, *item.resource, *state);
    if (!saved) return saved;
  }
  for (Item& item : items_) {
    if (item.journal || item.is_written) continue;
    const BlockSet joined = item.blocks.joined(max_journal_runs);
    const auto differing = item.has_suspects       ? WritePlan::Differing::unknown
                           : joined == item.blocks ? WritePlan::Differing::all
                                                   : WritePlan::Differing::ends;
    Journal journal{.state = Journal::State::writing,
                    .capsule = digest_,
                    .block_size_bytes = item.device->geometry().erase_block_size_bytes,
                    .plan = {joined, differing}};
    Status saved = save_journal(environment_.variables, *item.resource, item.bank, journal);
    if (!saved) return saved;
    item.journal = std::move(journal);
  }
  for (BankGroup& group : groups_) {
    const auto item = std::ranges::find_if(
        items_, [&group](const Item& candidate) { return group.has(*candidate.resource); });
    if (item == items_.end() || item->is_written) continue;
    if (Status invalid = group.invalidate(item->bank); !invalid) return invalid;
  }
  return {};
}

Status UpdateRun::run_hook_of(const Item& item, const std::vector<std::string>& command) {
  if (command.empty() || !item.is_payload()) return {};
  const auto& header = item.image->image().payload_header;
  return run_hook(command,
                  {fmt::format("EFISTORE_IMAGE_TYPE={}", to_string(item.resource->type_id)),
                   fmt::format("EFISTORE_RESOURCE={}", item.resource->name),
                   fmt::format("EFISTORE_BANK={}", item.bank),
                   fmt::format("EFISTORE_VERSION={}", header ? header->version : 0)},
                  item.resource->hooks.timeout);
}

Status UpdateRun::write_item(Item& item) {
  if (Status before = run_hook_of(item, item.resource->hooks.before); !before) return before;
  Status written = write_target(item);
  // Also after a failure: what the one before has stopped is to go on.
  Status after = run_hook_of(item, item.resource->hooks.after);
  return written ? after : written;
}

Status UpdateRun::write_target(Item& item) {
  auto writer = ImageWriter::create(*item.device, {*item.source, item.firmware});
  if (!writer) return forward(std::move(writer));
  Status written = writer->write(item.blocks, [&](std::uint64_t done, std::uint64_t total) {
    observer_({Event::Kind::writing, item.payload, item.resource, done, total});
  });
  item.is_written = written.has_value();
  if (item.is_written && item.is_payload()) {
    outcome_of(item.payload, item.resource).is_written = item.resource->scheme == Scheme::single;
  }
  return written;
}

bool UpdateRun::write() {
  if (capsule_.kind != capsule::CapsuleKind::fmp) return serve_trial();
  if (Status announced = announce(); !announced) {
    return refuse({status_of(announced.error().code), LastAttemptStatus::unsuccessful,
                   announced.error().message});
  }
  for (Item& item : items_) {
    if (item.is_written) continue;
    if (Status written = write_item(item); !written) return fail_item(item, written.error());
  }
  for (BankGroup& group : groups_) {
    if (Status switched = switch_banks(group); !switched) {
      return refuse({status_of(switched.error().code), LastAttemptStatus::unsuccessful,
                     switched.error().message});
    }
  }
  for (const Item& item : items_) {
    if (item.is_payload()) outcome_of(item.payload, item.resource).is_written = true;
  }
  return true;
}

Status UpdateRun::switch_banks(BankGroup& group) {
  const auto item = std::ranges::find_if(
      items_, [&group](const Item& candidate) { return group.has(*candidate.resource); });
  if (item == items_.end()) return {};
  outcome_.reset_required = true;
  if (item->bank == group.active()) return {};
  const std::size_t bank = item->bank;
  std::vector<const Resource*> on_trial;
  for (const Item& member : items_) {
    if (!group.has(*member.resource)) continue;
    const auto state = load_fmp_state(environment_.variables, *member.resource);
    if (!state) return tl::unexpected(state.error());
    const auto running = running_version(*member.resource, *state);
    if (!running) return tl::unexpected(running.error());
    std::uint32_t version = *running;
    if (member.is_payload()) {
      const auto& header = member.image->image().payload_header;
      if (header) version = header->version;
      if ((capsule_.header.flags & capsule::flags::os_accepts) != 0) {
        on_trial.push_back(member.resource);
      }
    }
    if (!member.resource->form.payload_header) continue;
    Status saved =
        save_bank_version(environment_.variables, *member.resource, group.active(), *running);
    if (saved) saved = save_bank_version(environment_.variables, *member.resource, bank, version);
    if (!saved) return saved;
  }
  return group.activate(bank, on_trial);
}

bool UpdateRun::serve_trial() {
  Status served = open_groups();
  bool is_served = false;
  for (BankGroup& group : groups_) {
    if (!served) break;
    if (!group.metadata().is_trial()) continue;
    if (capsule_.kind == capsule::CapsuleKind::revert) {
      served = group.revert();
      outcome_.reset_required = true;
    } else if (group.metadata().find(*capsule_.accepted_type) != nullptr) {
      served = group.accept(*capsule_.accepted_type);
    } else {
      continue;
    }
    is_served = true;
  }
  if (!served) {
    return refuse({served.error().code == Errc::not_found ? EfiStatus::aborted
                                                          : status_of(served.error().code),
                   LastAttemptStatus::unsuccessful, served.error().message});
  }
  if (!is_served) {
    return refuse({EfiStatus::aborted, LastAttemptStatus::unsuccessful,
                   "no firmware is on trial that it is about"});
  }
  return true;
}

void UpdateRun::record(bool is_given_up) {
  const bool succeeded = outcome_.status == EfiStatus::success;
  for (const PayloadOutcome& payload : outcome_.payloads) {
    if (payload.resource == nullptr) continue;
    const auto loaded = load_fmp_state(environment_.variables, *payload.resource);
    if (!loaded) continue;
    capsule::FmpState state = *loaded;
    state.last_attempt_version = payload.version.value_or(0);
    // What is in place already runs, whatever became of the others.
    const bool is_in_place = succeeded || payload.is_written;
    state.last_attempt_status = succeeded ? LastAttemptStatus::success
                                          : (payload.last_attempt == LastAttemptStatus::success
                                                 ? LastAttemptStatus::unsuccessful
                                                 : payload.last_attempt);
    if (is_in_place && payload.version) {
      state.version = payload.version;
      const auto item = std::ranges::find_if(items_, [&](const Item& candidate) {
        return candidate.is_payload() && candidate.resource == payload.resource;
      });
      state.lowest_supported_version =
          std::max(lowest_supported_version(*payload.resource, state),
                   item->image->image().payload_header->lowest_supported_version);
    }
    Status saved = save_fmp_state(environment_.variables, *payload.resource, state);
    if (!saved && succeeded) {
      refuse(
          {status_of(saved.error().code), LastAttemptStatus::unsuccessful, saved.error().message});
      return;
    }
  }
  if (succeeded) {
    if (Status closed = close_update(environment_.resources, environment_.variables, digest_);
        !closed) {
      refuse({status_of(closed.error().code), LastAttemptStatus::unsuccessful,
              closed.error().message});
    }
    return;
  }
  if (!is_given_up) return;
  for (Item& item : items_) {
    if (!item.journal) continue;
    // What it lists may not be what it reads as; the next write to this bank has to know.
    item.journal->state = Journal::State::abandoned;
    (void)save_journal(environment_.variables, *item.resource, item.bank, *item.journal);
  }
}

}  // namespace efistore::update
