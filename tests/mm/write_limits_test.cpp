// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Who is asked before something is written, and what is charged for it.
#include "efistore/variable/write_budget.hpp"

#include "mm/mm_fixture.hpp"

namespace efistore::test {
namespace {

using mm::ManagementFunction;
using mm::VariableFunction;

constexpr mm::Caller user{.rights = mm::Rights::all, .session = 1, .user = 4711};

/// Notes who asks and who is charged.
class Limiter final : public mm::WriteLimiter {
 public:
  variable::EfiResult<void> admit(std::uint32_t who, std::uint64_t cost) override {
    asked.push_back(who);
    expected.push_back(cost);
    if (open) return {};
    return variable::refuse(EfiStatus::out_of_resources, "enough");
  }
  void charge(std::uint32_t who, std::uint64_t cost) override {
    EXPECT_EQ(who, user.user);
    charged.push_back(cost);
  }

  bool open = true;
  std::vector<std::uint32_t> asked{};
  std::vector<std::uint64_t> expected{};
  std::vector<std::uint64_t> charged{};
};

class WriteLimits : public MmTest {
 protected:
  WriteLimits() { serve({}, {.limiter = &limiter_}); }

  EfiStatus set_variable(std::u16string_view name, std::string_view data,
                         std::uint32_t attributes = nv_bs_rt) {
    return variable_call(VariableFunction::set_variable,
                         Fields()
                             .guid(vendor)
                             .u64(data.size())
                             .u64(size_of(name))
                             .u32(attributes)
                             .name(name)
                             .text(data),
                         user)
        .status;
  }
  EfiStatus set_all(std::initializer_list<std::u16string_view> names) {
    auto request = Fields().u32(static_cast<std::uint32_t>(names.size())).u32(0);
    for (const auto name : names) {
      request.guid(vendor)
          .u32(nv_bs_rt)
          .u32(static_cast<std::uint32_t>(size_of(name)))
          .u32(1)
          .u32(0)
          .name(name)
          .text("1");
    }
    return management_call(ManagementFunction::set_all, request, user).status;
  }
  EfiStatus reclaim() { return management_call(ManagementFunction::reclaim, {}, user).status; }
  const store::Usage& usage() { return services().store().usage(); }

  Limiter limiter_;
};

TEST_F(WriteLimits, ARecordIsChargedToWhoWroteItWithItsShareOfTheNextReclaim) {
  const std::uint64_t before = services().store().written_record_bytes();
  ASSERT_EQ(set_variable(u"A", "1"), EfiStatus::success);
  const std::uint64_t written = services().store().written_record_bytes() - before;
  ASSERT_GT(written, 0U);
  EXPECT_EQ(limiter_.asked, std::vector{user.user});
  EXPECT_EQ(limiter_.charged, std::vector{variable::wear_cost(written, usage())});
}

TEST_F(WriteLimits, WhatWritesNothingIsFree) {
  ASSERT_EQ(set_variable(u"A", "1"), EfiStatus::success);
  limiter_.charged.clear();
  EXPECT_EQ(set_variable(u"A", "1"), EfiStatus::success);
  EXPECT_EQ(set_variable(u"V", "1", nv_bs_rt & ~1U), EfiStatus::success);
  EXPECT_NE(set_variable(u"", "1"), EfiStatus::success);
  EXPECT_EQ(set_variable(u"A", ""), EfiStatus::success);
  EXPECT_TRUE(limiter_.charged.empty());
}

TEST_F(WriteLimits, WhatRewritesAllOfTheStoreCostsThat) {
  ASSERT_EQ(set_all({u"A", u"B"}), EfiStatus::success);
  ASSERT_EQ(limiter_.charged.size(), 1U);
  EXPECT_EQ(limiter_.charged[0], usage().capacity);
  ASSERT_EQ(set_variable(u"A", ""), EfiStatus::success);
  limiter_.charged.clear();
  ASSERT_EQ(reclaim(), EfiStatus::success);
  EXPECT_EQ(limiter_.charged, std::vector{std::uint64_t{usage().capacity}});
  // There is nothing to win any more.
  EXPECT_EQ(reclaim(), EfiStatus::success);
  EXPECT_EQ(limiter_.charged.size(), 1U);
}

TEST_F(WriteLimits, WhatAWriteCostsIsAskedForBeforeItIsMade) {
  constexpr std::uint32_t append = nv_bs_rt | attributes::append_write;
  ASSERT_EQ(set_variable(u"Name", "some"), EfiStatus::success);
  ASSERT_EQ(set_variable(u"Name", std::string(500, 'x')), EfiStatus::success);
  ASSERT_EQ(set_variable(u"Name", "more", append), EfiStatus::success);
  ASSERT_EQ(set_variable(u"Name", "less"), EfiStatus::success);
  ASSERT_EQ(set_all({u"A", u"B"}), EfiStatus::success);
  ASSERT_EQ(set_variable(u"A", ""), EfiStatus::success);
  ASSERT_EQ(reclaim(), EfiStatus::success);
  EXPECT_EQ(limiter_.charged.size(), 6U);
  EXPECT_EQ(limiter_.expected, limiter_.charged);
  ASSERT_EQ(set_variable(u"V", "1", nv_bs_rt & ~1U), EfiStatus::success);
  EXPECT_EQ(limiter_.expected.back(), 0U);
}

TEST_F(WriteLimits, WhoIsRefusedMayReadAndDelete) {
  ASSERT_EQ(set_variable(u"A", "1"), EfiStatus::success);
  ASSERT_EQ(set_variable(u"B", "1"), EfiStatus::success);
  limiter_.open = false;
  const std::uint64_t before = services().store().written_record_bytes();
  EXPECT_EQ(set_variable(u"A", "2"), EfiStatus::out_of_resources);
  EXPECT_EQ(set_variable(u"A", "", nv_bs_rt | attributes::append_write),
            EfiStatus::out_of_resources);
  EXPECT_EQ(set_all({u"C"}), EfiStatus::out_of_resources);
  EXPECT_EQ(get(u"A"), "1");
  EXPECT_EQ(services().store().written_record_bytes(), before);
  EXPECT_EQ(set_variable(u"A", ""), EfiStatus::success);
  EXPECT_EQ(reclaim(), EfiStatus::out_of_resources);
  EXPECT_EQ(get(u"B"), "1");
}

TEST_F(WriteLimits, WhoMayNotWriteIsToldThatFirst) {
  limiter_.open = false;
  const mm::Caller reader{.rights = mm::Rights::read, .session = 1, .user = 4711};
  EXPECT_EQ(management_call(ManagementFunction::reclaim, {}, reader).status,
            EfiStatus::access_denied);
  EXPECT_TRUE(limiter_.asked.empty());
}

}  // namespace
}  // namespace efistore::test
