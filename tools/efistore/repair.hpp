// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What `check --repair` does.
#pragma once

#include <string>

#include "command.hpp"

namespace efistore::tools {

struct RepairRequest {
  std::string keep;    ///< the file for the damaged image; empty if none was named
  std::string layout;  ///< empty if none was named
  bool swallowed = false;
};

/// Repairs the store that `locator` names, and prints what was done.
Outcome<ExitCode> run_repair(const std::string& locator, bool json, const RepairRequest& request);

}  // namespace efistore::tools
