// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "permissions.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

namespace efistore::daemon {

using mm::Rights;
using tools::fail_usage;
using tools::Outcome;

namespace {

std::optional<std::uint32_t> parse_number(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Outcome<Rights> parse_rights(std::string_view text) {
  if (text == "none") return Rights::none;
  if (text == "all") return Rights::all;
  Rights rights = Rights::none;
  for (std::string_view rest = text;;) {
    const std::size_t comma = rest.find(',');
    const std::string_view word = rest.substr(0, comma);
    if (word == "read") {
      rights = rights | Rights::read;
    } else if (word == "write") {
      rights = rights | Rights::write;
    } else if (word == "lock") {
      rights = rights | Rights::lock;
    } else if (word == "update") {
      rights = rights | Rights::update;
    } else {
      return fail_usage(
          fmt::format("\"{}\" is no right: expected none, all, or some of read, "
                      "write, lock and update with commas between them",
                      word));
    }
    if (comma == std::string_view::npos) return rights;
    rest.remove_prefix(comma + 1);
  }
}

}  // namespace

bool Permission::matches(const Peer& peer) const noexcept {
  if (uid) return *uid == peer.uid;
  if (gid) return std::ranges::find(peer.gids, *gid) != peer.gids.end();
  return true;
}

Outcome<Permission> parse_permission(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) {
    return fail_usage(fmt::format("permission \"{}\": expected WHO=RIGHTS", text));
  }
  const std::string_view who = text.substr(0, equals);
  const auto rights = parse_rights(text.substr(equals + 1));
  if (!rights) {
    return fail_usage(fmt::format("permission \"{}\": {}", text, rights.error().message));
  }
  Permission permission{.rights = *rights};
  if (who == "any") return permission;
  const std::size_t colon = who.find(':');
  const std::string_view kind = who.substr(0, colon);
  const std::string name(colon == std::string_view::npos ? "" : who.substr(colon + 1));
  if ((kind != "user" && kind != "group") || name.empty()) {
    return fail_usage(fmt::format(
        "permission \"{}\": expected user:NAME, group:NAME or any before the \"=\"", text));
  }
  std::optional<std::uint32_t> id = parse_number(name);
  if (kind == "user") {
    if (const passwd* const user = id ? nullptr : ::getpwnam(name.c_str())) id = user->pw_uid;
    permission.uid = id;
  } else {
    if (const group* const found = id ? nullptr : ::getgrnam(name.c_str())) id = found->gr_gid;
    permission.gid = id;
  }
  if (!id) {
    return fail_usage(fmt::format("permission \"{}\": there is no {} \"{}\"", text, kind, name));
  }
  return permission;
}

PermissionTable::PermissionTable(std::vector<Permission> permissions, uid_t own)
    : permissions_(std::move(permissions)), own_(own) {
  if (permissions_.empty()) permissions_.push_back({.rights = Rights::read});
}

Rights PermissionTable::rights_of(const Peer& peer) const noexcept {
  if (is_trusted(peer)) return Rights::all;
  Rights rights = Rights::none;
  for (const Permission& permission : permissions_) {
    if (permission.matches(peer)) rights = rights | permission.rights;
  }
  return rights;
}

}  // namespace efistore::daemon
