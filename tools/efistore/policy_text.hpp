// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Policies as the command line has them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "efistore/variable/policy.hpp"

#include "common/outcome.hpp"

namespace efistore::tools {

/// The arguments of `policy register`, as they were given.
struct PolicyOptions {
  std::optional<std::string> name;
  std::optional<std::string> file;
  std::optional<std::string> min;
  std::optional<std::string> max;
  std::optional<std::string> must;
  std::optional<std::string> cant;
  std::optional<std::string> lock;
};

/// The policy that they describe; wrong usage if they describe none, or one that no write could
/// keep to. `file` is not looked at.
Outcome<variable::Policy> policy_from_options(const PolicyOptions& options);

/// "none", "now", "on-create" or "on-state".
std::string_view lock_name(variable::PolicyLock lock) noexcept;

/// "Boot####-GUID  min 4 must nv,bs,rt lock now": what it demands, or "anything goes".
std::string policy_line(const variable::Policy& policy);

}  // namespace efistore::tools
