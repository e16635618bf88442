// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "permissions.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

namespace efistore::daemon {
namespace {

using mm::Rights;

Rights rights(std::vector<std::string_view> texts, const Peer& peer) {
  std::vector<Permission> permissions;
  for (const auto text : texts) permissions.push_back(parse_permission(text).value());
  return PermissionTable(permissions).rights_of(peer);
}

const Peer somebody{.uid = 4711, .gids = {100, 200}};

TEST(Permissions, WithoutAnyEverybodyMayReadAndRootMayDoEverything) {
  EXPECT_EQ(rights({}, somebody), Rights::read);
  EXPECT_EQ(rights({}, {.uid = 0}), Rights::all);
  EXPECT_EQ(rights({}, {.uid = ::geteuid()}), Rights::all);
}

TEST(Permissions, WithSomeNobodyElseMayDoAnything) {
  EXPECT_EQ(rights({"user:4712=all"}, somebody), Rights::none);
  EXPECT_EQ(rights({"user:4712=all"}, {.uid = 0}), Rights::all);
  EXPECT_EQ(rights({"any=none"}, somebody), Rights::none);
}

TEST(Permissions, WhatMatchesAddsUp) {
  EXPECT_EQ(rights({"any=read", "group:200=write", "user:4711=update"}, somebody),
            Rights::read | Rights::write | Rights::update);
  EXPECT_EQ(rights({"group:300=write"}, somebody), Rights::none);
  EXPECT_EQ(rights({"user:4711=read,write,lock,update"}, somebody), Rights::all);
}

TEST(Permissions, NamesAreLookedUp) {
  EXPECT_EQ(parse_permission("user:root=all")->uid, 0U);
  EXPECT_EQ(parse_permission("group:root=all")->gid, 0U);
}

TEST(Permissions, AnythingElseIsWrongUsageAndNamed) {
  for (const std::string_view text :
       {"", "any", "=all", "any=", "any=read,", "any=,read", "any=reed", "user=all", "user:=all",
        "group:=read", "who:root=all", "user:no-such-user-here=all", "group:no-such-group=all",
        "user:4294967296=all", "user:-1=all", "any=all,read"}) {
    const auto permission = parse_permission(text);
    ASSERT_FALSE(permission) << text;
    EXPECT_EQ(permission.error().code, tools::ExitCode::usage);
    EXPECT_NE(permission.error().message.find(text), std::string::npos);
  }
}

}  // namespace
}  // namespace efistore::daemon
