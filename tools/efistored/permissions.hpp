// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Who may do what, by the user and the groups of the process that asks.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <optional>
#include <string_view>
#include <vector>

#include "efistore/mm/caller.hpp"

#include "common/outcome.hpp"

namespace efistore::daemon {

/// Who is at the other end.
struct Peer {
  uid_t uid = 0;
  std::vector<gid_t> gids{};  ///< the effective group, and where they are known the others
};

/// "WHO=RIGHTS": WHO is "user:NAME-OR-NUMBER", "group:NAME-OR-NUMBER" or "any", RIGHTS "none",
/// "all", or some of "read,write,lock,update".
struct Permission {
  std::optional<uid_t> uid{};
  std::optional<gid_t> gid{};  ///< neither: anybody
  mm::Rights rights = mm::Rights::none;

  bool matches(const Peer& peer) const noexcept;
};

/// Fails for a user or group that there is not, and for anything else of another form.
tools::Outcome<Permission> parse_permission(std::string_view text);

class PermissionTable {
 public:
  /// root and the daemon's own user may do everything. All others may do what `permissions` say,
  /// together; without any they may read, as they may read the kernel's efivarfs.
  /// `own` is the daemon's user.
  explicit PermissionTable(std::vector<Permission> permissions = {}, uid_t own = ::geteuid());

  /// root, or the daemon's own user.
  bool is_trusted(const Peer& peer) const noexcept { return peer.uid == 0 || peer.uid == own_; }
  mm::Rights rights_of(const Peer& peer) const noexcept;

 private:
  std::vector<Permission> permissions_;
  uid_t own_;
};

}  // namespace efistore::daemon
