// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "service_manager.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include <cerrno>
#include <cstdint>

namespace efistore::daemon {

Result<std::optional<UniqueFd>> take_listening_socket() {
  const int count = ::sd_listen_fds(1);
  if (count < 0) return fail_errno(-count, "take the sockets of the service manager");
  if (count == 0) return std::nullopt;
  if (count > 1) {
    return fail(Errc::invalid_argument,
                fmt::format("the service manager passed {} sockets: expected one", count));
  }
  UniqueFd fd(SD_LISTEN_FDS_START);
  if (::sd_is_socket_unix(fd.get(), SOCK_SEQPACKET, 1, nullptr, 0) <= 0) {
    return fail(Errc::invalid_argument,
                "the service manager passed something else than a listening SOCK_SEQPACKET "
                "socket: expected ListenSequentialPacket= in efistored.socket");
  }
  if (::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno(errno, "O_NONBLOCK");
  return fd;
}

void notify_service_manager(const std::string& state) {
  static_cast<void>(::sd_notify(0, state.c_str()));
}

std::optional<std::chrono::microseconds> watchdog_interval() {
  std::uint64_t microseconds = 0;
  if (::sd_watchdog_enabled(0, &microseconds) <= 0) return std::nullopt;
  return std::chrono::microseconds(microseconds);
}

}  // namespace efistore::daemon
