// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "server.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "efistore/base/bytes.hpp"
#include "efistore/mm/frame.hpp"
#include "efistore/mm/protocol.hpp"

namespace efistore::daemon {

namespace {

using mm::ManagementFunction;
using mm::Rights;

/// Sessions of the module's callers, which number them from 1 on as the server does.
constexpr std::uint64_t module_session = std::uint64_t{1} << 63;

std::uint64_t now_ns() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

/// The process that connected, as the kernel knows it. Errors: io.
Result<Peer> peer_of(int fd) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return fail_errno(errno, "the peer's credentials");
  }
  Peer peer{.uid = credentials.uid, .gids = {credentials.gid}};
  std::array<gid_t, 1024> groups;
  size = sizeof(groups);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
    peer.gids.insert(peer.gids.end(), groups.begin(),
                     groups.begin() + static_cast<std::ptrdiff_t>(size / sizeof(gid_t)));
  }
  return peer;
}

/// Has files that peers pass along refused where they are sent: those that arrive are closed here,
/// which can take as long as their owner likes. Kernels before 6.16 do not know that. There
/// recv(2), which has no place for them, has the kernel close them, 253 a message at most.
void refuse_files(int fd) {
  constexpr int so_passrights = 83;
  constexpr int none = 0;
  ::setsockopt(fd, SOL_SOCKET, so_passrights, &none, sizeof(none));
}

UniqueFd make_timer(std::chrono::microseconds interval) {
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  itimerspec times{};
  times.it_interval.tv_sec = static_cast<time_t>(interval.count() / 1'000'000);
  times.it_interval.tv_nsec = static_cast<long>(interval.count() % 1'000'000 * 1000);
  times.it_value = times.it_interval;
  if (timer) ::timerfd_settime(timer.get(), 0, &times, nullptr);
  return timer;
}

/// The management protocol's function that the request names, if it is one of that protocol.
std::optional<ManagementFunction> management_function(std::span<const std::byte> request) {
  const auto header = mm::parse_frame_header(request);
  if (!header || header->protocol != mm::guids::management_protocol ||
      header->message_size < mm::function_header_size) {
    return std::nullopt;
  }
  ByteReader reader(request.subspan(mm::header_size(header->version)));
  return static_cast<ManagementFunction>(reader.u64());
}

std::vector<std::byte> changed_event(std::uint64_t changes) {
  const mm::FrameHeader header{.version = mm::HeaderVersion::v1,
                               .protocol = mm::guids::management_protocol,
                               .message_size = mm::function_header_size + sizeof(changes)};
  auto frame = mm::make_frame(header);
  ByteWriter writer(std::span<std::byte>(frame).subspan(mm::header_size(header.version)));
  writer.u64(static_cast<std::uint64_t>(ManagementFunction::changed));
  writer.u64(0);
  writer.u64(changes);
  return frame;
}

}  // namespace

Server::Server(mm::Dispatcher& dispatcher, ServerOptions options, ServerEvents events)
    : dispatcher_(dispatcher),
      options_(std::move(options)),
      events_(std::move(events)),
      told_changes_(dispatcher.changes()) {}

Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::create(mm::Dispatcher& dispatcher, ServerOptions options,
                                               ServerEvents events) {
  std::unique_ptr<Server> server(new Server(dispatcher, std::move(options), std::move(events)));
  if (auto started = server->start(); !started) return forward(std::move(started));
  return server;
}

Status Server::start() {
  epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return fail_errno(errno, "epoll");
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&signals, signal);
  if (::sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) return fail_errno(errno, "signals");
  signals_ = UniqueFd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return fail_errno(errno, "signalfd");
  if (options_.idle.count() != 0) idle_timer_ = make_timer(options_.idle);
  // Twice as often as is asked for, so that one that comes late is not too late.
  if (options_.watchdog) watchdog_timer_ = make_timer(*options_.watchdog / 2);
  // Connections to come have it from their listener, also before they are accepted.
  if (options_.listener) refuse_files(options_.listener.get());
  for (const UniqueFd* const fd : {&signals_, &options_.listener, &idle_timer_, &watchdog_timer_}) {
    if (!*fd) continue;
    if (auto done = watch_fd(fd->get()); !done) return done;
  }
  return options_.module ? watch_fd(options_.module->fd()) : Status();
}

