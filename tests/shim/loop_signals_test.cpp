// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// A pipe that nobody writes to stands for the kernel: a read of it that blocks would never end.
#include "loop_signals.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#include "efistore/base/unique_fd.hpp"

namespace efistore::shim {
namespace {

using namespace std::chrono_literals;

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    reading = UniqueFd(ends[0]);
    writing = UniqueFd(ends[1]);
  }
  UniqueFd reading;
  UniqueFd writing;
};

/// The errno of a read of one byte, 0 for success.
int read_error(const Pipe& pipe) {
  char byte = 0;
  return ::read(pipe.reading.get(), &byte, 1) < 0 ? errno : 0;
}

/// Another process, which does `work` once this one sleeps, as it does in a read that waits.
class OnceAsleep {
 public:
  template <typename Work>
  explicit OnceAsleep(Work work) {
    const pid_t sleeper = ::getpid();
    child_ = ::fork();
    if (child_ != 0) return;
    while (::getppid() == sleeper && !sleeps(sleeper)) std::this_thread::sleep_for(1ms);
    work(sleeper);
    ::_exit(0);
  }
  ~OnceAsleep() { ::waitpid(child_, nullptr, 0); }
  OnceAsleep(const OnceAsleep&) = delete;
  OnceAsleep& operator=(const OnceAsleep&) = delete;

 private:
  static bool sleeps(pid_t process) {
    std::ifstream file("/proc/" + std::to_string(process) + "/stat");
    std::string number;
    std::string name;
    std::string state;
    file >> number >> name >> state;
    return state == "S";
  }

  pid_t child_ = 0;
};

class LoopSignalsTest : public ::testing::TestWithParam<int> {
 protected:
  LoopSignalsTest() {
    EXPECT_TRUE(block_end_signals());
    // A read that blocks after all ends the test.
    ::alarm(20);
  }
  ~LoopSignalsTest() override { ::alarm(0); }
};

