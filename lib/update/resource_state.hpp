// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What is known of a resource: its FmpState, its versions, its journals.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "efistore/capsule/report.hpp"
#include "efistore/update/journal.hpp"
#include "efistore/update/resource.hpp"
#include "efistore/update/variables.hpp"

namespace efistore::update {

/// One that cannot be read counts as one that is not there: it is written anew.
Result<capsule::FmpState> load_fmp_state(Variables& variables, const Resource& resource);
Status save_fmp_state(Variables& variables, const Resource& resource,
                      const capsule::FmpState& state);

/// Errors: io, invalid_argument (the file holds no number).
Result<std::uint32_t> running_version(const Resource& resource, const capsule::FmpState& state);
/// The higher one of what is configured and what was recorded.
std::uint32_t lowest_supported_version(const Resource& resource, const capsule::FmpState& state);

/// The version that was written to a bank, for the day on which it is booted again.
Result<std::optional<std::uint32_t>> load_bank_version(Variables& variables,
                                                       const Resource& resource, std::size_t bank);
Status save_bank_version(Variables& variables, const Resource& resource, std::size_t bank,
                         std::uint32_t version);

Result<std::optional<Journal>> load_journal(Variables& variables, const Resource& resource,
                                            std::size_t bank);
Status save_journal(Variables& variables, const Resource& resource, std::size_t bank,
                    const Journal& journal);
Status remove_journal(Variables& variables, const Resource& resource, std::size_t bank);

/// Of an update that is done: its journals go. That it is done is remembered before the first of
/// them does, as the others would have it gone on with, and into the bank that is not booted now.
Status close_update(std::span<const Resource> resources, Variables& variables,
                    const crypto::Digest& capsule);
/// Of one that was cut while it was closed: goes on with it.
Status finish_closing(std::span<const Resource> resources, Variables& variables);

}  // namespace efistore::update
