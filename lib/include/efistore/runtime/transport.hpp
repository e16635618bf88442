// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The ways a communicate frame can take to the MM side.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#include "efistore/base/result.hpp"
#include "efistore/mm/caller.hpp"
#include "efistore/mm/dispatcher.hpp"

namespace efistore::runtime {

/// Tells that variables have changed; which ones, Client::changes() tells.
class ChangeWatch {
 public:
  virtual ~ChangeWatch() = default;
  /// To poll for ChangeWatch::events(). Stays the same.
  virtual int fd() const noexcept = 0;
  /// POLLIN or POLLPRI.
  virtual short events() const noexcept = 0;
  /// Takes note of what fd() told of, so that it tells of what comes next.
  /// Errors: io (the MM side is gone; there is nothing more to be told).
  virtual Status acknowledge() = 0;
};

/// A communicate buffer and the call that has its content answered. One thread at a time.
class Transport {
 public:
  virtual ~Transport() = default;

  /// Where requests are put and replies stand. Stays the same, also when the MM side restarts.
  virtual std::span<std::byte> buffer() noexcept = 0;
  /// Has the request at the begin of buffer() answered, in place. Gives the size of the reply.
  /// Errors: not_found (nobody answers there), busy, permission; io (the MM side went, or did not
  /// answer in time: the request may have been carried out).
  virtual Result<std::size_t> communicate(std::size_t request_size) = 0;
  /// Does not wait for an MM side that is away, so that who has something else to do can ask again.
  /// Errors: unsupported (changes come through this process alone), and those of communicate().
  virtual Result<std::unique_ptr<ChangeWatch>> watch() = 0;
};

/// The MM side is in this process; `dispatcher` must outlive the transport.
std::unique_ptr<Transport> make_in_process_transport(mm::Dispatcher& dispatcher,
                                                     const mm::Caller& caller = {
                                                         .rights = mm::Rights::all,
                                                         .session = 1,
                                                     });

struct SocketOptions {
  /// How long a daemon may take to come back before a request is given up. Once one was, those
  /// behind it do not wait until it is back; nor does Transport::watch().
  std::chrono::milliseconds connect_timeout{0};
  std::chrono::milliseconds reply_timeout{120'000};
};

/// The daemon's socket, a SOCK_SEQPACKET at `path`. A connection that the daemon has closed is made
/// anew with the next request.
/// Errors: not_found (there is no socket, or nobody listens), permission, io.
Result<std::unique_ptr<Transport>> connect_socket(const std::filesystem::path& path,
                                                  const SocketOptions& options = {});

/// The kernel module's node. Errors: not_found, permission, io, unsupported (it is another device).
Result<std::unique_ptr<Transport>> open_kernel_module(const std::filesystem::path& node);

}  // namespace efistore::runtime
