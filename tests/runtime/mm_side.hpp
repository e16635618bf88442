// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// An MM side to call, over each transport: in this process, or in a child that serves as efistored
// does. The store is an image file, so that it outlives the child.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "efistore/mm/dispatcher.hpp"
#include "efistore/runtime/client.hpp"
#include "efistore/variable/services.hpp"

#include "permissions.hpp"
#include "support/temporary_directory.hpp"

namespace efistore::test {

enum class Way { in_process, socket, kernel_module };

/// The nodes of the kernel module; set in a guest that has loaded it.
inline constexpr const char* module_variable = "EFISTORE_TEST_MODULE";

struct MmSetup {
  variable::Options services{};
  std::vector<daemon::Permission> permissions{};
  bool capsules = false;
};

class MmSide {
 public:
  explicit MmSide(Way way, MmSetup setup = {});
  ~MmSide();
  MmSide(const MmSide&) = delete;
  MmSide& operator=(const MmSide&) = delete;

  runtime::Client& client() { return *client_; }
  /// One more way in. Errors: those of the transport.
  Result<std::unique_ptr<runtime::Transport>> connect(const runtime::SocketOptions& options = {});

  /// The child ends at once, in the middle of whatever it does.
  void kill();
  /// There is a child again.
  void start();
  /// The child.
  pid_t pid() const noexcept { return child_; }
  std::filesystem::path socket() const { return directory_.path() / "mm.sock"; }
  std::filesystem::path image() const { return directory_.path() / "store.fd"; }
  std::filesystem::path capsules() const { return directory_.path() / "capsules"; }

 private:
  [[noreturn]] void serve(int ready) const;

  Way way_;
  MmSetup setup_;
  TemporaryDirectory directory_;
  std::optional<variable::Services> services_;
  std::optional<mm::Dispatcher> dispatcher_;
  pid_t child_ = 0;
  std::optional<runtime::Client> client_;
};

/// The services over the image.
variable::Services open_image(const std::filesystem::path& image, const variable::Options& options);

}  // namespace efistore::test
