// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/base/unique_fd.hpp"
#include "efistore/mm/frame.hpp"
#include "efistore/mm/protocol.hpp"
#include "efistore/runtime/transport.hpp"

namespace efistore::runtime {

namespace {

using Clock = std::chrono::steady_clock;

/// More than any frame has; the socket's own limit is the smaller one.
constexpr std::size_t buffer_size = 384U << 10;
/// The kernel gives what net.core.wmem_max allows, twice.
constexpr int send_buffer_size = 256 << 10;
constexpr std::chrono::milliseconds retry_interval{50};
/// A daemon that is well subscribes at once, and who wants to know of changes has other things to
/// do.
constexpr std::chrono::milliseconds subscription_timeout{2000};
/// How long a daemon that does not accept connections is waited for.
constexpr timeval connect_limit{.tv_sec = 30, .tv_usec = 0};

Result<UniqueFd> connect_once(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return fail(Errc::invalid_argument, fmt::format("{}: a socket's path has at most {} bytes",
                                                    path, sizeof(address.sun_path) - 1));
  }
  std::ranges::copy(path, address.sun_path);
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "make a socket");
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &send_buffer_size, sizeof(send_buffer_size));
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &connect_limit, sizeof(connect_limit));
  const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
  while (::connect(fd.get(), generic, sizeof(address)) != 0) {
    if (errno == EINTR) continue;
    if (errno == ENOENT || errno == ECONNREFUSED) {
      return fail(Errc::not_found,
                  fmt::format("{}: nobody listens there; is efistored running?", path));
    }
    return fail_errno(errno, fmt::format("connect to {}", path));
  }
  return fd;
}

/// Whether the daemon may be about to come back.
Result<UniqueFd> connect_within(const std::string& path, std::chrono::milliseconds timeout) {
  const auto end = Clock::now() + timeout;
  for (;;) {
    auto fd = connect_once(path);
    const bool again = !fd && fd.error().code == Errc::not_found;
    if (!again || Clock::now() + retry_interval > end) return fd;
    std::this_thread::sleep_for(retry_interval);
  }
}

