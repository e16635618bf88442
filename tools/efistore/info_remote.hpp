// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include "command.hpp"

namespace efistore::tools {

/// `info` of a store whose flash a daemon has: what the daemon tells of it.
Outcome<ExitCode> run_remote_info(const std::string& locator, bool json);

}  // namespace efistore::tools
