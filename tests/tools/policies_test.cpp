// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "common/policies.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "efistore/flash/memory_device.hpp"
#include "efistore/flash/open.hpp"
#include "efistore/flash/wear.hpp"

#include "support/temporary_directory.hpp"

namespace efistore::tools {
namespace {

using testing::HasSubstr;
using variable::PolicyFile;

constexpr Guid vendor = *Guid::parse("11223344-5566-7788-99aa-bbccddeeff00");
constexpr const char* boot_text = "01234567-89ab-cdef-0123-456789abcdef";

class Policies : public testing::Test {
 protected:
  std::filesystem::path file(const char* name) const { return folder_.path() / name; }
  std::filesystem::path write(const char* name, const std::string& text) const {
    std::ofstream(file(name)) << text;
    return file(name);
  }

  test::TemporaryDirectory folder_;
};

TEST_F(Policies, TheLockIsForTheBootThatItNames) {
  const auto boot = write("boot", std::string(boot_text) + "\n");
  EXPECT_EQ(read_boot_id(boot).value(), *Guid::parse(boot_text));
  EXPECT_TRUE(is_locked({.locked_in_boot = Guid::parse(boot_text)}, boot).value());
  EXPECT_FALSE(is_locked({.locked_in_boot = vendor}, boot).value());
  EXPECT_FALSE(is_locked({}, boot).value());
}

TEST_F(Policies, WithoutAKnownBootALockIsNotTakenForOver) {
  for (const char* text : {"", "\n", "x", "00000000-0000-0000-0000-000000000000\n",
                           "01234567-89ab-cdef-0123-456789abcdef\n\n"}) {
    const auto boot = write("boot", text);
    EXPECT_EQ(read_boot_id(boot).error().code, Errc::damaged) << text;
    EXPECT_FALSE(is_locked({.locked_in_boot = vendor}, boot));
    EXPECT_FALSE(is_locked({}, boot).value()) << "nothing to know";
  }
  EXPECT_EQ(is_locked({.locked_in_boot = vendor}, file("absent")).error().code, Errc::not_found);
}

TEST_F(Policies, ThisMachineHasABoot) {
  EXPECT_TRUE(read_boot_id());
}

TEST_F(Policies, WhatIsSavedIsLoadedAndNoFileIsNoPolicies) {
  EXPECT_EQ(load_policy_file(file("absent")).value(), PolicyFile{});
  const PolicyFile kept{.locked_in_boot = vendor,
                        .policies = {{.name = u"A", .guid = vendor, .min_size_bytes = 3}}};
  const auto path = file("made") / "x.policy";
  ASSERT_TRUE(save_policy_file(path, kept)) << "the folder is made as well";
  EXPECT_EQ(load_policy_file(path).value(), kept);
  ASSERT_TRUE(save_policy_file(path, {}));
  EXPECT_EQ(load_policy_file(path).value(), PolicyFile{});
}

TEST_F(Policies, DamageNamesTheFile) {
  const auto loaded = load_policy_file(write("x.policy", "broken"));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, Errc::damaged);
  EXPECT_THAT(loaded.error().message, HasSubstr("x.policy: 6 bytes, expected"));
  EXPECT_EQ(load_policy_file(folder_.path()).error().code, Errc::damaged) << "a folder";
  write("large.policy", std::string(variable::max_policy_file_size_bytes + 100, 'x'));
  EXPECT_EQ(load_policy_file(file("large.policy")).error().code, Errc::damaged);
}

TEST_F(Policies, LieBesideTheImageAlsoWhereItsWearIsCounted) {
  const auto image = file("vars.fd").string();
  ASSERT_TRUE(flash::ImageFile::create(image, 0x3000));
  write("vars.fd.wear", "");
  std::filesystem::create_symlink("vars.fd", file("link.fd"));
  const auto beside = std::filesystem::canonical(image).string() + ".policy";
  for (const char* name : {"vars.fd", "link.fd"}) {
    const auto locator = file(name).string();
    const auto device = flash::open_device(locator, flash::OpenMode::read_write).value();
    EXPECT_EQ(policy_path(locator, *device), beside);
  }
  const auto device = flash::open_device(image, flash::OpenMode::read_write).value();
  EXPECT_TRUE(policies_of(image, *device)->empty());
  ASSERT_TRUE(save_policy_file(beside, {.policies = {{.guid = vendor}}}));
  EXPECT_EQ(policies_of(image, *device)->size(), 1U);
  write("vars.fd.policy", "");
  const auto none = policies_of(image, *device);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("without its policies the store is not written"));
}

}  // namespace
}  // namespace efistore::tools