Status Server::watch_fd(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail_errno(errno, "epoll");
  return {};
}

Status Server::when_readable(int fd, std::function<void()> act) {
  if (auto done = watch_fd(fd); !done) return done;
  awaited_[fd] = std::move(act);
  return {};
}

Status Server::run() {
  while (!ended_) {
    std::array<epoll_event, 16> events;
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), -1);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, "epoll_wait");
    for (int i = 0; i < count && !ended_; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == signals_.get()) {
        ended_ = !take_signal();
      } else if (fd == options_.listener.get()) {
        accept_connection();
      } else if (options_.module && fd == options_.module->fd()) {
        serve_module();
      } else if (idle_timer_ && fd == idle_timer_.get()) {
        take_timer(idle_timer_, [this] {
          if (!std::exchange(asked_, false) && events_.on_idle) events_.on_idle();
        });
      } else if (watchdog_timer_ && fd == watchdog_timer_.get()) {
        take_timer(watchdog_timer_, [this] {
          if (events_.on_watchdog) events_.on_watchdog();
        });
      } else if (const auto awaited = awaited_.find(fd); awaited != awaited_.end()) {
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
        const auto act = std::move(awaited->second);
        awaited_.erase(awaited);
        act();
      } else if (const auto connection = connections_.find(fd); connection != connections_.end()) {
        serve_connection(connection->second);
      }
    }
    tell_of_changes();
  }
  return {};
}

bool Server::take_signal() {
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof(info)) != sizeof(info)) return true;
  if (info.ssi_signo != SIGHUP) return false;
  if (events_.on_reload) events_.on_reload();
  return true;
}

void Server::take_timer(const UniqueFd& timer, const std::function<void()>& act) {
  std::uint64_t expirations = 0;
  if (::read(timer.get(), &expirations, sizeof(expirations)) == sizeof(expirations)) act();
}

bool Server::has_room_for(const Peer& peer) const {
  if (connections_.size() >= max_connections) return false;
  if (options_.permissions.is_trusted(peer)) return true;
  std::size_t own = 0;
  std::size_t others = 0;
  for (const auto& [fd, connection] : connections_) {
    if (connection.peer.uid == peer.uid) ++own;
    if (!options_.permissions.is_trusted(connection.peer)) ++others;
  }
  return own < max_connections_of_user && others < max_connections_of_users;
}

void Server::accept_connection() {
  UniqueFd fd(::accept4(options_.listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) return;
  // Above the limits the connection ends at once: the caller gets an error and does not wait.
  auto peer = peer_of(fd.get());
  if (!peer || !has_room_for(*peer) || !watch_fd(fd.get())) return;
  refuse_files(fd.get());
  constexpr int buffer_size = 256 << 10;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &buffer_size, sizeof(buffer_size));
  const int number = fd.get();
  connections_[number] = {
      .fd = std::move(fd), .session = ++last_session_, .peer = std::move(*peer)};
}

void Server::close_connection(int fd) {
  const auto connection = connections_.find(fd);
  if (connection == connections_.end()) return;
  dispatcher_.end_session(connection->second.session);
  connections_.erase(connection);
}

void Server::capture(const tools::CapturedFrame& frame) {
  if (!options_.capture) return;
  const auto done = options_.capture->add(frame);
  if (done) return;
  events_.complain(done.error().message + "; the capture ends here");
  options_.capture.reset();
}

std::size_t Server::serve(std::size_t size, const mm::Caller& caller,
                          tools::FrameTransport transport) {
  asked_ = true;
  tools::CapturedFrame frame{.transport = transport,
                             .rights = static_cast<std::uint32_t>(caller.rights),
                             .uid = caller.user,
                             .session = caller.session};
  if (options_.capture) {
    frame.time_ns = now_ns();
    frame.direction = tools::FrameDirection::request;
    frame.frame = dispatcher_.buffer().first(std::min(size, dispatcher_.buffer().size()));
    capture(frame);
  }
  const std::size_t reply = dispatcher_.serve(size, caller);
  if (options_.capture) {
    frame.time_ns = now_ns();
    frame.direction = tools::FrameDirection::reply;
    frame.frame = dispatcher_.buffer().first(reply);
    capture(frame);
  }
  return reply;
}

