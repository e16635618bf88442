// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/variable/write_budget.hpp"

#include <gtest/gtest.h>

#include "variable/services_fixture.hpp"

namespace efistore::variable {
namespace {

using namespace std::chrono_literals;
using namespace literals;

constexpr Guid runaway = "210be57c-9849-4fc7-a635-e6382d1aec27"_guid;
constexpr Guid modest = "cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0"_guid;
constexpr WriteBudgetOptions hourly{.bytes_per_hour = 3600, .burst_bytes = 1000};
constexpr WriteBudget::Time beginning{1000h};

WriteBudget make(const WriteBudgetOptions& options = hourly) {
  auto budget = WriteBudget::create(options);
  EXPECT_TRUE(budget);
  return std::move(*budget);
}

Guid made_up(std::size_t number) {
  Guid guid = "11111111-2222-3333-4444-000000000000"_guid;
  guid.bytes[15] = static_cast<std::byte>(number);
  guid.bytes[14] = static_cast<std::byte>(number >> 8);
  return guid;
}

TEST(WriteBudget, NothingAnHourIsNoBudget) {
  const auto budget = WriteBudget::create({.bytes_per_hour = 0, .burst_bytes = 1});
  ASSERT_FALSE(budget);
  EXPECT_EQ(budget.error().code, Errc::invalid_argument);
}

TEST(WriteBudget, TheBurstIsFreeAndWhatOverdrawsItIsPaidFor) {
  WriteBudget budget = make();
  EXPECT_EQ(budget.wait(runaway, beginning), 0ms);
  budget.charge(runaway, 1000, beginning);
  EXPECT_EQ(budget.wait(runaway, beginning), 0ms) << "used up, and not overdrawn";
  budget.charge(runaway, 7, beginning);
  EXPECT_EQ(budget.wait(runaway, beginning), 7s);
  EXPECT_EQ(budget.wait(runaway, beginning + 3s), 4s);
  EXPECT_EQ(budget.wait(runaway, beginning + 6999ms), 1ms);
  EXPECT_EQ(budget.wait(runaway, beginning + 7s), 0ms);
  budget.charge(runaway, 1, beginning + 7s);
  EXPECT_EQ(budget.wait(runaway, beginning + 7s), 1s);
}

TEST(WriteBudget, WhoAsksForMoreWaitsUntilThereIsAsMuch) {
  WriteBudget budget = make();
  EXPECT_EQ(budget.wait(runaway, beginning, 1000), 0ms);
  budget.charge(runaway, 400, beginning);
  EXPECT_EQ(budget.wait(runaway, beginning, 600), 0ms);
  EXPECT_EQ(budget.wait(runaway, beginning, 607), 7s);
  EXPECT_EQ(budget.wait(runaway, beginning + 7s, 607), 0ms);
}

TEST(WriteBudget, WithOwnDebtsAllAreOverdrawnByOneBurstAtMost) {
  WriteBudget budget = make({.bytes_per_hour = 3600, .burst_bytes = 1000, .own_debts = true});
  for (int i = 0; i < 3; ++i) budget.charge(runaway, 1 << 30, beginning);
  EXPECT_EQ(budget.wait(modest, beginning), 250s);
  EXPECT_GT(budget.wait(runaway, beginning), 100h);
}

TEST(WriteBudget, AWaitIsRoundedUpToWhatIsEnough) {
  WriteBudget budget = make({.bytes_per_hour = 7, .burst_bytes = 0});
  budget.charge(runaway, 1, beginning);
  const auto wait = budget.wait(runaway, beginning);
  EXPECT_EQ(wait, 514286ms) << "an hour / 7 is 514285.7 ms";
  EXPECT_EQ(budget.wait(runaway, beginning + wait - 1ms), 1ms);
  EXPECT_EQ(budget.wait(runaway, beginning + wait), 0ms);
}

TEST(WriteBudget, QuestionsAtUnevenTimesLoseNothing) {
  WriteBudget budget = make();
  budget.charge(runaway, 1001, beginning);
  for (auto at = beginning; at < beginning + 1s; at += 300us) budget.wait(runaway, at);
  EXPECT_EQ(budget.wait(runaway, beginning + 1s), 0ms);
}

TEST(WriteBudget, TheBurstComesBackAndNoMore) {
  WriteBudget budget = make();
  budget.charge(runaway, 1000, beginning);
  const auto later = beginning + 1000h;
  budget.charge(runaway, 1001, later);
  EXPECT_EQ(budget.wait(runaway, later), 1s);
}

TEST(WriteBudget, OthersGoOnWhileOneRunsAway) {
  WriteBudget budget = make();
  budget.charge(runaway, 2000, beginning);
  EXPECT_EQ(budget.wait(runaway, beginning), 1000s);
  EXPECT_EQ(budget.wait(modest, beginning), 0ms);
  budget.charge(modest, 1000, beginning);
  EXPECT_EQ(budget.wait(modest, beginning), 0ms);
}

TEST(WriteBudget, AllTogetherHaveFourTimesWhatOneHas) {
  WriteBudget budget = make();
  for (std::size_t i = 0; i < budget_shares; ++i) budget.charge(made_up(i), 1000, beginning);
  EXPECT_EQ(budget.wait(modest, beginning), 0ms);
  budget.charge(modest, 8, beginning);
  EXPECT_EQ(budget.wait(made_up(1000), beginning), 2s) << "8 bytes at 4 times 1 a second";
  EXPECT_EQ(budget.wait(made_up(1000), beginning + 2s), 0ms);
}

/// Writes under a new GUID whenever it may, and gives the bytes that got through.
std::uint64_t write_under_made_up_guids(WriteBudget& budget, std::chrono::hours duration) {
  constexpr std::uint64_t write_bytes = 100;
  std::uint64_t written = 0;
  std::size_t number = 0;
  for (auto now = beginning; now < beginning + duration;) {
    const Guid guid = made_up(++number % 60000);
    if (const auto wait = budget.wait(guid, now); wait > 0ms) {
      now += wait;
      continue;
    }
    budget.charge(guid, write_bytes, now);
    EXPECT_LE(budget.remembered_vendors(), max_budget_vendors);
    written += write_bytes;
  }
  return written;
}

TEST(WriteBudget, MadeUpGuidsGetNoBurstsOfTheirOwn) {
  WriteBudget budget = make();
  constexpr std::uint64_t hours = 10;
  const std::uint64_t written = write_under_made_up_guids(budget, std::chrono::hours(hours));
  EXPECT_LE(written, budget_shares * (1000 + hours * 3600) + 100);
  EXPECT_GE(written, budget_shares * (1000 + hours * 3600) - 100) << "and are delayed no longer";
}

TEST(WriteBudget, WhoIsNotRememberedSharesOneBucket) {
  // All vendors together may write 256,000 bytes at once, so it is not that which delays.
  WriteBudget budget = make({.bytes_per_hour = 3600, .burst_bytes = 64000});
  for (std::size_t i = 0; i < max_budget_vendors; ++i) budget.charge(made_up(i), 1, beginning);
  EXPECT_EQ(budget.remembered_vendors(), max_budget_vendors);
  budget.charge(made_up(1000), 64005, beginning);
  EXPECT_EQ(budget.wait(made_up(2000), beginning), 5s);
  EXPECT_EQ(budget.wait(made_up(0), beginning), 0ms) << "has one of its own";
  EXPECT_EQ(budget.remembered_vendors(), max_budget_vendors);
}

TEST(WriteBudget, WhoHasItsBurstBackIsForgotten) {
  WriteBudget budget = make();
  budget.charge(made_up(1), 10, beginning);
  budget.charge(made_up(2), 20, beginning);
  EXPECT_EQ(budget.remembered_vendors(), 2U);
  budget.wait(modest, beginning + 10s);
  EXPECT_EQ(budget.remembered_vendors(), 1U);
  budget.wait(modest, beginning + 20s);
  EXPECT_EQ(budget.remembered_vendors(), 0U);
}

TEST(WriteBudget, AClockThatGoesBackwardsGivesNothingAndStopsNobody) {
  WriteBudget budget = make();
  budget.charge(runaway, 1010, beginning);
  EXPECT_EQ(budget.wait(runaway, beginning - 500h), 10s);
  EXPECT_EQ(budget.wait(runaway, beginning - 500h + 4s), 6s);
  EXPECT_EQ(budget.wait(runaway, beginning - 500h + 10s), 0ms);
}

TEST(WriteBudget, TheLargestFiguresDoNotOverflow) {
  constexpr std::uint32_t most = 0xffffffff;
  WriteBudget budget = make({.bytes_per_hour = most, .burst_bytes = most});
  for (int i = 0; i < 5; ++i) budget.charge(runaway, ~std::uint64_t{0}, beginning);
  EXPECT_GT(budget.wait(runaway, beginning), 200h);
  EXPECT_EQ(budget.wait(runaway, beginning + 1'000'000h), 0ms);
  WriteBudget slow = make({.bytes_per_hour = 1, .burst_bytes = 0});
  slow.charge(runaway, ~std::uint64_t{0}, beginning);
  EXPECT_GT(slow.wait(runaway, beginning), 1'000'000h);
}

TEST(WearCost, IsTheRecordsShareOfTheNextReclaim) {
  EXPECT_EQ(wear_cost(0, {.capacity = 1000}), 0U);
  EXPECT_EQ(wear_cost(100, {.capacity = 1000, .live = 0}), 100U);
  EXPECT_EQ(wear_cost(100, {.capacity = 1000, .live = 500}), 200U) << "5 of them to a reclaim";
  EXPECT_EQ(wear_cost(100, {.capacity = 1000, .live = 900}), 1000U) << "each brings a reclaim";
  EXPECT_EQ(wear_cost(100, {.capacity = 1000, .live = 960}), 1000U);
  EXPECT_EQ(wear_cost(100, {.capacity = 1000, .live = 1000}), 1000U);
}

class ChargedSetTest : public test::ServicesTest {
 protected:
  EfiStatus write(std::u16string_view name, std::string_view data,
                  std::uint32_t attributes = test::nv_bs_rt, const Guid& guid = runaway) {
    return set_and_charge(
               services(),
               {.name = name, .guid = guid, .attributes = attributes, .data = as_bytes(data)},
               budget_, beginning)
        .status();
  }
  /// What the vendor's budget was charged with so far: a byte is a second.
  std::uint64_t charged(const Guid& guid = runaway) {
    return static_cast<std::uint64_t>(budget_.wait(guid, beginning) / 1s);
  }
  std::uint64_t cost(std::u16string_view name, std::size_t size) {
    return wear_cost(test::padded_size(name, size), services().store().usage());
  }

