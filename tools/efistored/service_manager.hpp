// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What systemd, where it started the daemon, passes in and is told.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "efistore/base/result.hpp"
#include "efistore/base/unique_fd.hpp"

namespace efistore::daemon {

/// The listening socket of the unit efistored.socket; none without it.
/// Errors: invalid_argument (what was passed is no SOCK_SEQPACKET socket, or not one).
Result<std::optional<UniqueFd>> take_listening_socket();

/// READY=1 and such. Nobody need listen.
void notify_service_manager(const std::string& state);

/// How often the service manager wants to hear of the daemon; none if it does not.
std::optional<std::chrono::microseconds> watchdog_interval();

}  // namespace efistore::daemon
