// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What systemd, where it started the daemon, passes in and is told.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include "efistore/base/result.hpp"
#include "efistore/base/unique_fd.hpp"

namespace efistore::daemon {

/// The listening socket of the unit efistored.socket; none without it.
/// Errors: invalid_argument (what was passed is no SOCK_SEQPACKET socket, or not one).
Result<std::optional<UniqueFd>> take_listening_socket();

/// Where the service manager is told of the daemon. The connection is made once, as a confined
/// daemon makes none.
class ServiceManager {
 public:
  /// To $NOTIFY_SOCKET. Nobody need listen there.
  static ServiceManager connect();

  /// READY=1 and such; as sd_notify(3) does it, but over the connection.
  void tell(std::string_view state) const;

 private:
  explicit ServiceManager(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

/// How often the service manager wants to hear of the daemon; none if it does not.
std::optional<std::chrono::microseconds> watchdog_interval();

}  // namespace efistore::daemon
