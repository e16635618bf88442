// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "service_manager.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

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

ServiceManager ServiceManager::connect() {
  const char* const place = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string_view path = place == nullptr ? "" : place;
  if (path.size() < 2 || path.size() >= sizeof(address.sun_path) ||
      (path[0] != '/' && path[0] != '@')) {
    return ServiceManager(UniqueFd());
  }
  std::ranges::copy(path, address.sun_path);
  // An abstract one has no NUL at its end: that would be one more byte of its name.
  const bool abstract = path[0] == '@';
  if (abstract) address.sun_path[0] = '\0';
  const auto size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1));
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) fd.reset();
  return ServiceManager(std::move(fd));
}

void ServiceManager::tell(std::string_view state) const {
  if (fd_) static_cast<void>(::send(fd_.get(), state.data(), state.size(), MSG_NOSIGNAL));
}

std::optional<std::chrono::microseconds> watchdog_interval() {
  std::uint64_t microseconds = 0;
  if (::sd_watchdog_enabled(0, &microseconds) <= 0) return std::nullopt;
  return std::chrono::microseconds(microseconds);
}

}  // namespace efistore::daemon