TEST_P(LoopSignalsTest, WithoutASignalNothingHasArrivedAndReadsBlock) {
  const Pipe pipe;
  const LoopSignals end(pipe.reading.get());
  EXPECT_FALSE(end.end_arrived());
  EXPECT_EQ(::fcntl(pipe.reading.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_P(LoopSignalsTest, OneThatWasHeldBackArrivesAtOnce) {
  const Pipe pipe;
  ::raise(GetParam());
  const LoopSignals end(pipe.reading.get());
  EXPECT_TRUE(end.end_arrived());
  EXPECT_EQ(read_error(pipe), EAGAIN);
}

TEST_P(LoopSignalsTest, OneBetweenTheQuestionAndTheReadIsNotLost) {
  const Pipe pipe;
  const LoopSignals end(pipe.reading.get());
  ASSERT_FALSE(end.end_arrived());
  ::raise(GetParam());
  EXPECT_EQ(read_error(pipe), EAGAIN);
  EXPECT_TRUE(end.end_arrived());
}

TEST_P(LoopSignalsTest, OneDuringTheReadEndsIt) {
  const Pipe pipe;
  const LoopSignals end(pipe.reading.get());
  const OnceAsleep other([](pid_t reader) { ::kill(reader, GetParam()); });
  EXPECT_EQ(read_error(pipe), EAGAIN);
  EXPECT_TRUE(end.end_arrived());
}

TEST_P(LoopSignalsTest, OtherCallsThatItInterruptsGoOn) {
  const Pipe requests;
  const Pipe flash;
  const LoopSignals end(requests.reading.get());
  const OnceAsleep other([&](pid_t reader) {
    ::kill(reader, GetParam());
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(::write(flash.writing.get(), "x", 1), 1);
  });
  EXPECT_EQ(read_error(flash), 0);
  EXPECT_TRUE(end.end_arrived());
}

TEST_P(LoopSignalsTest, AfterItSignalsAreHeldBackAgain) {
  {
    const Pipe pipe;
    const LoopSignals end(pipe.reading.get());
  }
  ::raise(GetParam());
  sigset_t pending;
  ASSERT_EQ(::sigpending(&pending), 0);
  EXPECT_EQ(sigismember(&pending, GetParam()), 1);
  const Pipe next;
  EXPECT_TRUE(LoopSignals(next.reading.get()).end_arrived()) << "and taken";
}

TEST_P(LoopSignalsTest, AnEarlierOneIsForgotten) {
  {
    const Pipe pipe;
    const LoopSignals end(pipe.reading.get());
    ::raise(GetParam());
    EXPECT_TRUE(end.end_arrived());
  }
  const Pipe pipe;
  EXPECT_FALSE(LoopSignals(pipe.reading.get()).end_arrived());
}

TEST(LoopTick, EndsAReadThatWaitsAndLetsTheNextOneWait) {
  const Pipe pipe;
  LoopSignals signals(pipe.reading.get(), 1s);
  EXPECT_FALSE(signals.take_tick());
  EXPECT_EQ(read_error(pipe), EAGAIN);
  EXPECT_TRUE(signals.take_tick());
  EXPECT_FALSE(signals.take_tick());
  EXPECT_FALSE(signals.end_arrived());
  EXPECT_EQ(::fcntl(pipe.reading.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(read_error(pipe), EAGAIN) << "there is another one a second later";
}

TEST(LoopTick, DoesNotUndoWhatAnEndSignalDid) {
  ASSERT_TRUE(block_end_signals());
  const Pipe pipe;
  LoopSignals signals(pipe.reading.get(), 1s);
  EXPECT_EQ(read_error(pipe), EAGAIN);
  ::raise(SIGTERM);
  EXPECT_TRUE(signals.take_tick());
  EXPECT_TRUE(signals.end_arrived());
  EXPECT_EQ(read_error(pipe), EAGAIN);
}

TEST(LoopTick, EndsWithTheLoop) {
  {
    const Pipe pipe;
    const LoopSignals signals(pipe.reading.get(), 1s);
  }
  itimerval timer{};
  ASSERT_EQ(::getitimer(ITIMER_REAL, &timer), 0);
  EXPECT_EQ(timer.it_value.tv_sec + timer.it_value.tv_usec, 0);
}

class LoopWaitTest : public ::testing::Test {
 protected:
  LoopWaitTest() {
    EXPECT_TRUE(block_end_signals());
    ::alarm(20);
  }
  ~LoopWaitTest() override { ::alarm(0); }
};

TEST_F(LoopWaitTest, EndsWithTheTimeAndReadsDoNotBlockUntilTheNextTurn) {
  const Pipe pipe;
  LoopSignals signals(pipe.reading.get());
  const auto before = std::chrono::steady_clock::now();
  signals.wait(30ms);
  EXPECT_GE(std::chrono::steady_clock::now() - before, 30ms);
  EXPECT_EQ(read_error(pipe), EAGAIN);
  EXPECT_FALSE(signals.take_tick());
  EXPECT_EQ(::fcntl(pipe.reading.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(LoopWaitTest, EndsWhenThereIsSomethingToRead) {
  const Pipe pipe;
  LoopSignals signals(pipe.reading.get());
  const OnceAsleep other([&](pid_t) { EXPECT_EQ(::write(pipe.writing.get(), "x", 1), 1); });
  signals.wait(24h);
  EXPECT_EQ(read_error(pipe), 0);
}

TEST_F(LoopWaitTest, EndsWithASignalDuringIt) {
  const Pipe pipe;
  LoopSignals signals(pipe.reading.get());
  const OnceAsleep other([](pid_t waiter) { ::kill(waiter, SIGTERM); });
  signals.wait(24h);
  EXPECT_TRUE(signals.end_arrived());
}

TEST_F(LoopWaitTest, DoesNotBeginAfterASignal) {
  const Pipe pipe;
  LoopSignals signals(pipe.reading.get());
  ::raise(SIGTERM);
  signals.wait(24h);
  EXPECT_TRUE(signals.end_arrived());
  EXPECT_FALSE(signals.take_tick());
  EXPECT_EQ(read_error(pipe), EAGAIN) << "what the signal did lasts";
}

TEST(LoopTick, EndsAWait) {
  const Pipe pipe;
  LoopSignals signals(pipe.reading.get(), 1s);
  signals.wait(24h);
  EXPECT_TRUE(signals.take_tick());
}

std::string name_of_signal(const ::testing::TestParamInfo<int>& tested) {
  return ::sigabbrev_np(tested.param);
}

INSTANTIATE_TEST_SUITE_P(Each, LoopSignalsTest, ::testing::Values(SIGTERM, SIGINT, SIGHUP),
                         name_of_signal);

}  // namespace
}  // namespace efistore::shim
