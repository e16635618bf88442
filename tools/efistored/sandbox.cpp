// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "sandbox.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/landlock.h>
#include <mtd/mtd-user.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <system_error>
#include <vector>

#include "efistore/base/unique_fd.hpp"

#include "common/capabilities.hpp"

namespace efistore::daemon {

namespace {

Status become(const Identity& user) {
  if (::setgroups(0, nullptr) != 0 || ::setresgid(user.gid, user.gid, user.gid) != 0 ||
      ::setresuid(user.uid, user.uid, user.uid) != 0) {
    return fail_errno(errno, fmt::format("become user {}", user.name));
  }
  return {};
}

// What Debian's headers (Linux 6.1) do not know yet.
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

constexpr std::uint64_t read_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t write_access =
    read_access | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE |
    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR;
/// What a rule may allow of a file that is no folder.
constexpr std::uint64_t file_access =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;

/// All that this kernel's Landlock can take away; 0 if it has none.
std::uint64_t handled_access() noexcept {
  const long abi =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  // Kernels before 5.13, and those that were built or started without it.
  if (abi < 1) return 0;
  std::uint64_t access =
      (write_access & ~LANDLOCK_ACCESS_FS_TRUNCATE) | LANDLOCK_ACCESS_FS_EXECUTE |
      LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK |
      LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
  if (abi >= 2) access |= LANDLOCK_ACCESS_FS_REFER;      // 5.19
  if (abi >= 3) access |= LANDLOCK_ACCESS_FS_TRUNCATE;   // 6.2
  if (abi >= 5) access |= LANDLOCK_ACCESS_FS_IOCTL_DEV;  // 6.10; of what is opened from now on
  return access;
}

Status allow_path(int ruleset, const std::filesystem::path& path, std::uint64_t access) {
  const UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  // What is not there cannot be opened later, either.
  if (!fd) return errno == ENOENT ? Status() : fail_errno(errno, "open " + path.string());
  landlock_path_beneath_attr beneath{};
  std::error_code ignored;  // a file, then: less is allowed
  const bool folder = std::filesystem::is_directory(path, ignored);
  beneath.allowed_access = folder ? access : access & file_access;
  beneath.parent_fd = fd.get();
  if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0) {
    return fail_errno(errno, "landlock: " + path.string());
  }
  return {};
}

Status restrict_files(const Confinement& confinement) {
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = handled_access();
  if (attributes.handled_access_fs == 0) return {};
  const std::uint64_t handled = attributes.handled_access_fs;
  const UniqueFd ruleset(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0)));
  if (!ruleset) return fail_errno(errno, "landlock");
  for (const auto& path : confinement.writable) {
    if (auto done = allow_path(ruleset.get(), path, write_access & handled); !done) return done;
  }
  for (const auto& path : confinement.readable) {
    if (auto done = allow_path(ruleset.get(), path, read_access & handled); !done) return done;
  }
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return fail_errno(errno, "landlock");
  }
  return {};
}

/// Everything that serving takes, a thread for the recovery of the flash included, and what the C
/// library does on its way.
constexpr std::array allowed_calls{
    // flash, files beside the store, captures
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(pwritev),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(lseek),
    SCMP_SYS(_llseek),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(fstat64),
    SCMP_SYS(newfstatat),
    SCMP_SYS(fstatat64),
    SCMP_SYS(stat),
    SCMP_SYS(stat64),
    SCMP_SYS(lstat),
    SCMP_SYS(lstat64),
    SCMP_SYS(statx),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(fchown),
    SCMP_SYS(umask),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(ftruncate),
    SCMP_SYS(ftruncate64),
    SCMP_SYS(link),
    SCMP_SYS(linkat),
    SCMP_SYS(getdents64),
    SCMP_SYS(getcwd),
    SCMP_SYS(fallocate),
    // sockets
    SCMP_SYS(accept4),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recv),
    SCMP_SYS(send),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockname),
    // the loop
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(eventfd2),
    SCMP_SYS(pipe2),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_settime64),
    SCMP_SYS(signalfd4),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(ppoll_time64),
    // memory, threads, time
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(futex_time64),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(gettid),
    SCMP_SYS(getpid),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_gettime64),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(clock_nanosleep_time64),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getrandom),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(uname),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getrlimit),
    SCMP_SYS(sysinfo),
    SCMP_SYS(prctl),
    SCMP_SYS(arch_prctl),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(getppid),
};

/// As the C library makes a thread. Anything else would be a process or a namespace.
constexpr scmp_datum_t thread_flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM |
                                      CLONE_SIGHAND | CLONE_THREAD | CLONE_SETTLS |
                                      CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
#ifdef __s390__
constexpr unsigned clone_flags_argument = 1;
#else
constexpr unsigned clone_flags_argument = 0;
#endif

