// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What a daemon can still do once it is confined, tried in a child.
#include "sandbox.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/landlock.h>
#include <mtd/mtd-user.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <functional>
#include <thread>

#include "efistore/base/unique_fd.hpp"

#include "support/temporary_directory.hpp"

namespace efistore::daemon {
namespace {

/// 0, or the number of the first step that did not end as expected.
using Steps = std::function<int()>;

int in_a_child(const std::function<Status()>& confine_it, const Steps& steps) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto confined = confine_it();
    ::_exit(confined ? steps() : 99);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << status;
  return WEXITSTATUS(status);
}

int confined(const Confinement& confinement, const Steps& steps) {
  return in_a_child([&] { return confine(confinement); }, steps);
}

bool fails_with(int error, long result) {
  return result == -1 && errno == error;
}

int landlock_version() {
  return static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
}

TEST(Sandbox, ThreadsAreMadeAndProcessesAreNot) {
  EXPECT_EQ(confined({},
                     [] {
                       bool ran = false;
                       std::thread([&ran] { ran = true; }).join();
                       if (!ran) return 1;
                       if (!fails_with(EPERM, ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0))) return 2;
                       // A namespace of its own; one thread more, but without its memory.
                       if (!fails_with(EPERM,
                                       ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0))) {
                         return 3;
                       }
                       if (!fails_with(EPERM, ::syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0))) {
                         return 4;
                       }
                       if (!fails_with(ENOSYS, ::syscall(SYS_clone3, nullptr, 0))) return 5;
                       if (!fails_with(EPERM, ::syscall(SYS_execve, "/bin/true", 0, 0))) return 6;
                       return 0;
                     }),
            0);
}

TEST(Sandbox, NobodyIsConnectedTo) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  const UniqueFd own(ends[0]);
  const UniqueFd other(ends[1]);
  EXPECT_EQ(confined({},
                     [&own] {
                       int step = 1;
                       for (const int family : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}) {
                         if (!fails_with(EPERM, ::socket(family, SOCK_DGRAM, 0))) return step;
                         ++step;
                       }
                       sockaddr address{};
                       address.sa_family = AF_UNIX;
                       const int fd = own.get();
                       constexpr socklen_t size = sizeof(address);
                       if (!fails_with(EPERM, ::connect(fd, &address, size))) return 5;
                       // Datagrams go to whom they name, wherever the socket is connected to.
                       if (!fails_with(EPERM, ::sendto(fd, "x", 1, 0, &address, size))) return 6;
                       const msghdr message{};
                       if (!fails_with(EPERM, ::sendmsg(fd, &message, 0))) return 7;
                       return ::send(fd, "x", 1, 0) == 1 ? 0 : 8;
                     }),
            0);
}

