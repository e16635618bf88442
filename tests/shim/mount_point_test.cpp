// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "mount_point.hpp"

#include <gtest/gtest.h>

namespace efistore::shim {
namespace {

constexpr std::string_view mountinfo =
    "21 1 0:20 / / rw,relatime - ext4 /dev/vda1 rw\n"
    "30 21 0:31 / /mnt rw,nosuid shared:5 master:3 - fuse.efivarfs-shim vars.fd rw,user_id=0\n"
    "31 21 0:32 / /with\\040space\\134 rw - fuse.efivarfs-shim a\\040-\\040b rw\n"
    "32 21 0:33 / /stacked rw - fuse.efivarfs-shim vars.fd rw\n"
    "33 32 0:34 / /stacked rw - tmpfs none rw\n"
    "34 21 0:35 / /cut\n"
    "35 21 - tmpfs none rw\n";

TEST(MountedType, IsThatOfTheTopmostMount) {
  EXPECT_EQ(mounted_type(mountinfo, "/"), "ext4");
  EXPECT_EQ(mounted_type(mountinfo, "/mnt"), "fuse.efivarfs-shim");
  EXPECT_EQ(mounted_type(mountinfo, "/stacked"), "tmpfs");
}

TEST(MountedType, ReadsEscapes) {
  EXPECT_EQ(mounted_type(mountinfo, "/with space\\"), "fuse.efivarfs-shim");
}

TEST(MountedType, IsEmptyWhereNothingIsMounted) {
  for (const char* path : {"/mnt/below", "/mn", "/cut", "", "none"}) {
    EXPECT_EQ(mounted_type(mountinfo, path), "") << path;
  }
  EXPECT_EQ(mounted_type("", "/"), "");
  EXPECT_EQ(mounted_type(" - \n - - \n\n", "/"), "");
}

}  // namespace
}  // namespace efistore::shim
