// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The variable services of a store, wherever it is: on flash that this process opens, behind the
// daemon's socket, or behind the kernel module.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "efistore/mm/dispatcher.hpp"
#include "efistore/runtime/client.hpp"
#include "efistore/variable/services.hpp"

#include "common/locator.hpp"
#include "common/outcome.hpp"

namespace efistore::tools {

/// Whether a daemon has the store's flash.
bool is_remote(const std::string& locator);

/// How long a daemon may take to come back, for programs that outlive it.
struct SessionOptions {
  variable::Options services{};  ///< for flash that is opened here
  std::chrono::milliseconds connect_timeout{0};
};

class Session {
 public:
  /// For flash: open_services(), with its messages. For a daemon `mode` is what is going to be
  /// asked of it, and says nothing.
  static Outcome<Session> open(const std::string& locator, flash::OpenMode mode,
                               SessionOptions options = {});

  Session(Session&&) noexcept = default;
  Session& operator=(Session&&) noexcept = default;

  runtime::Client& client() noexcept { return *client_; }
  /// The services that this process has; nullptr where a daemon has them.
  variable::Services* local() noexcept { return local_ ? &local_->services : nullptr; }
  /// What answers for them; nullptr likewise.
  mm::Dispatcher* local_dispatcher() noexcept { return local_ ? &local_->dispatcher : nullptr; }

 private:
  /// In one place for good: the dispatcher knows the services, the client the dispatcher.
  struct Local {
    explicit Local(variable::Services opened);

    variable::Services services;
    mm::Dispatcher dispatcher;
  };

  Session() = default;

  std::unique_ptr<Local> local_;
  std::optional<runtime::Client> client_;
};

/// Connects to the daemon or the module that `locator` names.
Outcome<std::unique_ptr<runtime::Transport>> connect_to(const std::string& locator,
                                                        std::chrono::milliseconds timeout);

}  // namespace efistore::tools
