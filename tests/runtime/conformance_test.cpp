// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The runtime services are the same over every transport. The kernel module takes part where it is
// loaded (guest.module).
#include <gtest/gtest.h>
#include <poll.h>

#include <cstdlib>
#include <set>

#include "efistore/base/attributes.hpp"
#include "efistore/variable/policy.hpp"

#include "runtime/mm_side.hpp"
#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using runtime::Client;
using runtime::VariableSize;
using variable::Phase;
using variable::VariableId;

std::vector<Way> ways() {
  if (std::getenv(module_variable) != nullptr) return {Way::kernel_module};
  return {Way::in_process, Way::socket};
}

std::string name_of(const testing::TestParamInfo<Way>& info) {
  switch (info.param) {
    case Way::in_process:
      return "in_process";
    case Way::socket:
      return "socket";
    case Way::kernel_module:
      return "kernel_module";
  }
  return "none";
}

class Conformance : public testing::TestWithParam<Way> {
 protected:
  void start(const MmSetup& setup = {}) { side_ = std::make_unique<MmSide>(GetParam(), setup); }
  Client& client() {
    if (!side_) start();
    return side_->client();
  }
  MmSide& side() { return *side_; }

  EfiStatus set(std::u16string_view name, std::string_view data,
                std::uint32_t attributes = nv_bs_rt) {
    return client()
        .set_variable(
            {.name = name, .guid = vendor, .attributes = attributes, .data = as_bytes(data)})
        .status();
  }
  std::string get(std::u16string_view name) {
    const auto variable = client().read(name, vendor);
    if (!variable) return std::string(to_string(variable.status()));
    std::string text;
    for (const std::byte b : variable->data) text += static_cast<char>(b);
    return text;
  }

 private:
  std::unique_ptr<MmSide> side_;
};

TEST_P(Conformance, GetVariableGivesWhatSetVariableTook) {
  ASSERT_EQ(set(u"A", "data"), EfiStatus::success);
  std::array<std::byte, 8> data{};
  const auto size = client().get_variable(u"A", vendor, data);
  ASSERT_TRUE(size) << size.error().reason;
  EXPECT_EQ(size->status, EfiStatus::success);
  EXPECT_EQ(size->attributes, nv_bs_rt);
  EXPECT_EQ(size->data_size, 4U);
  EXPECT_TRUE(equal_bytes(data, bytes_of(std::string_view("data\0\0\0\0", 8))));
  EXPECT_EQ(client().get_variable(u"None", vendor, data).status(), EfiStatus::not_found);
  EXPECT_EQ(client().get_variable(u"", vendor, data).status(), EfiStatus::not_found);
}

TEST_P(Conformance, GetVariableTellsSizeAndAttributesOfWhatDoesNotFit) {
  ASSERT_EQ(set(u"A", "data"), EfiStatus::success);
  std::array<std::byte, 3> data{};
  const auto size = client().get_variable(u"A", vendor, data);
  ASSERT_TRUE(size);
  EXPECT_EQ(size->status, EfiStatus::buffer_too_small);
  EXPECT_EQ(size->attributes, nv_bs_rt);
  EXPECT_EQ(size->data_size, 4U);
}

TEST_P(Conformance, GetNextVariableNameWalksToTheEnd) {
  const std::u16string longest(500, u'n');
  for (const std::u16string& name : {std::u16string(u"One"), longest, std::u16string(u"Two")}) {
    ASSERT_EQ(set(name, "1"), EfiStatus::success);
  }
  VariableId id;
  std::vector<std::u16string> names;
  for (auto next = client().get_next_variable_name(id); next;
       next = client().get_next_variable_name(id)) {
    id = *next;
    names.push_back(id.name);
  }
  EXPECT_EQ(names, (std::vector<std::u16string>{u"One", longest, u"Two"}));
  EXPECT_EQ(client().get_next_variable_name(id).status(), EfiStatus::not_found);
  EXPECT_EQ(client().get_next_variable_name({u"None", vendor}).status(),
            EfiStatus::invalid_parameter);
}

TEST_P(Conformance, QueryVariableInfoGivesThreeFigures) {
  const auto before = client().query_variable_info(nv_bs_rt);
  ASSERT_TRUE(before);
  EXPECT_EQ(before->maximum_storage_size, before->remaining_storage_size);
  ASSERT_EQ(set(u"A", "data"), EfiStatus::success);
  const auto after = client().query_variable_info(nv_bs_rt);
  EXPECT_LT(after->remaining_storage_size, before->remaining_storage_size);
  EXPECT_EQ(client().query_variable_info(0).status(), EfiStatus::invalid_parameter);
}

