// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "socket.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace efistore::daemon {

namespace {

constexpr mode_t socket_mode = 0666;

/// Removes a socket that a daemon left behind.
Status remove_stale(const std::filesystem::path& path, const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode)) {
    return fail(Errc::already_exists, fmt::format("{} is there and no socket", path.string()));
  }
  const UniqueFd probe(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(probe.get(), generic, sizeof(address)) == 0 || errno != ECONNREFUSED) {
    return fail(Errc::busy, fmt::format("{}: another daemon listens there", path.string()));
  }
  if (::unlink(path.c_str()) != 0) return fail_errno(errno, "remove " + path.string());
  return {};
}

}  // namespace

Result<UniqueFd> listen_at(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = path.string();
  if (text.empty() || text.size() >= sizeof(address.sun_path)) {
    return fail(Errc::invalid_argument, fmt::format("{}: a socket's path has 1 to {} bytes", text,
                                                    sizeof(address.sun_path) - 1));
  }
  std::ranges::copy(text, address.sun_path);
  if (path.has_parent_path()) {
    std::error_code ignored;  // bind() then says why it cannot be there
    std::filesystem::create_directories(path.parent_path(), ignored);
  }
  if (auto done = remove_stale(path, address); !done) return forward(std::move(done));
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "make a socket");
  const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
  if (::bind(fd.get(), generic, sizeof(address)) != 0) return fail_errno(errno, "bind " + text);
  if (::chmod(text.c_str(), socket_mode) != 0) return fail_errno(errno, "chmod " + text);
  if (::listen(fd.get(), SOMAXCONN) != 0) return fail_errno(errno, "listen at " + text);
  return fd;
}

}  // namespace efistore::daemon
