// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "waiting_writes.hpp"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>

#include "efistore/base/bytes.hpp"

// Requests are libfuse's own; here only their addresses matter.
struct fuse_req {
  int unused;
};

namespace efistore::shim {
namespace {

using namespace std::chrono_literals;
using namespace literals;

constexpr Guid first_vendor = "210be57c-9849-4fc7-a635-e6382d1aec27"_guid;
constexpr Guid second_vendor = "cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0"_guid;
constexpr Guid third_vendor = "8be4df61-93ca-11d2-aa0d-00e098032b8c"_guid;

class WaitingWritesTest : public ::testing::Test {
 protected:
  bool add(std::size_t request, const Guid& vendor, std::string_view text = "x") {
    return waiting_.add(&requests_.at(request), request, vendor, as_bytes(text));
  }
  /// The number of the request that is due, or -1.
  int due() {
    const auto write = waiting_.take_due([this](const Guid& vendor) {
      ++questions_;
      return waits_[vendor];
    });
    return write ? static_cast<int>(write->request - requests_.data()) : -1;
  }

  WaitingWrites waiting_;
  std::map<Guid, std::chrono::milliseconds> waits_;
  int questions_ = 0;
  std::array<fuse_req, 10> requests_{};
};

TEST_F(WaitingWritesTest, AreDueInTheirOrderOnceTheirVendorNeedNotWait) {
  waits_ = {{first_vendor, 10ms}, {second_vendor, 7ms}, {third_vendor, 12ms}};
  add(0, first_vendor);
  add(1, second_vendor);
  add(2, first_vendor);
  add(3, third_vendor);
  EXPECT_EQ(due(), -1);
  EXPECT_EQ(waiting_.shortest_wait(), 7ms);
  waits_[first_vendor] = 0ms;
  EXPECT_EQ(due(), 0);
  EXPECT_EQ(due(), 2);
  EXPECT_EQ(due(), -1);
  waits_[second_vendor] = waits_[third_vendor] = 0ms;
  EXPECT_EQ(due(), 1);
  EXPECT_FALSE(waiting_.empty());
  EXPECT_EQ(due(), 3);
  EXPECT_TRUE(waiting_.empty());
}

TEST_F(WaitingWritesTest, NoneOvertakesAnotherOfItsVendorWhileTimeGoesOn) {
  add(0, first_vendor);
  add(1, first_vendor);
  // Due by the time that a second question would be asked.
  const auto write = waiting_.take_due(
      [this](const Guid&) { return questions_++ == 0 ? 1ms : std::chrono::milliseconds(0); });
  EXPECT_FALSE(write);
  EXPECT_EQ(due(), 0);
}

TEST_F(WaitingWritesTest, CarryWhatWasToBeWritten) {
  add(3, second_vendor, "value");
  EXPECT_TRUE(waiting_.has(second_vendor));
  EXPECT_FALSE(waiting_.has(first_vendor));
  const auto write = waiting_.take_first();
  ASSERT_TRUE(write);
  EXPECT_EQ(write->request, &requests_[3]);
  EXPECT_EQ(write->number, 3U);
  EXPECT_EQ(write->vendor, second_vendor);
  EXPECT_TRUE(equal_bytes(write->bytes, as_bytes("value")));
  EXPECT_FALSE(waiting_.take_first());
}

TEST_F(WaitingWritesTest, OneThatWasRemovedIsNeverDue) {
  add(0, first_vendor);
  add(1, first_vendor);
  EXPECT_TRUE(waiting_.remove(&requests_[0]));
  EXPECT_FALSE(waiting_.remove(&requests_[0]));
  EXPECT_EQ(due(), 1);
  EXPECT_EQ(due(), -1);
}

TEST_F(WaitingWritesTest, AreBoundedInNumber) {
  for (std::size_t i = 0; i < max_waiting_writes; ++i) ASSERT_TRUE(add(i % 10, first_vendor));
  EXPECT_FALSE(add(0, second_vendor));
  EXPECT_FALSE(waiting_.has(second_vendor));
  EXPECT_EQ(due(), 0);
  EXPECT_TRUE(add(0, second_vendor));
}

TEST_F(WaitingWritesTest, AreBoundedInBytes) {
  const std::string half(max_waiting_bytes / 2, 'x');
  EXPECT_TRUE(add(0, first_vendor, half));
  EXPECT_TRUE(add(1, first_vendor, half));
  EXPECT_FALSE(add(2, first_vendor, "x"));
  EXPECT_TRUE(waiting_.remove(&requests_[0]));
  EXPECT_TRUE(add(2, first_vendor, "x"));
  EXPECT_FALSE(add(3, first_vendor, half));
}

}  // namespace
}  // namespace efistore::shim
