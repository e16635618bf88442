// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "efistore/base/result.hpp"

namespace efistore::update {

/// Runs a program, of its own process group, with nothing on its standard input, and waits for its
/// end. One that is not done in time is killed with its group. `environment` is added to what this
/// process has: "NAME=value".
/// Errors: not_found, permission, io (it cannot be started, ends with another status than 0, by a
/// signal or too late).
Status run_hook(const std::vector<std::string>& command,
                const std::vector<std::string>& environment, std::chrono::seconds timeout);

}  // namespace efistore::update
