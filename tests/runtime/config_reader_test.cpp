// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "config_reader.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <stdexcept>

#include "support/temporary_directory.hpp"

namespace efistore::daemon {
namespace {

using mm::Rights;
using tools::fail_with;
using tools::Outcome;

class ConfigReaderTest : public testing::Test {
 protected:
  void TearDown() override {
    reader_.reset();
    // It ends with who asks it.
    EXPECT_GT(::waitpid(-1, nullptr, 0), 0);
    EXPECT_TRUE(::waitpid(-1, nullptr, 0) == -1 && errno == ECHILD);
  }

  void start(const ConfigReader::Read& read) {
    auto reader = ConfigReader::start(read);
    ASSERT_TRUE(reader) << reader.error().message;
    reader_.emplace(std::move(*reader));
  }
  Outcome<std::vector<Permission>> ask() {
    if (auto asked = reader_->ask(); !asked) return fail_with(asked.error());
    pollfd waiting{.fd = reader_->fd(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&waiting, 1, 20'000), 1);
    return reader_->take();
  }

  std::optional<ConfigReader> reader_;
};

TEST_F(ConfigReaderTest, PermissionsComeAsTheyAre) {
  start([]() -> Outcome<std::vector<Permission>> {
    return std::vector<Permission>{
        {.uid = 0, .rights = Rights::none},
        {.uid = 4711, .rights = Rights::all},
        {.gid = 0, .rights = Rights::write},
        {.gid = 0xfffffffe, .rights = Rights::read | Rights::lock},
        {.rights = Rights::read},
    };
  });
  const auto read = ask();
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 5U);
  EXPECT_EQ((*read)[0].uid, 0U);
  EXPECT_EQ((*read)[0].gid, std::nullopt);
  EXPECT_EQ((*read)[0].rights, Rights::none);
  EXPECT_EQ((*read)[1].uid, 4711U);
  EXPECT_EQ((*read)[1].rights, Rights::all);
  EXPECT_EQ((*read)[2].uid, std::nullopt);
  EXPECT_EQ((*read)[2].gid, 0U);
  EXPECT_EQ((*read)[3].gid, 0xfffffffeU);
  EXPECT_EQ((*read)[3].rights, Rights::read | Rights::lock);
  EXPECT_EQ((*read)[4].uid, std::nullopt);
  EXPECT_EQ((*read)[4].gid, std::nullopt);
}

TEST_F(ConfigReaderTest, TheFileIsReadEachTimeAndNothingIsChanged) {
  const test::TemporaryDirectory directory;
  const auto path = directory.path() / "file";
  start([path]() -> Outcome<std::vector<Permission>> {
    if (::open(path.c_str(), O_WRONLY | O_CREAT, 0600) >= 0) return fail_with("it writes");
    std::ifstream file(path);
    unsigned number = 0;
    if (!(file >> number)) return fail_with("no file");
    return std::vector(number, Permission{});
  });
  const auto none = ask();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message, "no file");
  for (const std::size_t count : {0U, 1U, 4096U}) {
    std::ofstream(path) << count;
    const auto read = ask();
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->size(), count);
  }
  std::ofstream(path) << 4097;
  EXPECT_FALSE(ask());
}

TEST_F(ConfigReaderTest, HasNothingThatWasOpen) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  start([]() -> Outcome<std::vector<Permission>> { throw std::runtime_error("out of it"); });
  ::close(ends[1]);
  char byte = 0;
  EXPECT_EQ(::read(ends[0], &byte, 1), 0) << "somebody has the other end";
  ::close(ends[0]);
  const auto read = ask();
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().message, "out of it");
}

TEST_F(ConfigReaderTest, ItsEndIsTold) {
  start([]() -> Outcome<std::vector<Permission>> { ::_exit(1); });
  const auto read = ask();
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().message, "the process that reads the configuration is gone");
  EXPECT_FALSE(reader_->ask());
}

}  // namespace
}  // namespace efistore::daemon