 private:
  // Nobody has a burst, and the joint bucket never delays longer than the vendor's own.
  WriteBudget budget_ = make({.bytes_per_hour = 3600, .burst_bytes = 0});
};

TEST_F(ChargedSetTest, ARecordIsChargedAndAskingForTheSameAgainIsNot) {
  start();
  EXPECT_EQ(write(u"A", "value"), EfiStatus::success);
  const std::uint64_t once = cost(u"A", 5);
  EXPECT_GE(once, test::padded_size(u"A", 5));
  EXPECT_EQ(charged(), once);
  EXPECT_EQ(write(u"A", "value"), EfiStatus::success);
  EXPECT_EQ(charged(), once);
  EXPECT_EQ(write(u"A", "other"), EfiStatus::success);
  EXPECT_EQ(charged(), 2 * once);
}

TEST_F(ChargedSetTest, AnAppendIsChargedWithTheWholeNewRecord) {
  start();
  EXPECT_EQ(write(u"A", std::string(200, 'a')), EfiStatus::success);
  const std::uint64_t before = charged();
  EXPECT_EQ(write(u"A", "b", test::nv_bs_rt | test::ap), EfiStatus::success);
  EXPECT_EQ(charged() - before, cost(u"A", 201));
}

TEST_F(ChargedSetTest, WhatWritesNoRecordIsFree) {
  start();
  EXPECT_EQ(write(u"V", "volatile", test::bs_rt), EfiStatus::success);
  EXPECT_EQ(write(u"", "refused"), EfiStatus::invalid_parameter);
  EXPECT_EQ(charged(), 0U);
  EXPECT_EQ(set(u"A", test::nv_bs_rt, "x", runaway), EfiStatus::success);
  EXPECT_EQ(write(u"A", ""), EfiStatus::success);
  EXPECT_EQ(charged(), 0U);
}

TEST_F(ChargedSetTest, WhoHappensToBringTheReclaimPaysForItsOwnRecordOnly) {
  start();
  while (services().store().usage().free() >= test::padded_size(u"A", 300)) {
    ASSERT_EQ(set(u"A", test::nv_bs_rt,
                  std::string(300, static_cast<char>(services().store().usage().used))),
              EfiStatus::success);
  }
  writes();
  const auto used = services().store().usage().used;
  EXPECT_EQ(write(u"B", std::string(300, 'b'), test::nv_bs_rt, modest), EfiStatus::success);
  EXPECT_LT(services().store().usage().used, used) << "it was a reclaim";
  EXPECT_EQ(charged(modest), cost(u"B", 300));
  EXPECT_LT(charged(modest), 500U);
}

TEST_F(ChargedSetTest, CapacityOfCostIsAboutOneReclaim) {
  start();
  ASSERT_EQ(set(u"Fixed", test::nv_bs_rt, std::string(1500, 'f')), EfiStatus::success);
  unsigned reclaims = 0;
  for (unsigned i = 0; i < 2000; ++i) {
    const auto before = services().store().usage().used;
    ASSERT_EQ(write(u"A", std::string(100, static_cast<char>(i))), EfiStatus::success);
    if (services().store().usage().used < before) ++reclaims;
  }
  const double costed = static_cast<double>(charged()) / test::store_capacity;
  EXPECT_GT(reclaims, 100U);
  EXPECT_GE(costed, reclaims) << "the budget must not let more through than it says";
  EXPECT_LE(costed, reclaims * 1.2);
}

}  // namespace
}  // namespace efistore::variable
