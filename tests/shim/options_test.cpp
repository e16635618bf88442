// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>

namespace efistore::shim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

tl::expected<Options, EarlyExit> parse(std::initializer_list<const char*> words,
                                       const char* environment_store = nullptr) {
  std::vector<const char*> arguments{"efivarfs-shim"};
  arguments.insert(arguments.end(), words);
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data(),
                            environment_store);
}

std::string complaint(std::initializer_list<const char*> words) {
  const auto options = parse(words);
  if (options) return "accepted";
  EXPECT_EQ(options.error().code, ExitCode::usage);
  EXPECT_EQ(options.error().text.find('\n'), std::string::npos);
  return options.error().text;
}

TEST(Options, TakesItsOwnForm) {
  const auto options = parse({"--store", "vars.fd", "/mnt", "-f", "--replace"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->store, "vars.fd");
  EXPECT_EQ(options->mount_point, "/mnt");
  EXPECT_TRUE(options->foreground);
  EXPECT_TRUE(options->replace);
  EXPECT_FALSE(options->read_only);
}

TEST(Options, TakesTheFormOfMount) {
  const auto options = parse({"mtd:uefi-vars", "/mnt", "-o", "rw,noexec,uid=12,ro,replace"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->store, "mtd:uefi-vars");
  EXPECT_EQ(options->mount_point, "/mnt");
  EXPECT_EQ(options->uid, 12U);
  EXPECT_EQ(options->gid, std::nullopt);
  EXPECT_TRUE(options->read_only);
  EXPECT_TRUE(options->replace);
  EXPECT_FALSE(options->foreground);
  EXPECT_THAT(options->mount_options, ElementsAre("rw", "noexec", "ro"));
}

TEST(Options, TheEnvironmentNamesTheStoreLast) {
  EXPECT_EQ(parse({"/mnt"}, "env.fd")->store, "env.fd");
  EXPECT_EQ(parse({"own.fd", "/mnt"}, "env.fd")->store, "own.fd");
  EXPECT_EQ(parse({"--store", "own.fd", "/mnt"}, "env.fd")->store, "own.fd");
  EXPECT_FALSE(parse({"/mnt"}, ""));
}

TEST(Options, NumbersOfMountOptions) {
  const auto options =
      parse({"s", "m", "-o", "uid=0,gid=4294967294", "-o",
             "reserve=0,idle=7,hardware_error_storage=32768,max_variable_size=126976,"
             "strict_runtime,budget=65536,burst=0"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->uid, 0U);
  EXPECT_EQ(options->gid, 4294967294U);
  EXPECT_EQ(options->reserve_bytes, 0U);
  EXPECT_EQ(options->idle_seconds, 7U);
  EXPECT_EQ(options->hardware_error_storage_bytes, 32768U);
  EXPECT_EQ(options->budget_bytes_per_hour, 65536U);
  EXPECT_EQ(options->burst_bytes, 0U);
  EXPECT_EQ(options->max_variable_size_bytes, 126976U);
  EXPECT_TRUE(options->strict_runtime);
  EXPECT_TRUE(options->mount_options.empty());
}

TEST(Options, ComplainsInOneLine) {
  EXPECT_THAT(complaint({}), HasSubstr("no mount point"));
  EXPECT_THAT(complaint({"/mnt"}), HasSubstr("no store"));
  EXPECT_THAT(complaint({"a", "b", "c"}), HasSubstr("more than"));
  EXPECT_THAT(complaint({"--store", "a", "b", "c"}), HasSubstr("two stores"));
  EXPECT_THAT(complaint({"a", ""}), HasSubstr("mount point is empty"));
  EXPECT_THAT(complaint({"--bogus", "a", "b"}), HasSubstr("--bogus"));
  for (const char* bad :
       {"uid", "uid=", "uid=-1", "uid=x", "uid=1x", "uid=4294967295", "reserve=99999999999",
        "idle=86401", "budget", "budget=1k", "budget=-1", "budget=4294967296", "burst=", "burst=1",
        "max_variable_size=126977", "max_read=4096"}) {
    EXPECT_THAT(complaint({"a", "b", "-o", bad}), HasSubstr(bad));
  }
}

TEST(Options, HelpAndVersionAreNoFailure) {
  for (const char* word : {"--help", "--version"}) {
    const auto options = parse({word});
    ASSERT_FALSE(options);
    EXPECT_EQ(options.error().code, ExitCode::success);
    EXPECT_FALSE(options.error().text.empty());
  }
}

TEST(Options, MountOptionsPartAtCommasThatAreNotEscaped) {
  EXPECT_THAT(split_mount_options("a,,b=c\\,d,\\\\,e\\"),
              ElementsAre("a", "b=c\\,d", "\\\\", "e\\"));
  EXPECT_THAT(split_mount_options(""), ElementsAre());
  const std::string escaped = escape_mount_option("a,b\\c");
  EXPECT_EQ(escaped, "a\\,b\\\\c");
  EXPECT_THAT(split_mount_options(escaped), ElementsAre(escaped));
}

TEST(Options, KnowsWhichMountOptionsWereGiven) {
  Options options;
  options.mount_options = {"fsname=x", "allow_other"};
  EXPECT_TRUE(options.has_mount_option("fsname"));
  EXPECT_TRUE(options.has_mount_option("allow_other"));
  EXPECT_FALSE(options.has_mount_option("fs"));
  EXPECT_FALSE(options.has_mount_option("allow"));
}

}  // namespace
}  // namespace efistore::shim