/// Answered here, as the dispatcher knows no connections. Gives the size of the reply, which is the
/// function header alone: what came behind it may be more than the buffer has.
std::optional<std::size_t> Server::subscribe(Connection& connection,
                                             std::span<const std::byte> request) {
  if (management_function(request) != ManagementFunction::subscribe) return std::nullopt;
  if (!includes(options_.permissions.rights_of(connection.peer), Rights::read)) return std::nullopt;
  connection.subscribed = true;
  auto header = *mm::parse_frame_header(request);
  header.message_size = mm::function_header_size;
  mm::write_frame_header(dispatcher_.buffer(), header);
  ByteWriter(dispatcher_.buffer().subspan(mm::header_size(header.version) + 8)).u64(0);
  return header.frame_size();
}

void Server::serve_connection(Connection& connection) {
  const int fd = connection.fd.get();
  const auto buffer = dispatcher_.buffer();
  const ssize_t received = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
  if (received < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (received <= 0) {
    close_connection(fd);
    return;
  }
  const auto size = static_cast<std::size_t>(received);
  auto reply = subscribe(connection, buffer.first(std::min(size, buffer.size())));
  if (!reply) {
    const mm::Caller caller{.rights = options_.permissions.rights_of(connection.peer),
                            .session = connection.session,
                            .user = connection.peer.uid};
    reply = serve(size, caller, tools::FrameTransport::socket);
  }
  // Who asks without taking the answers is not waited for.
  if (::send(fd, buffer.data(), *reply, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) close_connection(fd);
}

void Server::serve_module() {
  ModuleNode& node = *options_.module;
  const auto message = node.take();
  if (!message) {
    events_.complain(message.error().message);
    ended_ = true;
    return;
  }
  if (!*message) return;
  const ModuleMessage& request = **message;
  if (request.kind == ModuleMessage::Kind::closed) {
    dispatcher_.end_session(module_session | request.id);
    return;
  }
  mm::Caller caller{.session = module_session | request.session, .user = request.uid};
  switch (request.origin) {
    case ModuleMessage::Origin::caller:
      caller.rights = options_.permissions.rights_of({.uid = request.uid, .gids = {request.gid}});
      break;
    case ModuleMessage::Origin::efivars:
      // The file system has looked at its permissions.
      caller.rights = Rights::read | Rights::write;
      break;
    case ModuleMessage::Origin::capsule:
      caller.rights = Rights::read | Rights::update;
      break;
  }
  const auto buffer = dispatcher_.buffer();
  const auto frame = request.frame.first(std::min(request.frame.size(), buffer.size()));
  std::ranges::copy(frame, buffer.begin());
  const std::size_t reply =
      serve(request.frame.size(), caller, tools::FrameTransport::kernel_module);
  if (auto done = node.reply(request.id, buffer.first(reply)); !done) {
    events_.complain(done.error().message);
  }
}

void Server::announce_readiness() {
  if (!options_.module) return;
  if (auto done = options_.module->announce(dispatcher_.ready()); !done) {
    events_.complain(done.error().message);
  }
}

void Server::tell_of_changes() {
  const std::uint64_t latest = dispatcher_.changes();
  const std::uint64_t untold = latest - std::exchange(told_changes_, latest);
  if (untold == 0) return;
  const auto event = changed_event(latest);
  for (const auto& [fd, connection] : connections_) {
    if (!connection.subscribed) continue;
    if (!includes(options_.permissions.rights_of(connection.peer), Rights::read)) continue;
    // Who has not taken the last ones has something to be woken by.
    static_cast<void>(::send(fd, event.data(), event.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
  }
  if (!options_.module) return;
  if (auto done = options_.module->tell_of_changes(untold); !done) {
    events_.complain(done.error().message);
  }
}

}  // namespace efistore::daemon
