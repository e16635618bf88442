// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Devices that fail, at every one of their operations: the error is clear, nothing more is written,
// and on a device that works again everything is old or new.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "efistore/base/bytes.hpp"

#include "powercut/runner.hpp"
#include "support/borrowed_device.hpp"
#include "support/faulty_device.hpp"
#include "support/sample.hpp"

namespace efistore::test {
namespace {

using store::VariableStore;

constexpr Guid probe_guid = *Guid::parse("00000000-1111-2222-3333-444444444444");

/// Sees to it that nothing is programmed over bytes that are not erased, single bytes (states and
/// flags) and clearing to zero apart.
class Watched final : public Decorator {
 public:
  explicit Watched(std::unique_ptr<flash::Device> owned) : Decorator(std::move(owned)) {}

  Status read(std::uint64_t offset, std::span<std::byte> out) override {
    return below().read(offset, out);
  }
  Status program(std::uint64_t offset, std::span<const std::byte> data) override {
    std::vector<std::byte> current(data.size());
    EXPECT_TRUE(below().read(offset, current));
    if (data.size() > 1 && !is_filled(data, std::byte{0})) {
      EXPECT_TRUE(is_filled(current, std::byte{0xff}))
          << fmt::format("{} bytes over used ones at {:#x}", data.size(), offset);
    }
    auto done = below().program(offset, data);
    EXPECT_TRUE(done || done.error().code != Errc::bit_set) << done.error().message;
    return done;
  }
  Status erase(flash::Range blocks) override { return below().erase(blocks); }
  Status sync() override { return below().sync(); }
};

/// From one program or erase on, which is the `nth`, the device can only be read.
class TurnsReadOnly final : public Decorator {
 public:
  /// `refused`, which must outlive this, becomes true when it is.
  TurnsReadOnly(std::unique_ptr<flash::Device> owned, std::uint64_t nth, bool& refused)
      : Decorator(std::move(owned)), left_(nth), refused_(refused) {}

  Status read(std::uint64_t offset, std::span<std::byte> out) override {
    return below().read(offset, out);
  }
  Status program(std::uint64_t offset, std::span<const std::byte> data) override {
    if (auto allowed = take(); !allowed) return allowed;
    return below().program(offset, data);
  }
  Status erase(flash::Range blocks) override {
    if (auto allowed = take(); !allowed) return allowed;
    return below().erase(blocks);
  }
  Status sync() override { return below().sync(); }

 private:
  Status take() {
    if (left_ > 1) {
      --left_;
      return {};
    }
    refused_ = true;
    return fail(Errc::read_only, "the device has become read-only");
  }

  std::uint64_t left_;
  bool& refused_;
};

/// Makes the scenario's change on `device`. The error is one of the device, and after it, `repair`
/// having mended the device, the store is not written.
void change_with_trouble(const Scenario& scenario, std::unique_ptr<flash::Device> device,
                         const std::function<bool()>& failed, const std::function<void()>& repair) {
  if (!scenario.store_change) {
    const Status done = scenario.change(std::move(device));
    // The device is gone with what had it; formatting and the services hand the failure on.
    EXPECT_NE(done.has_value(), failed());
    return;
  }
  auto opened = VariableStore::open(std::move(device));
  if (!opened) {
    EXPECT_EQ(opened.error().code, Errc::io) << opened.error().message;
    EXPECT_FALSE(opened.error().message.empty());
    return;
  }
  if (opened->report().not_written_because.empty()) {
    const Status done = scenario.store_change(*opened);
    if (!failed()) {
      EXPECT_TRUE(done) << done.error().message;
      return;
    }
    ASSERT_FALSE(done) << "a failure was not told";
    EXPECT_EQ(done.error().code, Errc::io) << done.error().message;
  }
  EXPECT_TRUE(opened->read_only());
  repair();
  const std::byte data{1};
  const Status refused = opened->put({u"Probe", probe_guid, 3, std::span(&data, 1)});
  ASSERT_FALSE(refused) << "written after a failure";
  EXPECT_EQ(refused.error().code, Errc::read_only) << refused.error().message;
  EXPECT_EQ(opened->reclaim().error().code, Errc::read_only);
}

std::unique_ptr<flash::Device> watched(Medium& medium) {
  return std::make_unique<Watched>(std::make_unique<TearingDevice>(medium));
}

class BadDevice : public testing::TestWithParam<std::size_t> {
 protected:
  BadDevice()
      : scenario_(scenario_kinds()[GetParam()].make(
            store::Layout::custom({.size_bytes = 0x7000}).value())),
        runner_(scenario_, {}) {
    scenario_.name = scenario_kinds()[GetParam()].name;
  }

  void TearDown() override {
    for (const std::string& failure : runner_.failures()) ADD_FAILURE() << failure;
    fmt::print("bad device: {}: {} faults, {} reopenings {}\n", scenario_.name, faults_,
               runner_.counts().reopenings, sample_note());
    EXPECT_GT(runner_.counts().reopenings, faults_);
  }

  /// The device works again; after the most of failures nobody wants more.
  bool check(const Medium& medium, const std::string& label) {
    ++faults_;
    runner_.check_left(medium, label);
    return runner_.failures().empty() && !HasFailure();
  }

  Scenario scenario_;
  Runner runner_;
  std::uint64_t faults_ = 0;
};

INSTANTIATE_TEST_SUITE_P(All, BadDevice, testing::Range<std::size_t>(0, scenario_kinds().size()),
                         [](const auto& made) {
                           return std::string(scenario_kinds()[made.param].name);
                         });

TEST_P(BadDevice, FailsOnceOrForGood) {
  constexpr std::uint64_t all = UINT64_MAX;
  for (const auto operation : {FlashOperation::program, FlashOperation::erase, FlashOperation::read,
                               FlashOperation::sync}) {
    for (const bool lasting : {false, true}) {
      for (const std::uint64_t bytes_done : {std::uint64_t{0}, std::uint64_t{7}, all}) {
        if (bytes_done != 0 && operation != FlashOperation::program) continue;
        for (std::uint64_t nth = 1;; nth += sample_stride) {
          ASSERT_LT(nth, 10000U) << "it never succeeds";
          const std::string label =
              fmt::format("operation {} nth {} done {} {}", static_cast<int>(operation), nth,
                          bytes_done, lasting ? "lasting" : "once");
          SCOPED_TRACE(label);
          Medium medium{.content = scenario_.image};
          FaultyDevice device(watched(medium));
          device.arm(
              {.operation = operation, .nth = nth, .bytes_done = bytes_done, .lasting = lasting});
          change_with_trouble(
              scenario_, std::make_unique<BorrowedDevice>(device),
              [&] { return device.faults() != 0; }, [&] { device.disarm(); });
          if (device.faults() == 0) break;
          if (!check(medium, label)) return;
        }
      }
    }
  }
}

TEST_P(BadDevice, TurnsReadOnly) {
  for (std::uint64_t nth = 1;; nth += sample_stride) {
    ASSERT_LT(nth, 10000U) << "it never succeeds";
    const std::string label = fmt::format("read-only from {} on", nth);
    SCOPED_TRACE(label);
    Medium medium{.content = scenario_.image};
    bool refused = false;
    change_with_trouble(
        scenario_, std::make_unique<TurnsReadOnly>(watched(medium), nth, refused),
        [&] { return refused; }, [] {});
    if (!refused) break;
    if (!check(medium, label)) return;
  }
}

}  // namespace
}  // namespace efistore::test
