// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/flash/file_lock.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <string>

#include "efistore/base/unique_fd.hpp"
#include "efistore/flash/image_file.hpp"

#include "flash/holder_process.hpp"
#include "support/temporary_directory.hpp"

namespace efistore::flash {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class FileLock : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(ImageFile::create(path_, 16384)); }

  void expect_open(OpenMode mode) {
    const auto image = ImageFile::open(path_, mode);
    EXPECT_TRUE(image) << image.error().message;
  }

  /// The message with which the image is refused as busy.
  std::string busy_message(OpenMode mode) {
    const auto image = ImageFile::open(path_, mode);
    if (image) {
      ADD_FAILURE() << "opened although somebody holds it";
      return {};
    }
    EXPECT_EQ(image.error().code, Errc::busy) << image.error().message;
    return image.error().message;
  }

  test::TemporaryDirectory directory_;
  std::string path_ = directory_ / "vars.fd";
};

TEST_F(FileLock, NamesTheProcessThatHoldsTheImageAndItsCommandLine) {
  HolderProcess holder({"write", path_, "--more"});
  EXPECT_THAT(
      busy_message(OpenMode::read_write),
      AllOf(StartsWith(path_ + " is in use by process " + std::to_string(holder.pid()) + " ("),
            HasSubstr("lock_holder write "), Not(HasSubstr(std::string(1, '\0'))),
            EndsWith("): use it through that process, or stop it first")));
}

TEST_F(FileLock, ShowsNoControlCharactersAndNoEndlessCommandLines) {
  const std::string bell = "a\x1b[31mb\xc3\xa4\n";
  {
    HolderProcess holder({"write", path_, bell});
    const std::string message = busy_message(OpenMode::read_write);
    EXPECT_TRUE(std::ranges::all_of(message, [](char c) { return c >= ' ' && c <= '~'; }))
        << message;
  }
  HolderProcess holder({"write", path_, std::string(100000, 'x')});
  const std::string message = busy_message(OpenMode::read_write);
  EXPECT_THAT(message, HasSubstr("...): use it through"));
  EXPECT_LT(message.size(), path_.size() + 250);
}

TEST_F(FileLock, LetsSeveralRead) {
  HolderProcess holder({"read", path_});
  expect_open(OpenMode::read_only);
}

TEST_F(FileLock, LetsNobodyWriteWhatSomebodyReads) {
  HolderProcess holder({"read", path_});
  EXPECT_THAT(busy_message(OpenMode::read_write),
              HasSubstr("process " + std::to_string(holder.pid()) + " ("));
}

TEST_F(FileLock, LetsNobodyReadWhatSomebodyWrites) {
  HolderProcess holder({"write", path_});
  EXPECT_THAT(busy_message(OpenMode::read_only),
              HasSubstr("process " + std::to_string(holder.pid()) + " ("));
}

TEST_F(FileLock, HoldsAgainstTheSameProcessToo) {
  const auto image = ImageFile::open(path_, OpenMode::read_write);
  ASSERT_TRUE(image);
  EXPECT_THAT(busy_message(OpenMode::read_only),
              HasSubstr("process " + std::to_string(::getpid()) + " ("));
}

TEST_F(FileLock, EndsWithItsHolder) {
  HolderProcess ending({"write", path_});
  ending.stop();
  expect_open(OpenMode::read_write);
  HolderProcess crashing({"write", path_});
  crashing.kill();
  expect_open(OpenMode::read_write);
}

TEST_F(FileLock, IsHeldFromTheCreationOn) {
  const std::string other = directory_ / "new.fd";
  const auto created = ImageFile::create(other, 16384);
  ASSERT_TRUE(created);
  const auto opened = ImageFile::open(other, OpenMode::read_only);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::busy);
}

TEST_F(FileLock, HeedsARunningQemu) {
  HolderProcess holder({"qemu", path_});
  EXPECT_THAT(busy_message(OpenMode::read_write),
              HasSubstr("process " + std::to_string(holder.pid()) + " ("));
  expect_open(OpenMode::read_only);
}

TEST_F(FileLock, HeedsClassicRecordLocks) {
  HolderProcess holder({"posix", path_});
  EXPECT_THAT(busy_message(OpenMode::read_write),
              HasSubstr("process " + std::to_string(holder.pid()) + " ("));
}

TEST_F(FileLock, DoesNotTakeFlockForALock) {
  HolderProcess holder({"flock", path_});
  expect_open(OpenMode::read_write);
}

TEST_F(FileLock, NamesTheOneOfSeveralThatLocksThisFile) {
  const std::string other = directory_ / "other.fd";
  ASSERT_TRUE(ImageFile::create(other, 16384));
  // Were there first: one with a lock of another file, one without a lock that counts.
  HolderProcess neighbour({"write", other});
  HolderProcess bystander({"flock", path_});
  HolderProcess holder({"write", path_});
  EXPECT_THAT(busy_message(OpenMode::read_write),
              HasSubstr("process " + std::to_string(holder.pid()) + " ("));
}

/// Exits with 0 if a user who may not look into the holder's files is told its process id.
[[noreturn]] void lock_as_nobody(const std::string& path, pid_t holder) {
  constexpr uid_t nobody = 65534;
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (::setuid(nobody) != 0) std::_Exit(2);
  const auto status = lock_file(fd.get(), LockMode::exclusive, path);
  const bool told = !status && status.error().message.find(" process " + std::to_string(holder) +
                                                           " (") != std::string::npos;
  std::_Exit(told ? 0 : 1);
}

TEST_F(FileLock, NamesTheHolderOfAClassicLockToOtherUsersToo) {
  if (::geteuid() != 0) GTEST_SKIP() << "becomes another user, which takes root";
  HolderProcess holder({"posix", path_});
  EXPECT_EXIT(lock_as_nobody(path_, holder.pid()), ::testing::ExitedWithCode(0), "");
}

TEST_F(FileLock, SaysAnotherProcessWhereProcDoesNotTell) {
  // A description that is on its way through a socket is open, but in no process's table.
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  const UniqueFd sender(ends[0]);
  const UniqueFd receiver(ends[1]);
  {
    const UniqueFd fd(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(lock_file(fd.get(), LockMode::exclusive, path_));
    char byte = 0;
    iovec part{.iov_base = &byte, .iov_len = 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int number = fd.get();
    std::memcpy(CMSG_DATA(header), &number, sizeof(number));
    ASSERT_EQ(::sendmsg(sender.get(), &message, 0), 1);
  }
  EXPECT_EQ(busy_message(OpenMode::read_write),
            path_ + " is in use by another process: use it through that process, or stop it first");
}

}  // namespace
}  // namespace efistore::flash