/// A call that is allowed with some values of its arguments only.
struct AllowedWith {
  int call;
  std::vector<scmp_arg_cmp> arguments;
};

std::vector<AllowedWith> calls_allowed_with_arguments() {
  // Of an int the kernel takes the lower half of a register; nobody clears the upper one.
  const auto equals = [](unsigned argument, scmp_datum_t value) {
    return scmp_arg_cmp{
        .arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = 0xffffffff, .datum_b = value};
  };
  const auto lacks = [](unsigned argument, scmp_datum_t bits) {
    return scmp_arg_cmp{.arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = bits, .datum_b = 0};
  };
  // Memory that is written and executed is what an intruder needs first. Libraries are loaded.
  const auto not_executable = lacks(2, PROT_EXEC);
  // A file that runs as its owner.
  constexpr scmp_datum_t set_id = S_ISUID | S_ISGID;
  std::vector<AllowedWith> allowed{
      {SCMP_SYS(clone), {equals(clone_flags_argument, thread_flags)}},
      {SCMP_SYS(mmap), {not_executable}},
      {SCMP_SYS(mmap2), {not_executable}},
      {SCMP_SYS(mprotect), {not_executable}},
      // abort(3)
      {SCMP_SYS(tgkill), {equals(0, static_cast<scmp_datum_t>(::getpid()))}},
      {SCMP_SYS(open), {lacks(2, set_id)}},
      {SCMP_SYS(openat), {lacks(3, set_id)}},
      {SCMP_SYS(mkdir), {lacks(1, set_id)}},
      {SCMP_SYS(mkdirat), {lacks(2, set_id)}},
      {SCMP_SYS(fchmod), {lacks(1, set_id)}},
      // Erasing; what else flash is asked for, and the module, was asked when it was opened.
      {SCMP_SYS(ioctl), {equals(1, MEMERASE64)}},
      {SCMP_SYS(ioctl), {equals(1, MEMUNLOCK)}},
      // Only where a socket is connected to.
      {SCMP_SYS(sendto), {{.arg = 4, .op = SCMP_CMP_EQ, .datum_a = 0, .datum_b = 0}}},
      // The process itself.
      {SCMP_SYS(prlimit64), {equals(0, 0)}},
  };
  // Not whom the kernel sends a signal when something can be read (F_SETOWN).
  for (const int call : {SCMP_SYS(fcntl), SCMP_SYS(fcntl64)}) {
    for (const int command :
         {F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC, F_OFD_SETLK, F_OFD_GETLK}) {
      allowed.push_back({call, {equals(1, static_cast<scmp_datum_t>(command))}});
    }
    allowed.push_back({call, {equals(1, F_SETFL), lacks(2, O_ASYNC)}});
  }
  return allowed;
}

Status filter_system_calls() {
  struct Release {
    void operator()(void* filter) const noexcept { ::seccomp_release(filter); }
  };
  const std::unique_ptr<void, Release> filter(::seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!filter) return fail(Errc::io, "seccomp: no filter could be made");
  for (const int call : allowed_calls) {
    // One that this architecture does not have is none to allow.
    if (call < 0) continue;
    if (const int error = ::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0); error != 0) {
      return fail_errno(-error, fmt::format("seccomp: allow system call {}", call));
    }
  }
  for (const AllowedWith& allowed : calls_allowed_with_arguments()) {
    if (allowed.call < 0) continue;
    if (const int error = ::seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, allowed.call,
                                                   static_cast<unsigned>(allowed.arguments.size()),
                                                   allowed.arguments.data());
        error != 0) {
      return fail_errno(-error, fmt::format("seccomp: allow system call {}", allowed.call));
    }
  }
  // Its flags are in memory, where no filter sees them. The C library goes on to clone().
  if (const int error =
          ::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
      error != 0) {
    return fail_errno(-error, "seccomp: refuse clone3");
  }
  if (const int error = ::seccomp_load(filter.get()); error != 0) {
    return fail_errno(-error, "seccomp: load the filter");
  }
  return {};
}

}  // namespace

Result<Identity> find_user(const std::string& name) {
  const passwd* const user = ::getpwnam(name.c_str());
  if (user == nullptr) return fail(Errc::not_found, fmt::format("there is no user \"{}\"", name));
  return Identity{name, user->pw_uid, user->pw_gid};
}

Status confine_reader() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno(errno, "no_new_privs");
  if (auto done = restrict_files({.readable = {"/"}}); !done) return done;
  return tools::keep_capabilities(0);
}

Status confine(const Confinement& confinement) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno(errno, "no_new_privs");
  if (auto done = restrict_files(confinement); !done) return done;
  if (confinement.user) {
    if (auto done = become(*confinement.user); !done) return done;
  }
  if (auto done = tools::keep_capabilities(0); !done) return done;
  return filter_system_calls();
}

}  // namespace efistore::daemon