/// How long recv(2) waits. Asking poll(2) each time would cost a fifth of a request.
void limit_receive(int fd, std::chrono::milliseconds timeout) {
  const auto microseconds = std::max<std::int64_t>(std::chrono::microseconds(timeout).count(), 1);
  const timeval limit{.tv_sec = static_cast<time_t>(microseconds / 1'000'000),
                      .tv_usec = static_cast<suseconds_t>(microseconds % 1'000'000)};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

class SocketWatch final : public ChangeWatch {
 public:
  SocketWatch(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  int fd() const noexcept override { return fd_.get(); }
  short events() const noexcept override { return POLLIN; }
  Status acknowledge() override {
    std::array<std::byte, 256> event;
    for (;;) {
      const ssize_t size = ::recv(fd_.get(), event.data(), event.size(), MSG_DONTWAIT);
      if (size > 0 || (size < 0 && errno == EINTR)) continue;
      if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {};
      return fail(Errc::io, fmt::format("{}: the daemon has closed the connection", path_));
    }
  }

 private:
  UniqueFd fd_;
  std::string path_;
};

class SocketTransport final : public Transport {
 public:
  SocketTransport(std::string path, const SocketOptions& options, UniqueFd fd)
      : path_(std::move(path)), options_(options), fd_(std::move(fd)), buffer_(buffer_size) {
    limit_receive(fd_.get(), options_.reply_timeout);
  }

  std::span<std::byte> buffer() noexcept override { return buffer_; }

  Result<std::size_t> communicate(std::size_t request_size) override {
    if (request_size > buffer_.size()) {
      return fail(Errc::invalid_argument, "the request is larger than the communicate buffer");
    }
    if (auto sent = send_request(request_size); !sent) return forward(std::move(sent));
    auto received = receive_reply();
    // Whatever comes later on this connection would be the answer to something else.
    if (!received) fd_.reset();
    return received;
  }

  Result<std::unique_ptr<ChangeWatch>> watch() override {
    auto fd = connect_once(path_);
    if (!fd) return forward(std::move(fd));
    SocketTransport subscriber(path_, {.reply_timeout = subscription_timeout}, std::move(*fd));
    const mm::FrameHeader header{.version = mm::HeaderVersion::v1,
                                 .protocol = mm::guids::management_protocol,
                                 .message_size = mm::function_header_size};
    const auto message = subscriber.buffer().subspan(mm::header_size(header.version));
    mm::write_frame_header(subscriber.buffer(), header);
    ByteWriter writer(message);
    writer.u64(static_cast<std::uint64_t>(mm::ManagementFunction::subscribe));
    writer.u64(0);
    auto reply = subscriber.communicate(header.frame_size());
    if (!reply) return forward(std::move(reply));
    ByteReader reader(message.subspan(8));
    if (*reply != header.frame_size() || reader.u64() != 0) {
      return fail(Errc::permission, fmt::format("{}: the daemon does not tell of changes", path_));
    }
    return std::make_unique<SocketWatch>(std::move(subscriber.fd_), path_);
  }

 private:
  /// A daemon that was waited for in vain is away: nobody waits for it again until it is back.
  Status reconnect() {
    auto fd =
        connect_within(path_, away_ ? std::chrono::milliseconds(0) : options_.connect_timeout);
    away_ = !fd;
    if (!fd) return forward(std::move(fd));
    fd_ = std::move(*fd);
    limit_receive(fd_.get(), options_.reply_timeout);
    return {};
  }

  /// A daemon that was restarted has closed the connection. What could not be sent on it was not
  /// seen by anybody, and so it can be sent again.
  Status send_request(std::size_t size) {
    for (const bool last : {false, true}) {
      if (!fd_) {
        if (auto connected = reconnect(); !connected) return connected;
      }
      ssize_t sent = 0;
      do {
        sent = ::send(fd_.get(), buffer_.data(), size, MSG_NOSIGNAL);
      } while (sent < 0 && errno == EINTR);
      if (sent >= 0) return {};
      const int error = errno;
      if (error == EMSGSIZE) {
        return fail(Errc::no_space, fmt::format("{}: a request of {} bytes is more than a socket "
                                                "takes (net.core.wmem_max)",
                                                path_, size));
      }
      fd_.reset();
      const bool closed = error == EPIPE || error == ECONNRESET || error == ENOTCONN;
      if (!closed || last) return fail_errno(error, fmt::format("send to {}", path_));
    }
    return {};
  }

  Result<std::size_t> receive_reply() {
    const auto end = Clock::now() + options_.reply_timeout;
    ssize_t size = 0;
    do {  // a signal begins the socket's own limit anew
      size = ::recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_TRUNC);
    } while (size < 0 && errno == EINTR && Clock::now() < end);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
      return fail(Errc::busy, fmt::format("{}: no answer within {} s; the request may still be "
                                          "carried out",
                                          path_, options_.reply_timeout.count() / 1000));
    }
    if (size < 0 && errno != ECONNRESET) {
      return fail_errno(errno, fmt::format("receive from {}", path_));
    }
    if (size <= 0) {
      return fail(Errc::io, fmt::format("{}: the daemon went before it answered; the request may "
                                        "have been carried out",
                                        path_));
    }
    if (static_cast<std::size_t>(size) > buffer_.size()) {
      return fail(Errc::io,
                  fmt::format("{}: the reply is larger than the communicate buffer", path_));
    }
    return static_cast<std::size_t>(size);
  }

  std::string path_;
  SocketOptions options_;
  UniqueFd fd_;
  bool away_ = false;
  std::vector<std::byte> buffer_;
};

}  // namespace

Result<std::unique_ptr<Transport>> connect_socket(const std::filesystem::path& path,
                                                  const SocketOptions& options) {
  auto fd = connect_within(path.string(), options.connect_timeout);
  if (!fd) return forward(std::move(fd));
  return std::make_unique<SocketTransport>(path.string(), options, std::move(*fd));
}

}  // namespace efistore::runtime
