// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Who reads the configuration again on SIGHUP: a process of its own, made before the daemon has
// anything open. So the daemon needs no folder with a configuration, which may be all of /etc, nor
// the files of users and groups, and an editor may replace any of them. All that it can be asked
// is to read the same files again, and all that it answers is numbers.
#pragma once

#include <functional>
#include <vector>

#include "efistore/base/result.hpp"
#include "efistore/base/unique_fd.hpp"

#include "common/outcome.hpp"
#include "permissions.hpp"

namespace efistore::daemon {

class ConfigReader {
 public:
  using Read = std::function<tools::Outcome<std::vector<Permission>>()>;

  /// Forks. What is open goes on in this process only; there must be no threads. The process may
  /// read all files and change none, and ends with this one. Errors: io.
  static Result<ConfigReader> start(const Read& read);

  /// Asks for the permissions. Errors: io (the process is gone).
  Status ask();
  /// Can be read once they are there.
  int fd() const noexcept { return socket_.get(); }
  /// Takes them. Errors: what the configuration is refused for; the process is gone.
  tools::Outcome<std::vector<Permission>> take();

 private:
  explicit ConfigReader(UniqueFd socket) : socket_(std::move(socket)) {}

  UniqueFd socket_;
};

}  // namespace efistore::daemon
