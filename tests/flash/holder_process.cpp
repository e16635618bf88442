// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "flash/holder_process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace efistore::flash {

namespace {

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::exit(1);
}

const char* program_path() {
  const char* path = std::getenv("EFISTORE_LOCK_HOLDER");
  return path != nullptr ? path : EFISTORE_LOCK_HOLDER;
}

}  // namespace

HolderProcess::HolderProcess(const std::vector<std::string>& arguments) {
  std::array<int, 2> input{};
  std::array<int, 2> output{};
  if (::pipe2(input.data(), O_CLOEXEC) != 0 || ::pipe2(output.data(), O_CLOEXEC) != 0) {
    give_up("pipe2");
  }
  std::vector<std::string> words{program_path()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
  const int error = ::posix_spawn(&pid_, words[0].c_str(), &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(input[0]);
  ::close(output[1]);
  input_ = input[1];
  if (error != 0) give_up(words[0].c_str());

  std::array<char, 6> answer{};
  const ssize_t count = ::read(output[0], answer.data(), answer.size());
  ::close(output[0]);
  if (count <= 0 || !std::string_view(answer.data(), answer.size()).starts_with("ready")) {
    give_up("lock_holder is not ready");
  }
}

void HolderProcess::stop() {
  if (pid_ < 0) return;
  ::close(input_);
  wait();
}

void HolderProcess::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::close(input_);
  wait();
}

void HolderProcess::wait() {
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

}  // namespace efistore::flash
