// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "common/session.hpp"

#include <algorithm>
#include <utility>

namespace efistore::tools {

namespace {

constexpr std::string_view socket_prefix = "unix:";
/// A transaction may replace all that the store holds, and has to fit a frame.
constexpr std::size_t max_local_payload = 4U << 20;

std::size_t payload_for(const variable::Services& services) noexcept {
  return std::min<std::size_t>(2 * std::size_t{services.store().usage().capacity},
                               max_local_payload);
}

}  // namespace

bool is_remote(const std::string& locator) {
  return locator == kernel_module_node || locator.starts_with(socket_prefix);
}

Session::Local::Local(variable::Services opened)
    : services(std::move(opened)),
      dispatcher(services, {.min_payload_size = payload_for(services)}) {}

Outcome<std::unique_ptr<runtime::Transport>> connect_to(const std::string& locator,
                                                        std::chrono::milliseconds timeout) {
  auto transport = locator.starts_with(socket_prefix)
                       ? runtime::connect_socket(locator.substr(socket_prefix.size()),
                                                 {.connect_timeout = timeout})
                       : runtime::open_kernel_module(locator);
  if (!transport) return fail_with(transport.error());
  return std::move(*transport);
}

Outcome<Session> Session::open(const std::string& locator, flash::OpenMode mode,
                               SessionOptions options) {
  Session session;
  std::unique_ptr<runtime::Transport> transport;
  if (is_remote(locator)) {
    auto connected = connect_to(locator, options.connect_timeout);
    if (!connected) return tl::unexpected(std::move(connected).error());
    transport = std::move(*connected);
  } else {
    auto services = open_services(locator, mode, std::move(options.services));
    if (!services) return tl::unexpected(std::move(services).error());
    session.local_ = std::make_unique<Local>(std::move(*services));
    transport = runtime::make_in_process_transport(session.local_->dispatcher);
  }
  auto client = runtime::Client::create(std::move(transport));
  if (!client) {
    return fail_with(describe_open_error(locator, client.error()));
  }
  session.client_.emplace(std::move(*client));
  return session;
}

}  // namespace efistore::tools
