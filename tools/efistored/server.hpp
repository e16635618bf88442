// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The daemon's loop: requests come in through a socket and the kernel module, one is served at a
// time, in the order of their arrival, and its reply goes out before the next one is looked at.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "efistore/base/unique_fd.hpp"
#include "efistore/mm/dispatcher.hpp"

#include "capture.hpp"
#include "module_node.hpp"
#include "permissions.hpp"

namespace efistore::daemon {

inline constexpr std::size_t max_connections = 256;
/// Of one user, and of all but root and the daemon's own: nobody shall keep others out.
inline constexpr std::size_t max_connections_of_user = 32;
inline constexpr std::size_t max_connections_of_users = 192;

struct ServerOptions {
  UniqueFd listener{};                 ///< none: nobody comes through a socket
  std::optional<ModuleNode> module{};  ///< the kernel module's MM side
  PermissionTable permissions{};
  std::optional<Capture> capture{};
  std::chrono::seconds idle{0};  ///< after which on_idle is called; 0: never
  std::optional<std::chrono::microseconds> watchdog{};
};

/// What the loop tells its owner of.
struct ServerEvents {
  std::function<void()> on_reload{};                   ///< SIGHUP
  std::function<void()> on_idle{};                     ///< nobody asked for anything for a while
  std::function<void()> on_watchdog{};                 ///< within each interval of the watchdog
  std::function<void(const std::string&)> complain{};  ///< one line of what went wrong
};

class Server {
 public:
  /// `dispatcher` must outlive the server. SIGTERM, SIGINT and SIGHUP are taken from here on.
  /// Errors: io.
  static Result<std::unique_ptr<Server>> create(mm::Dispatcher& dispatcher, ServerOptions options,
                                                ServerEvents events);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Serves until SIGTERM or SIGINT. Errors: io.
  Status run();

  /// Ends run(), after what is being served.
  void stop() noexcept { ended_ = true; }
  void set_permissions(PermissionTable permissions) {
    options_.permissions = std::move(permissions);
  }
  /// Tells the module what the dispatcher is ready for.
  void announce_readiness();
  /// Has `act` called in the loop when `fd` can be read, once.
  Status when_readable(int fd, std::function<void()> act);
  /// Tells those who want to know that variables have changed.
  void tell_of_changes();

 private:
  struct Connection {
    UniqueFd fd;
    std::uint64_t session = 0;
    Peer peer;
    bool subscribed = false;
  };

  Server(mm::Dispatcher& dispatcher, ServerOptions options, ServerEvents events);

  Status watch_fd(int fd);
  Status start();
  bool has_room_for(const Peer& peer) const;
  void accept_connection();
  void close_connection(int fd);
  void serve_connection(Connection& connection);
  void serve_module();
  std::optional<std::size_t> subscribe(Connection& connection, std::span<const std::byte> request);
  std::size_t serve(std::size_t size, const mm::Caller& caller, tools::FrameTransport transport);
  void capture(const tools::CapturedFrame& frame);
  bool take_signal();
  void take_timer(const UniqueFd& timer, const std::function<void()>& act);

  mm::Dispatcher& dispatcher_;
  ServerOptions options_;
  ServerEvents events_;
  UniqueFd epoll_;
  UniqueFd signals_;
  UniqueFd idle_timer_;
  UniqueFd watchdog_timer_;
  std::map<int, Connection> connections_;
  std::map<int, std::function<void()>> awaited_;
  std::uint64_t last_session_ = 0;
  std::uint64_t told_changes_ = 0;
  bool asked_ = false;
  bool ended_ = false;
};

}  // namespace efistore::daemon