TEST(Sandbox, FilesHaveNobodySignalled) {
  test::TemporaryDirectory directory;
  const UniqueFd file(
      ::open((directory.path() / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_TRUE(file);
  EXPECT_EQ(confined({},
                     [fd = file.get()] {
                       if (!fails_with(EPERM, ::fcntl(fd, F_SETOWN, 1))) return 1;
                       if (!fails_with(EPERM, ::fcntl(fd, F_SETSIG, SIGKILL))) return 2;
                       if (!fails_with(EPERM, ::fcntl(fd, F_NOTIFY, DN_ACCESS))) return 3;
                       const f_owner_ex owner{};
                       if (!fails_with(EPERM, ::fcntl(fd, F_SETOWN_EX, &owner))) return 4;
                       const int flags = ::fcntl(fd, F_GETFL);
                       if (flags < 0) return 5;
                       if (!fails_with(EPERM, ::fcntl(fd, F_SETFL, flags | O_ASYNC))) return 6;
                       if (::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return 7;
                       if (::fcntl(fd, F_SETFD, ::fcntl(fd, F_GETFD)) != 0) return 8;
                       struct flock lock {};
                       lock.l_type = F_WRLCK;
                       if (::fcntl(fd, F_OFD_SETLK, &lock) != 0) return 9;
                       if (::fcntl(fd, F_OFD_GETLK, &lock) != 0) return 10;
                       return ::fcntl(fd, F_DUPFD_CLOEXEC, 0) < 0 ? 11 : 0;
                     }),
            0);
}

TEST(Sandbox, DevicesAreErasedAndAskedForNothingElse) {
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(null);
  EXPECT_EQ(confined({},
                     [fd = null.get()] {
                       // What gets through to the device is what that does not know.
                       erase_info_user64 block{};
                       if (!fails_with(ENOTTY, ::ioctl(fd, MEMERASE64, &block))) return 1;
                       if (!fails_with(ENOTTY, ::ioctl(fd, MEMUNLOCK, &block))) return 2;
                       int number = 1;
                       int step = 3;
                       for (const unsigned long request :
                            {0UL + FIOASYNC, 0UL + FIOSETOWN, 0UL + TIOCSTI, 0UL + MEMWRITE}) {
                         if (!fails_with(EPERM, ::ioctl(fd, request, &number))) return step;
                         ++step;
                       }
                       return 0;
                     }),
            0);
}

TEST(Sandbox, LimitsAreItsOwn) {
  EXPECT_EQ(confined({},
                     [] {
                       rlimit limit{};
                       if (::prlimit(0, RLIMIT_NOFILE, nullptr, &limit) != 0) return 1;
                       const pid_t parent = ::getppid();
                       if (!fails_with(EPERM, ::prlimit(parent, RLIMIT_NOFILE, nullptr, &limit))) {
                         return 2;
                       }
                       return 0;
                     }),
            0);
}

TEST(Sandbox, NoFileRunsAsItsOwner) {
  test::TemporaryDirectory directory;
  const auto path = [&directory](const char* name) { return (directory.path() / name).string(); };
  const Confinement confinement{.writable = {directory.path()}};
  EXPECT_EQ(confined(confinement,
                     [&path] {
                       constexpr int create = O_RDWR | O_CREAT | O_CLOEXEC;
                       int step = 1;
                       for (const mode_t mode : {04755U, 02755U, 06755U}) {
                         const auto open = [&](int flags) {
                           return ::open(path("set-id").c_str(), flags, mode);
                         };
                         if (!fails_with(EPERM, open(create))) return step;
                         if (!fails_with(EPERM, ::mkdir(path("folder").c_str(), mode))) return step;
                         ++step;
                       }
                       const int fd = ::open(path("file").c_str(), create, 0755);
                       if (fd < 0 || ::fchmod(fd, 0644) != 0) return 4;
                       if (!fails_with(EPERM, ::fchmod(fd, 04755))) return 5;
                       if (!fails_with(EPERM, ::fchmod(fd, 02755))) return 6;
                       return ::mkdir(path("folder").c_str(), 0755) == 0 ? 0 : 7;
                     }),
            0);
}

TEST(Sandbox, NoMemoryIsExecuted) {
  EXPECT_EQ(confined({},
                     [] {
                       constexpr std::size_t size = 4096;
                       constexpr int kind = MAP_PRIVATE | MAP_ANONYMOUS;
                       void* const memory =
                           ::mmap(nullptr, size, PROT_READ | PROT_WRITE, kind, -1, 0);
                       if (memory == MAP_FAILED) return 1;
                       if (::mprotect(memory, size, PROT_READ) != 0) return 2;
                       if (!fails_with(EPERM, ::mprotect(memory, size, PROT_READ | PROT_EXEC))) {
                         return 3;
                       }
                       if (::mmap(nullptr, size, PROT_EXEC, kind, -1, 0) != MAP_FAILED) return 4;
                       return errno == EPERM ? 0 : 5;
                     }),
            0);
}

TEST(Sandbox, SignalsGoToTheProcessItself) {
  const pid_t other = ::getpid();
  EXPECT_EQ(confined({},
                     [other] {
                       const pid_t own = ::getpid();
                       if (::syscall(SYS_tgkill, own, own, 0) != 0) return 1;
                       if (!fails_with(EPERM, ::syscall(SYS_tgkill, other, other, 0))) return 2;
                       if (!fails_with(EPERM, ::syscall(SYS_tkill, other, 0))) return 3;
                       if (!fails_with(EPERM, ::kill(other, 0))) return 4;
                       if (!fails_with(EPERM, ::kill(own, 0))) return 5;
                       return 0;
                     }),
            0);
}

class SandboxedFiles : public testing::Test {
 protected:
  void SetUp() override {
    if (landlock_version() < 1) GTEST_SKIP() << "this kernel has no Landlock";
    for (const char* folder : {"writable", "readable", "other"}) {
      std::filesystem::create_directory(path(folder));
      std::ofstream(path(folder) / "file") << "content";
    }
    confinement_ = {.writable = {path("writable")},
                    .readable = {path("readable"), path("missing"), path("other") / "file"}};
  }

  std::filesystem::path path(const std::string& name) const { return directory_.path() / name; }
  std::string file(const std::string& folder, const std::string& name = "file") const {
    return path(folder) / name;
  }
  std::uintmax_t size_of(const std::string& folder) const {
    return std::filesystem::file_size(file(folder));
  }

  test::TemporaryDirectory directory_;
  Confinement confinement_;
};

TEST_F(SandboxedFiles, AreThoseOfTheFoldersThatAreNeeded) {
  EXPECT_EQ(confined(confinement_,
                     [this] {
                       const auto opens = [](const std::string& name, int flags) {
                         return ::open(name.c_str(), flags | O_CLOEXEC, 0600) >= 0;
                       };
                       if (!opens(file("writable"), O_RDWR)) return 1;
                       if (!opens(file("writable"), O_WRONLY | O_TRUNC)) return 2;
                       if (!opens(file("writable", "new"), O_RDWR | O_CREAT)) return 3;
                       if (!opens(file("readable"), O_RDONLY)) return 4;
                       if (opens(file("readable"), O_WRONLY)) return 5;
                       if (opens(file("readable", "new"), O_RDWR | O_CREAT)) return 6;
                       // A file alone is not its folder.
                       if (!opens(file("other"), O_RDONLY)) return 7;
                       if (opens(path("other"), O_RDONLY | O_DIRECTORY)) return 8;
                       if (::unlink(file("readable").c_str()) == 0) return 9;
                       if (opens("/etc/passwd", O_RDONLY)) return 10;
                       return 0;
                     }),
            0);
}

TEST_F(SandboxedFiles, ThatAreReadAreNotEmptied) {
  if (landlock_version() < 3) GTEST_SKIP() << "Landlock of this kernel knows no truncation";
  // For which open(2) does not ask for writing.
  EXPECT_EQ(confined(confinement_,
                     [this] {
                       constexpr int flags = O_RDONLY | O_TRUNC | O_CLOEXEC;
                       if (!fails_with(EACCES, ::open(file("readable").c_str(), flags))) return 1;
                       if (!fails_with(EACCES, ::open(file("other").c_str(), flags))) return 2;
                       return ::open(file("writable").c_str(), flags) < 0 ? 3 : 0;
                     }),
            0);
  EXPECT_EQ(size_of("readable"), 7U);
  EXPECT_EQ(size_of("writable"), 0U);
}

TEST_F(SandboxedFiles, DoNotMoveBetweenFolders) {
  confinement_.writable.push_back(path("other"));
  EXPECT_EQ(confined(confinement_,
                     [this] {
                       const auto moves = [](const std::string& from, const std::string& to) {
                         return std::rename(from.c_str(), to.c_str()) == 0;
                       };
                       if (moves(file("writable"), file("other", "moved"))) return 1;
                       if (!moves(file("writable"), file("writable", "renamed"))) return 2;
                       return 0;
                     }),
            0);
}

TEST_F(SandboxedFiles, OfAReaderAreAllReadAndNoneChanged) {
  EXPECT_EQ(in_a_child(confine_reader,
                       [this] {
                         if (::open(file("other").c_str(), O_RDONLY) < 0) return 1;
                         if (::open("/etc/passwd", O_RDONLY) < 0) return 2;
                         if (::open(file("other").c_str(), O_WRONLY) >= 0) return 3;
                         if (::unlink(file("other").c_str()) == 0) return 4;
                         if (::mkdir(path("new").c_str(), 0700) == 0) return 5;
                         return 0;
                       }),
            0);
}

}  // namespace
}  // namespace efistore::daemon
