// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "common/confined.hpp"

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <new>
#include <string>
#include <thread>

namespace efistore::tools {
namespace {

using namespace std::chrono_literals;
using Text = std::optional<std::string>;

class Confined : public testing::Test {
 protected:
  void TearDown() override {
    // Whatever happened to the child, it is waited for.
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
  }
};

TEST_F(Confined, GivesTheText) {
  EXPECT_EQ(run_confined([] { return Text("HD(1)"); }), "HD(1)");
  EXPECT_EQ(run_confined([] { return Text(""); }), "");
}

TEST_F(Confined, KeepsTheParentsMemory) {
  int counter = 0;
  EXPECT_EQ(run_confined([&counter] { return Text(std::to_string(++counter)); }), "1");
  EXPECT_EQ(counter, 0);
}

TEST_F(Confined, GivesNothingForNothing) {
  EXPECT_EQ(run_confined([] { return Text(); }), std::nullopt);
}

TEST_F(Confined, SurvivesACrash) {
  for (const int number : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGKILL}) {
    EXPECT_EQ(run_confined([number]() -> Text {
                std::signal(number, SIG_DFL);
                std::raise(number);
                return "survived";
              }),
              std::nullopt)
        << number;
  }
  EXPECT_EQ(run_confined([]() -> Text { std::abort(); }), std::nullopt);
}

TEST_F(Confined, SurvivesAnException) {
  EXPECT_EQ(run_confined([]() -> Text { throw std::bad_alloc(); }), std::nullopt);
}

TEST_F(Confined, EndsWhatTakesTooLong) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(run_confined(
                []() -> Text {
                  std::this_thread::sleep_for(60s);
                  return "late";
                },
                {.time_limit = 50ms}),
            std::nullopt);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 30s);
}

TEST_F(Confined, TakesNoMoreTextThanTheLimit) {
  EXPECT_EQ(run_confined([] { return Text(std::string(100, 'x')); }, {.output_limit_bytes = 100}),
            std::string(100, 'x'));
  EXPECT_EQ(run_confined([] { return Text(std::string(101, 'x')); }, {.output_limit_bytes = 100}),
            std::nullopt);
  // More than a pipe holds: the child is stuck in its write.
  EXPECT_EQ(
      run_confined([] { return Text(std::string(1 << 20, 'x')); }, {.output_limit_bytes = 100}),
      std::nullopt);
}

TEST_F(Confined, KeepsTheStandardStreamsFromTheChild) {
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  EXPECT_EQ(run_confined([] {
              const bool wrote =
                  write(STDERR_FILENO, "noise", 5) == 5 && write(STDOUT_FILENO, "noise", 5) == 5;
              return Text(wrote ? "done" : "failed");
            }),
            "done");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

TEST_F(Confined, KeepsFilesFromTheChild) {
  // RLIMIT_FSIZE: a library that is led astray cannot fill a disk.
  const std::string path = testing::TempDir() + "confined-" + std::to_string(getpid());
  EXPECT_NE(run_confined([&path]() -> Text {
              std::signal(SIGXFSZ, SIG_IGN);
              FILE* file = std::fopen(path.c_str(), "w");
              if (file == nullptr) return "no file";
              const bool wrote = std::fputs("x", file) >= 0 && std::fflush(file) == 0;
              return wrote ? "wrote" : "refused";
            }),
            "wrote");
  std::remove(path.c_str());
}

}  // namespace
}  // namespace efistore::tools
