// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The variable-policy protocol's seven commands, and every malformed message.
#include "efistore/variable/policy.hpp"

#include "mm/mm_fixture.hpp"

namespace efistore::test {
namespace {

using mm::PolicyCommand;
using variable::Phase;
using variable::Policy;
using variable::PolicyLock;
using variable::PolicyState;

constexpr std::size_t page_size = 0x3fc7;

class PolicyFunctions : public MmTest {
 protected:
  PolicyFunctions() { serve({.options = {.phase = Phase::boot_early}}); }

  MmReply command(std::uint32_t number, std::span<const std::byte> payload,
                  const mm::Caller& caller = everything, std::uint32_t signature = 0x43504356,
                  std::uint32_t revision = 1) {
    const auto message =
        Fields().u32(signature).u32(revision).u32(number).u64(0x5555).raw(payload).bytes();
    const auto reply = exchange(frame_of(mm::guids::policy_protocol, message), caller);
    EXPECT_EQ(reply.size(), 24 + message.size());
    ByteReader reader(std::span<const std::byte>(reply).subspan(36));
    const auto status = static_cast<EfiStatus>(reader.u64());
    return {status, {reply.begin() + 44, reply.end()}};
  }
  MmReply command(PolicyCommand number, const Fields& payload = {}) {
    return command(static_cast<std::uint32_t>(number), payload.bytes());
  }
  void add(const Policy& policy) {
    const auto entry = variable::encode_policy(policy).value();
    ASSERT_EQ(command(PolicyCommand::register_policy, Fields().raw(entry)).status,
              EfiStatus::success);
  }
  static Fields dump_request(std::uint32_t page) { return Fields().u32(page).zeros(9 + page_size); }
  static Fields info_request(std::u16string_view name, std::uint32_t out_size) {
    return Fields()
        .guid(vendor)
        .u32(static_cast<std::uint32_t>(size_of(name)))
        .u32(out_size)
        .zeros(44)
        .name(name)
        .zeros(out_size);
  }
};

TEST_F(PolicyFunctions, ARegisteredPolicyIsEnforcedAndDumped) {
  const Policy policy{.name = u"Max", .guid = vendor, .max_size_bytes = 2};
  add(policy);
  const auto entry = variable::encode_policy(policy).value();
  EXPECT_EQ(command(PolicyCommand::register_policy, Fields().raw(entry)).status,
            EfiStatus::already_started);
  auto reply = command(PolicyCommand::dump, dump_request(0));
  EXPECT_EQ(reply.status, EfiStatus::success);
  ByteReader first(std::span<const std::byte>(reply.payload).subspan(4));
  EXPECT_EQ(first.u32(), entry.size());
  EXPECT_EQ(first.u32(), 0U);
  EXPECT_EQ(first.u8(), 1U);
  reply = command(PolicyCommand::dump, dump_request(1));
  ByteReader second(std::span<const std::byte>(reply.payload).subspan(4));
  EXPECT_EQ(second.u32(), entry.size());
  EXPECT_EQ(second.u32(), entry.size());
  EXPECT_EQ(second.u8(), 0U);
  EXPECT_TRUE(equal_bytes(second.take(entry.size()), entry));
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_EQ(set(u"Max", nv_bs_rt, "123"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"Max", nv_bs_rt, "12"), EfiStatus::success);
}

TEST_F(PolicyFunctions, ADumpComesInPagesAndEndsOnTheirEdge) {
  // As many entries as make up one page, to the byte, and then one more.
  const std::size_t smallest = 44 + 4;
  std::size_t total = 0;
  for (unsigned i = 0; total < page_size; ++i) {
    std::u16string name = u"V00000";
    for (int digit = 5; digit > 0; --digit)
      name[static_cast<std::size_t>(digit)] =
          static_cast<char16_t>(u'0' + i /
                                           (digit == 5   ? 1
                                            : digit == 4 ? 10
                                            : digit == 3 ? 100
                                            : digit == 2 ? 1000
                                                         : 10000) %
                                           10);
    const std::size_t size = 44 + size_of(name);
    const std::size_t left = page_size - total;
    if (left < size + smallest && left % 2 == 0 && left >= smallest) {
      name.resize((left - 44) / 2 - 1, u'x');
    }
    const Policy policy{.name = name, .guid = vendor, .max_size_bytes = 8};
    const auto entry = variable::encode_policy(policy).value();
    ASSERT_EQ(command(PolicyCommand::register_policy, Fields().raw(entry)).status,
              EfiStatus::success);
    total += entry.size();
  }
  const auto all = services().policies().dump();
  ASSERT_EQ(all.size(), total);
  std::vector<std::byte> got;
  bool more = true;
  command(PolicyCommand::dump, dump_request(0));
  for (std::uint32_t page = 1; more; ++page) {
    const auto reply = command(PolicyCommand::dump, dump_request(page));
    ASSERT_EQ(reply.status, EfiStatus::success);
    ByteReader reader(std::span<const std::byte>(reply.payload).subspan(8));
    const std::uint32_t size = reader.u32();
    more = reader.u8() != 0;
    const auto part = reader.take(size);
    got.insert(got.end(), part.begin(), part.end());
    ASSERT_LT(page, 5U);
  }
  EXPECT_EQ(got, all);
}

TEST_F(PolicyFunctions, APageWithoutPageZeroTimesOutAndAnyOtherCommandForgets) {
  add({.name = u"A", .guid = vendor, .max_size_bytes = 8});
  EXPECT_EQ(command(PolicyCommand::dump, dump_request(1)).status, EfiStatus::timeout);
  command(PolicyCommand::dump, dump_request(0));
  command(PolicyCommand::is_enabled, Fields().zeros(1));
  EXPECT_EQ(command(PolicyCommand::dump, dump_request(1)).status, EfiStatus::timeout);
  command(PolicyCommand::dump, dump_request(0));
  EXPECT_EQ(command(PolicyCommand::dump, dump_request(2)).status, EfiStatus::invalid_parameter);
  EXPECT_EQ(command(PolicyCommand::dump, dump_request(UINT32_MAX)).status,
            EfiStatus::invalid_parameter);
}

TEST_F(PolicyFunctions, AnEmptyTableHasNoPages) {
  const auto reply = command(PolicyCommand::dump, dump_request(0));
  EXPECT_EQ(reply.status, EfiStatus::success);
  ByteReader reader(std::span<const std::byte>(reply.payload).subspan(4));
  EXPECT_EQ(reader.u64(), 0U);
  EXPECT_EQ(reader.u8(), 0U);
}

TEST_F(PolicyFunctions, LockEndsRegistrationAndDisabling) {
  EXPECT_EQ(command(PolicyCommand::lock).status, EfiStatus::success);
  EXPECT_EQ(command(PolicyCommand::lock).status, EfiStatus::write_protected);
  const auto entry =
      variable::encode_policy({.name = u"A", .guid = vendor, .max_size_bytes = 8}).value();
  EXPECT_EQ(command(PolicyCommand::register_policy, Fields().raw(entry)).status,
            EfiStatus::write_protected);
  EXPECT_EQ(command(PolicyCommand::disable).status, EfiStatus::write_protected);
}

TEST_F(PolicyFunctions, DisablingIsShown) {
  serve({.options = {.phase = Phase::boot_early, .policy_disable_allowed = true}});
  EXPECT_EQ(command(PolicyCommand::is_enabled, Fields().zeros(1)).payload[0], std::byte{1});
  EXPECT_EQ(command(PolicyCommand::disable).status, EfiStatus::success);
  EXPECT_EQ(command(PolicyCommand::disable).status, EfiStatus::already_started);
  EXPECT_EQ(command(PolicyCommand::is_enabled, Fields().zeros(1)).payload[0], std::byte{0});
}

TEST_F(PolicyFunctions, InfoGivesTheEntryAndItsName) {
  const Policy policy{
      .name = u"Boot####", .guid = vendor, .min_size_bytes = 1, .max_size_bytes = 9};
  add(policy);
  const auto reply = command(PolicyCommand::get_info, info_request(u"Boot0001", 64));
  ASSERT_EQ(reply.status, EfiStatus::success);
  const auto entry = variable::encode_policy(policy).value();
  ByteReader reader(std::span<const std::byte>(reply.payload).subspan(20));
  EXPECT_EQ(reader.u32(), size_of(u"Boot####"));
  EXPECT_TRUE(equal_bytes(reader.take(44), std::span(entry).first(44)));
  reader.skip(size_of(u"Boot0001"));
  EXPECT_TRUE(equal_bytes(reader.take(18), Fields().name(u"Boot####").bytes()));
  EXPECT_TRUE(is_filled(reader.take(64 - 18), std::byte{0}));
  EXPECT_EQ(command(PolicyCommand::get_info, info_request(u"Boot0001", 16)).status,
            EfiStatus::buffer_too_small);
  EXPECT_EQ(command(PolicyCommand::get_info, info_request(u"Boot0001", 0)).status,
            EfiStatus::success);
  EXPECT_EQ(command(PolicyCommand::get_info, info_request(u"Other", 64)).status,
            EfiStatus::not_found);
  EXPECT_EQ(command(PolicyCommand::get_lock_state_info, info_request(u"Boot0001", 64)).status,
            EfiStatus::not_found);
}

TEST_F(PolicyFunctions, LockStateInfoGivesTheStateAndItsName) {
  add({.name = u"A",
       .guid = vendor,
       .max_size_bytes = 9,
       .lock = PolicyLock::on_var_state,
       .state = PolicyState{.name = u"State", .guid = guids::global_variable, .value = 7}});
  const auto reply = command(PolicyCommand::get_lock_state_info, info_request(u"A", 32));
  ASSERT_EQ(reply.status, EfiStatus::success);
  ByteReader reader(std::span<const std::byte>(reply.payload).subspan(24));
  EXPECT_TRUE(
      equal_bytes(reader.take(44),
                  Fields().guid(guids::global_variable).put(std::uint8_t{7}).zeros(27).bytes()));
  reader.skip(size_of(u"A"));
  EXPECT_TRUE(equal_bytes(reader.take(12), Fields().name(u"State").bytes()));
}

TEST_F(PolicyFunctions, MalformedMessagesAreRefused) {
  const std::vector<std::byte> none;
  EXPECT_EQ(command(2, none, everything, 0x43504355).status, EfiStatus::invalid_parameter);
  EXPECT_EQ(command(2, none, everything, 0x43504356, 2).status, EfiStatus::invalid_parameter);
  EXPECT_EQ(command(0, none).status, EfiStatus::unsupported);
  EXPECT_EQ(command(8, none).status, EfiStatus::unsupported);
  const std::vector<std::pair<std::uint32_t, std::size_t>> least{
      {2, 1}, {3, 44}, {4, 13 + page_size}, {6, 68}, {7, 68}};
  for (const auto& [number, size] : least) {
    EXPECT_EQ(command(number, std::vector<std::byte>(size - 1)).status,
              EfiStatus::invalid_parameter)
        << number;
  }
  // An entry that reaches beyond the message.
  auto entry = variable::encode_policy({.name = u"A", .guid = vendor, .max_size_bytes = 8}).value();
  entry.pop_back();
  EXPECT_EQ(command(3, entry).status, EfiStatus::invalid_parameter);
  for (const auto& [in, out] : std::vector<std::pair<std::uint32_t, std::uint32_t>>{
           {UINT32_MAX, 0}, {4, UINT32_MAX}, {8, 4}, {0, 4}, {1, 4}, {2, 4}}) {
    const auto request =
        Fields().guid(vendor).u32(in).u32(out).zeros(44).name(u"A").u16('x').u16('x');
    EXPECT_EQ(command(PolicyCommand::get_info, request).status, EfiStatus::invalid_parameter)
        << in << ' ' << out;
  }
}

TEST_F(PolicyFunctions, AReplyIsAFrameAlsoWhereTheRequestHadBytesBehindIt) {
  auto request = frame_of(mm::guids::policy_protocol,
                          Fields().u32(mm::policy_signature).u32(1).u32(2).u64(0).zeros(1).bytes(),
                          mm::HeaderVersion::v3);
  request.resize(request.size() + 8);
  ByteWriter(std::span(request).subspan(16)).u64(request.size());  // BufferSize
  const auto header = mm::parse_frame_header(exchange(request));
  ASSERT_TRUE(header) << header.error().message;
  EXPECT_EQ(header->message_size, mm::policy_header_size + 1);
}

TEST_F(PolicyFunctions, RightsAreAskedFor) {
  const std::vector<std::byte> large(13 + page_size);
  for (const std::uint32_t number : {1U, 3U, 5U}) {
    EXPECT_EQ(command(number, large, {.rights = mm::Rights::read | mm::Rights::write}).status,
              EfiStatus::access_denied);
  }
  for (const std::uint32_t number : {2U, 4U, 6U, 7U}) {
    EXPECT_EQ(command(number, large, {.rights = mm::Rights::lock}).status,
              EfiStatus::access_denied);
  }
}

}  // namespace
}  // namespace efistore::test
