// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/update/updater.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "efistore/update/staging.hpp"

#include "bank_group.hpp"
#include "resource_state.hpp"
#include "update_run.hpp"

namespace efistore::update {

namespace {

using flash::OpenMode;

/// Of a capsule that cannot be gone on with: its journals say from now on what cannot be relied on,
/// and FmpState that it failed.
Status abandon(Environment& environment, const crypto::Digest& capsule) {
  for (const Resource& resource : environment.resources) {
    for (std::size_t bank = 0; bank < resource.banks.size(); ++bank) {
      auto journal = load_journal(environment.variables, resource, bank);
      if (!journal) return forward(std::move(journal));
      if (!*journal || (*journal)->capsule != capsule) continue;
      auto state = load_fmp_state(environment.variables, resource);
      if (!state) return forward(std::move(state));
      if (state->last_attempt_status.value_or(capsule::LastAttemptStatus::success) ==
          capsule::LastAttemptStatus::success) {
        state->last_attempt_status = capsule::LastAttemptStatus::unsuccessful;
        Status saved = save_fmp_state(environment.variables, resource, *state);
        if (!saved) return saved;
      }
      (*journal)->state = Journal::State::abandoned;
      Status saved = save_journal(environment.variables, resource, bank, **journal);
      if (!saved) return saved;
    }
  }
  return {};
}

/// Of something else than the capsule.
UpdateOutcome failed(const Error& error) {
  UpdateOutcome outcome;
  outcome.status =
      error.code == Errc::busy ? EfiStatus::not_ready : capsule::refusal_of(error).status;
  outcome.reason = error.message;
  return outcome;
}

}  // namespace

Updater::Updater(Environment environment, Observer observer)
    : environment_(std::move(environment)), observer_(std::move(observer)) {
  if (!observer_) observer_ = [](const Event&) {};
}

UpdateOutcome Updater::plan(const capsule::Source& source) {
  UpdateRun run(environment_, observer_, source, OpenMode::read_only);
  (void)(run.verify() && run.compare());
  return run.take_outcome();
}

UpdateOutcome Updater::apply(const capsule::Source& source) {
  if (auto refused = look_at(source, false)) return *std::move(refused);
  const auto folder = StateFolder::hold(environment_.state_folder);
  if (!folder) return failed(folder.error());
  std::vector<UpdateOutcome> resumed;
  if (Status taken_up = take_up(*folder, resumed); !taken_up) return failed(taken_up.error());
  if (auto refused = look_at(source, true)) return *std::move(refused);
  const auto digest = stage_capsule(source, environment_.state_folder);
  if (!digest) return failed(digest.error());
  return apply_staged(*digest, false);
}

std::optional<UpdateOutcome> Updater::look_at(const capsule::Source& source, bool at_targets) {
  // Of its own: it holds the targets' locks.
  UpdateRun look(environment_, observer_, source, OpenMode::read_only);
  if (look.parse() && (!at_targets || look.has_room())) return std::nullopt;
  look.record();
  return look.take_outcome();
}

UpdateOutcome Updater::apply_staged(const crypto::Digest& digest, bool is_resumed) {
  const auto staged = open_staged(environment_.state_folder, digest);
  if (!staged) {
    UpdateOutcome outcome = failed(staged.error());
    // What cannot be read now may be there the next time; what was changed is not.
    if (is_resumed && staged.error().code != Errc::damaged) return outcome;
    if (Status abandoned = abandon(environment_, digest); !abandoned) {
      outcome.reason += "; " + abandoned.error().message;
    }
    return outcome;
  }
  // The copy, and not what it was made of: it is what is gone on with after a power loss.
  UpdateRun run(environment_, observer_, **staged, OpenMode::read_write, digest);
  (void)(run.verify() && run.compare() && run.write());
  const bool is_given_up = !is_resumed || run.is_verdict();
  run.record(is_given_up);
  UpdateOutcome outcome = run.take_outcome();
  if (outcome.status != EfiStatus::success && !is_given_up) return outcome;
  if (outcome.status != EfiStatus::success) (void)abandon(environment_, digest);
  // No journal asks for it any more. If it stays, nobody looks at it.
  (void)remove_staged(environment_.state_folder, digest);
  return outcome;
}

Status Updater::take_up(const StateFolder& folder, std::vector<UpdateOutcome>& outcomes) {
  // If it cannot be closed, its journals are there, and nothing may be made of them.
  Status closed = finish_closing(environment_.resources, environment_.variables);
  if (!closed) return closed;
  const auto begun = begun_updates();
  if (!begun) return tl::unexpected(begun.error());
  folder.tidy(*begun);
  for (const crypto::Digest& digest : *begun) outcomes.push_back(apply_staged(digest, true));
  return {};
}

Result<std::vector<crypto::Digest>> Updater::begun_updates() {
  std::set<crypto::Digest> digests;
  for (const Resource& resource : environment_.resources) {
    for (std::size_t bank = 0; bank < resource.banks.size(); ++bank) {
      const auto journal = load_journal(environment_.variables, resource, bank);
      if (!journal) return tl::unexpected(journal.error());
      if (*journal && (*journal)->state == Journal::State::writing) {
        digests.insert((*journal)->capsule);
      }
    }
  }
  return std::vector(digests.begin(), digests.end());
}

std::vector<UpdateOutcome> Updater::resume() {
  std::vector<UpdateOutcome> outcomes;
  const auto begun = begun_updates();
  // Without journals there is nothing to close either, but for what removes the last word of it.
  if (begun && begun->empty() && finish_closing(environment_.resources, environment_.variables)) {
    return outcomes;
  }
  const auto folder = StateFolder::hold(environment_.state_folder);
  Status taken_up = folder ? take_up(*folder, outcomes) : Status(tl::unexpected(folder.error()));
  if (!taken_up) outcomes.push_back(failed(taken_up.error()));
  return outcomes;
}

Result<bool> Updater::count_boot() {
  DevicePool pool(environment_.open_device, OpenMode::read_write);
  std::vector<FwuLocation> counted;
  bool is_reverted = false;
  std::optional<Error> failure;
  for (const Resource& resource : environment_.resources) {
    if (!resource.fwu || std::ranges::find(counted, *resource.fwu) != counted.end()) continue;
    counted.push_back(*resource.fwu);
    BankGroup group(environment_.resources, *resource.fwu, environment_.variables);
    Status opened = group.open(pool);
    const auto reverted =
        opened ? group.count_boot() : Result<bool>(tl::unexpected(opened.error()));
    // One that fails does not keep the others from being counted.
    if (!reverted && !failure) failure = reverted.error();
    is_reverted = is_reverted || reverted.value_or(false);
  }
  if (failure) return tl::unexpected(*failure);
  return is_reverted;
}

Result<std::vector<capsule::EsrtEntry>> Updater::esrt() {
  std::vector<capsule::EsrtEntry> entries;
  for (const Resource& resource : environment_.resources) {
    const auto state = load_fmp_state(environment_.variables, resource);
    if (!state) return tl::unexpected(state.error());
    const auto version = running_version(resource, *state);
    if (!version) return tl::unexpected(version.error());
    entries.push_back({.fw_class = resource.type_id,
                       .fw_type = resource.fw_type,
                       .version = *version,
                       .lowest_supported_version = lowest_supported_version(resource, *state),
                       .capsule_flags = resource.capsule_flags,
                       .last_attempt_version = state->last_attempt_version.value_or(0),
                       .last_attempt_status = state->last_attempt_status.value_or(
                           capsule::LastAttemptStatus::success)});
  }
  return capsule::merge_esrt(entries);
}

}  // namespace efistore::update
