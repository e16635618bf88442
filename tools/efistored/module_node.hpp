// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The MM side's node of the kernel module (kmod/README.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "efistore/base/result.hpp"
#include "efistore/base/unique_fd.hpp"
#include "efistore/capsule/report.hpp"

namespace efistore::daemon {

struct ModuleMessage {
  enum class Kind { request, closed };
  enum class Origin { caller, efivars, capsule };

  Kind kind = Kind::request;
  std::uint64_t id = 0;  ///< of the request, or of the session that has closed
  std::uint64_t session = 0;
  Origin origin = Origin::caller;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::span<const std::byte> frame{};  ///< until the next take()
};

class ModuleNode {
 public:
  /// Errors: not_found (the module is not loaded), busy (another daemon is attached), permission,
  /// unsupported, io.
  static Result<ModuleNode> open(const std::filesystem::path& node);

  int fd() const noexcept { return fd_.get(); }
  /// The next message; none if there is none (any more). Errors: io.
  Result<std::optional<ModuleMessage>> take();
  /// Whoever asked may be gone, which is no error. Errors: io.
  Status reply(std::uint64_t id, std::span<const std::byte> frame);
  Status announce(std::uint32_t ready);
  /// What /sys/firmware/efi/esrt is to show. Errors: already_exists (the machine has firmware that
  /// shows one), unsupported (the kernel has no EFI), io.
  Status show_esrt(std::span<const capsule::EsrtEntry> entries);
  Status tell_of_changes(std::uint64_t count);

 private:
  ModuleNode(UniqueFd fd, std::size_t buffer_size);

  Status send(std::uint32_t type, std::uint64_t id, std::span<const std::byte> content);

  UniqueFd fd_;
  std::vector<std::byte> in_;
  std::vector<std::byte> out_;
};

}  // namespace efistore::daemon
