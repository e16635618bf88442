// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "common/locator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace efistore::tools {
namespace {

using testing::HasSubstr;

LocatorSources sources(std::optional<std::string> option, std::optional<std::string> environment,
                       std::set<std::string> files = {}) {
  return {.option = std::move(option),
          .environment = std::move(environment),
          .exists = [files = std::move(files)](const std::filesystem::path& path) {
            return files.contains(path.string());
          }};
}

const std::string module_node = "/dev/efistore";
const std::string socket_path = "/run/efistore/efistored.sock";

TEST(ChooseLocator, PrefersTheOptionThenTheEnvironment) {
  EXPECT_EQ(choose_locator(sources("a.fd", "b.fd", {module_node})).value(), "a.fd");
  EXPECT_EQ(choose_locator(sources({}, "b.fd", {module_node})).value(), "b.fd");
  EXPECT_EQ(choose_locator(sources({}, "", {module_node})).value(), module_node);
}

TEST(ChooseLocator, FallsBackToWhatRuns) {
  EXPECT_EQ(choose_locator(sources({}, {}, {module_node, socket_path})).value(), module_node);
  EXPECT_EQ(choose_locator(sources({}, {}, {socket_path})).value(), "unix:" + socket_path);
}

TEST(ChooseLocator, NamesAllThreeWhereThereIsNone) {
  const auto none = choose_locator(sources({}, {}));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ExitCode::failure);
  EXPECT_THAT(none.error().message, HasSubstr("$EFISTORE"));
  EXPECT_THAT(none.error().message, HasSubstr(module_node));
  EXPECT_THAT(none.error().message, HasSubstr(socket_path));
}

TEST(ChooseLocator, TakesAnEmptyOptionForWrongUsage) {
  const auto none = choose_locator(sources("", "b.fd"));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ExitCode::usage);
}

TEST(OpenFlash, RefusesTheOtherTransports) {
  for (const std::string& locator : {module_node, "unix:" + socket_path}) {
    const auto opened = open_flash(locator, flash::OpenMode::read_only);
    ASSERT_FALSE(opened);
    EXPECT_THAT(opened.error().message, HasSubstr("this works on the flash itself"));
    EXPECT_THAT(opened.error().message, HasSubstr(locator));
  }
}

TEST(FailWith, NamesTheStatus) {
  const tl::unexpected<Failure> plain =
      fail_with("Boot0000-g", variable::EfiError{.status = EfiStatus::not_found, .reason = {}});
  EXPECT_EQ(plain.value().message, "Boot0000-g: EFI_NOT_FOUND");
  const tl::unexpected<Failure> reasoned = fail_with(
      "A-g", variable::EfiError{.status = EfiStatus::write_protected, .reason = "it is locked"});
  EXPECT_EQ(reasoned.value().message, "A-g: EFI_WRITE_PROTECTED: it is locked");
}

TEST(PrintMessage, WritesOneLine) {
  testing::internal::CaptureStderr();
  print_message("efistore", "a\nb\x1b");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "efistore: a\\u{a}b\\u{1b}\n");
}

}  // namespace
}  // namespace efistore::tools