TEST_P(Conformance, ARefusalComesWithItsReason) {
  const auto done = client().set_variable(
      {.name = u"A", .guid = vendor, .attributes = nv_bs_rt | hr, .data = as_bytes("x")});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.status(), EfiStatus::invalid_parameter);
  EXPECT_NE(done.error().reason, "");
}

TEST_P(Conformance, TheLargestVariableFitsAndOneByteMoreDoesNot) {
  const auto info = client().store_info();
  ASSERT_TRUE(info);
  const std::size_t largest = info->max_variable_size - 60 - 4;
  const std::string data(largest, 'd');
  EXPECT_EQ(set(u"A", data), EfiStatus::success);
  EXPECT_EQ(get(u"A"), data);
  EXPECT_EQ(set(u"A", data + "d"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", std::string(std::size_t{1} << 20, 'd')), EfiStatus::invalid_parameter);
}

TEST_P(Conformance, AListHasEveryVariableOnceAlsoInManyParts) {
  constexpr int count = 400;
  for (int i = 0; i < count; ++i) {
    std::u16string name = u"Variable-with-a-name-of-some-length-" + std::u16string(60, u'x');
    for (const char digit : std::to_string(i)) name += static_cast<char16_t>(digit);
    ASSERT_EQ(set(name, "1"), EfiStatus::success) << i;
  }
  const auto all = client().list();
  ASSERT_TRUE(all) << all.error().reason;
  EXPECT_EQ(all->size(), static_cast<std::size_t>(count));
  std::set<std::u16string> names;
  for (const auto& entry : *all) names.insert(entry.id.name);
  EXPECT_EQ(names.size(), all->size());
  EXPECT_EQ(all->front().attributes, nv_bs_rt);
  EXPECT_EQ(all->front().data_size, 1U);
}

TEST_P(Conformance, EventsChangeThePhase) {
  start({.services = {.phase = Phase::boot_early}});
  EXPECT_EQ(client().state()->phase, Phase::boot_early);
  EXPECT_TRUE(client().lock_variable(u"L", vendor));
  EXPECT_TRUE(client().ready_to_boot());
  EXPECT_EQ(client().state()->phase, Phase::boot);
  EXPECT_EQ(client().lock_variable(u"M", vendor).status(), EfiStatus::access_denied);
  EXPECT_EQ(set(u"L", "1"), EfiStatus::write_protected);
  EXPECT_EQ(set(u"B", "1", nv_bs), EfiStatus::success);
  EXPECT_TRUE(client().exit_boot_services());
  EXPECT_EQ(client().state()->phase, Phase::runtime);
  EXPECT_EQ(get(u"B"), "EFI_NOT_FOUND");
  EXPECT_EQ(client().ready_to_boot().status(), EfiStatus::unsupported);
}

TEST_P(Conformance, PropertiesAreKeptAndChecked) {
  start({.services = {.phase = Phase::boot_early}});
  const variable::VarCheckProperty property{.min_size_bytes = 2, .max_size_bytes = 3};
  EXPECT_EQ(client().get_property(u"P", vendor).status(), EfiStatus::not_found);
  ASSERT_TRUE(client().register_property(u"P", vendor, property));
  EXPECT_EQ(client().get_property(u"P", vendor).value(), property);
  ASSERT_TRUE(client().ready_to_boot());
  EXPECT_EQ(set(u"P", "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"P", "12"), EfiStatus::success);
}

TEST_P(Conformance, StatisticsGoThroughTheVariables) {
  ASSERT_EQ(set(u"One", "1"), EfiStatus::success);
  ASSERT_EQ(set(u"Two", "1", bs_rt), EfiStatus::success);
  std::array<std::byte, 8> data{};
  ASSERT_TRUE(client().get_variable(u"Two", vendor, data));
  const auto one = client().get_statistics({});
  ASSERT_TRUE(one) << one.error().reason;
  EXPECT_EQ(one->id.name, u"One");
  const auto two = client().get_statistics(one->id);
  ASSERT_TRUE(two);
  EXPECT_EQ(two->id.name, u"Two");
  EXPECT_EQ(two->writes, 1U);
  EXPECT_EQ(two->reads, 1U);
  EXPECT_EQ(client().get_statistics(two->id).status(), EfiStatus::not_found);
}

TEST_P(Conformance, PoliciesAreRegisteredDumpedAndLocked) {
  start({.services = {.phase = Phase::boot_early}});
  std::vector<std::byte> expected;
  for (int i = 0; i < 500; ++i) {
    std::u16string name = u"Policy";
    for (const char digit : std::to_string(i)) name += static_cast<char16_t>(digit);
    const variable::Policy policy{.name = name, .guid = vendor, .max_size_bytes = 4};
    ASSERT_TRUE(client().register_policy(policy));
    const auto entry = variable::encode_policy(policy).value();
    expected.insert(expected.end(), entry.begin(), entry.end());
  }
  EXPECT_EQ(client().dump_policies().value(), expected);
  const auto info = client().policy_info(mm::PolicyCommand::get_info, u"Policy7", vendor);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->name, u"Policy7");
  EXPECT_TRUE(client().policies_enabled().value());
  EXPECT_EQ(client().disable_policies().status(), EfiStatus::write_protected);
  EXPECT_TRUE(client().lock_policies());
  EXPECT_TRUE(client().state()->policies_locked);
  EXPECT_EQ(client().lock_policies().status(), EfiStatus::write_protected);
}

TEST_P(Conformance, ChangesAreTold) {
  const std::uint64_t before = client().state()->changes;
  for (int i = 0; i < 700; ++i) ASSERT_EQ(set(u"A", std::to_string(i), bs_rt), EfiStatus::success);
  ASSERT_EQ(set(u"B", "1"), EfiStatus::success);
  const auto changes = client().changes(before);
  ASSERT_TRUE(changes);
  EXPECT_FALSE(changes->lost);
  ASSERT_EQ(changes->ids.size(), 701U);
  EXPECT_EQ(changes->ids.back().name, u"B");
  EXPECT_TRUE(client().changes(changes->latest)->ids.empty());
  EXPECT_TRUE(client().changes(changes->latest + 1)->lost);
  for (int i = 0; i < 700; ++i) ASSERT_EQ(set(u"A", std::to_string(i), bs_rt), EfiStatus::success);
  EXPECT_TRUE(client().changes(before)->lost);
}

TEST_P(Conformance, ATransactionIsMadeAsAWholeOrNotAtAll) {
  const std::vector<variable::SetRequest> good{
      {.name = u"A", .guid = vendor, .attributes = nv_bs_rt, .data = as_bytes("1")},
      {.name = u"B", .guid = vendor, .attributes = nv_bs_rt, .data = as_bytes("2")}};
  EXPECT_TRUE(client().set_all(good));
  EXPECT_EQ(get(u"A") + get(u"B"), "12");
  auto bad = good;
  bad[0].data = as_bytes("3");
  bad[1].attributes = nv_bs_rt | hr;
  EXPECT_FALSE(client().set_all(bad));
  EXPECT_EQ(get(u"A") + get(u"B"), "12");
}

TEST_P(Conformance, ReclaimCompacts) {
  for (int i = 0; i < 20; ++i) ASSERT_EQ(set(u"A", std::to_string(i)), EfiStatus::success);
  EXPECT_GT(client().store_info()->dead_records, 0U);
  EXPECT_TRUE(client().reclaim());
  EXPECT_EQ(client().store_info()->dead_records, 0U);
  EXPECT_EQ(get(u"A"), "19");
}

TEST_P(Conformance, TheHeaderOfVersion3WorksAsWell) {
  ASSERT_EQ(set(u"A", "1"), EfiStatus::success);
  auto other = Client::create(side().connect().value(), mm::HeaderVersion::v3);
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ(other->read(u"A", vendor)->data, bytes_of("1"));
  EXPECT_TRUE(other->dump_policies());
  EXPECT_EQ(other->get_next_variable_name({})->name, u"A");
}

TEST_P(Conformance, ACapsuleNeedsSomebodyWhoTakesIt) {
  const std::vector<std::byte> capsule(100);
  EXPECT_EQ(client().submit_capsule(capsule).status(), EfiStatus::unsupported);
}

TEST_P(Conformance, AWatchWakesWhenSomebodyElseChangesSomething) {
  if (GetParam() == Way::in_process) {
    EXPECT_FALSE(client().transport().watch());
    return;
  }
  auto watch = client().transport().watch();
  ASSERT_TRUE(watch) << watch.error().message;
  ASSERT_TRUE((*watch)->acknowledge());
  const auto wakes = [&] {
    pollfd waiting{.fd = (*watch)->fd(), .events = (*watch)->events(), .revents = 0};
    return ::poll(&waiting, 1, 5000) == 1 && (waiting.revents & (*watch)->events()) != 0;
  };
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(set(u"A", std::to_string(i)), EfiStatus::success);
    EXPECT_TRUE(wakes());
    EXPECT_TRUE((*watch)->acknowledge());
    pollfd quiet{.fd = (*watch)->fd(), .events = (*watch)->events(), .revents = 0};
    EXPECT_EQ(::poll(&quiet, 1, 0), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Over, Conformance, testing::ValuesIn(ways()), name_of);

}  // namespace
}  // namespace efistore::test
