// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Policies as they are kept in a file beside a store, for machines on which no firmware registers
// them at boot. lib/SPEC.md has the bytes.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"
#include "efistore/variable/policy.hpp"

namespace efistore::variable {

struct PolicyFile {
  /// The boot in which the interface was locked, as /proc/sys/kernel/random/boot_id names it. The
  /// lock is over in any other one.
  std::optional<Guid> locked_in_boot{};
  std::vector<Policy> policies{};

  friend bool operator==(const PolicyFile&, const PolicyFile&) = default;
};

inline constexpr std::size_t max_policy_file_size_bytes = 32 + max_policy_table_size_bytes;

/// Errors: damaged; the message names the place and what was expected. What is read can be
/// registered as a whole.
Result<PolicyFile> read_policy_file(std::span<const std::byte> bytes);

/// The inverse. Errors: invalid_argument (policies that cannot be registered as a whole).
Result<std::vector<std::byte>> encode_policy_file(const PolicyFile& file);

}  // namespace efistore::variable
