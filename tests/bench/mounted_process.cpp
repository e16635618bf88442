// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "mounted_process.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include "workload.hpp"

namespace efistore::bench {

namespace {

using namespace std::chrono_literals;

constexpr auto most_patience = 20s;
constexpr auto poll_interval = 10ms;

bool is_mounted(const std::filesystem::path& path) {
  struct stat here {};
  struct stat above {};
  return stat(path.c_str(), &here) == 0 && stat(path.parent_path().c_str(), &above) == 0 &&
         here.st_dev != above.st_dev;
}

/// A mount whose server has gone answers so.
bool is_left_behind(const std::filesystem::path& path) {
  struct stat here {};
  return stat(path.c_str(), &here) != 0 && errno == ENOTCONN;
}

/// With SIGTERM, or with SIGKILL if that is not answered in time.
void end_process(pid_t pid) {
  kill(pid, SIGTERM);
  const auto end = std::chrono::steady_clock::now() + most_patience;
  while (std::chrono::steady_clock::now() < end) {
    if (waitpid(pid, nullptr, WNOHANG) == pid) return;
    std::this_thread::sleep_for(poll_interval);
  }
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

pid_t start(const std::vector<std::string>& command) {
  std::vector<std::string> words = command;
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) give_up("fork() fails");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    // The parent may have ended before it was asked for.
    if (getppid() == parent) execv(pointers[0], pointers.data());
    _exit(127);
  }
  return pid;
}

}  // namespace

MountedProcess::MountedProcess(std::vector<std::string> command, std::filesystem::path mount_point)
    : mount_point_(std::move(mount_point)) {
  std::filesystem::create_directories(mount_point_);
  command.push_back(mount_point_.string());
  pid_ = start(command);
  const auto end = std::chrono::steady_clock::now() + most_patience;
  while (!is_mounted(mount_point_)) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      give_up(command[0] + " ended before it had mounted");
    }
    if (std::chrono::steady_clock::now() > end) {
      end_process(pid_);
      give_up(command[0] + " does not mount");
    }
    std::this_thread::sleep_for(poll_interval);
  }
}

MountedProcess::~MountedProcess() {
  end_process(pid_);
  // Of a program that was killed the mount is left, and would keep the directory from going.
  if (is_left_behind(mount_point_)) {
    waitpid(start({"/usr/bin/fusermount3", "-u", "-z", "-q", mount_point_.string()}), nullptr, 0);
  }
}

ResidentMemory MountedProcess::resident_memory() const {
  ResidentMemory memory;
  std::ifstream status(fmt::format("/proc/{}/status", pid_));
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    std::string name;
    std::size_t kib = 0;
    words >> name >> kib;
    if (name == "VmRSS:") memory.resident = kib;
    if (name == "VmHWM:") memory.high_water = kib;
    if (name == "RssAnon:") memory.anonymous = kib;
  }
  if (memory.resident == 0) give_up("/proc does not tell the resident memory");
  return memory;
}

}  // namespace efistore::bench
