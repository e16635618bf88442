// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The management protocol from its bytes; what a client makes of it is in tests/runtime.
#include "mm/mm_fixture.hpp"

namespace efistore::test {
namespace {

using mm::ManagementFunction;
using mm::VariableFunction;

class ManagementFunctions : public MmTest {
 protected:
  ManagementFunctions() { serve(); }

  Fields list_request(std::u16string_view name, std::size_t room, const Guid& guid = vendor) {
    return Fields()
        .guid(guid)
        .u32(static_cast<std::uint32_t>(size_of(name)))
        .u32(0)
        .name(name)
        .zeros(room);
  }
  Fields read_request(std::u16string_view name, std::uint64_t offset, std::uint32_t wanted) {
    return Fields()
        .guid(vendor)
        .u64(offset)
        .u32(static_cast<std::uint32_t>(size_of(name)))
        .u32(wanted)
        .name(name);
  }
  std::string reason(std::uint64_t session) {
    const auto reply = management_call(ManagementFunction::last_reason, Fields().zeros(200),
                                       {.rights = mm::Rights::none, .session = session});
    ByteReader reader(reply.payload);
    std::string text;
    for (const std::byte b : reader.take(reader.u32())) text += static_cast<char>(b);
    return text;
  }
};

TEST_F(ManagementFunctions, AListGoesOnWhereItEnded) {
  for (const char16_t* const name : {u"A", u"Bb", u"Ccc"}) {
    ASSERT_EQ(set(name, nv_bs_rt, "12"), EfiStatus::success);
  }
  // Room for two entries behind the count.
  auto reply = management_call(ManagementFunction::list, list_request(u"", 8 + 36 + 38 - 26));
  ASSERT_EQ(reply.status, EfiStatus::success);
  const auto entry = [](Fields& fields, std::u16string_view name) {
    fields.guid(vendor)
        .u32(nv_bs_rt)
        .u32(static_cast<std::uint32_t>(size_of(name)))
        .u64(2)
        .name(name);
  };
  auto expected = Fields().u32(2).u32(1);
  entry(expected, u"A");
  entry(expected, u"Bb");
  EXPECT_EQ(reply.payload, expected.bytes());
  reply = management_call(ManagementFunction::list, list_request(u"Bb", 100));
  expected = Fields().u32(1).u32(0);
  entry(expected, u"Ccc");
  EXPECT_EQ(reply.payload, expected.bytes());
  reply = management_call(ManagementFunction::list, list_request(u"Ccc", 100));
  EXPECT_EQ(reply.payload, Fields().u32(0).u32(0).bytes());
}

TEST_F(ManagementFunctions, AListWithoutRoomSaysSo) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "12"), EfiStatus::success);
  EXPECT_EQ(management_call(ManagementFunction::list, list_request(u"", 0)).status,
            EfiStatus::buffer_too_small);
  EXPECT_EQ(management_call(ManagementFunction::list, list_request(u"None", 90)).status,
            EfiStatus::invalid_parameter);
}

TEST_F(ManagementFunctions, APartOfAVariableIsRead) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "0123456789"), EfiStatus::success);
  const auto expected = [](std::uint32_t count, std::string_view data) {
    return Fields().u64(10).u32(nv_bs_rt).u32(count).zeros(16).text(data).bytes();
  };
  const auto read = [&](std::uint64_t offset, std::uint32_t wanted) {
    const auto reply =
        management_call(ManagementFunction::read, read_request(u"A", offset, wanted));
    EXPECT_EQ(reply.status, EfiStatus::success);
    return reply.payload;
  };
  EXPECT_EQ(read(0, 4), expected(4, "0123"));
  EXPECT_EQ(read(8, 4), expected(2, "89"));
  EXPECT_EQ(read(10, 4), expected(0, ""));
  EXPECT_EQ(read(UINT64_MAX, UINT32_MAX), expected(0, ""));
  EXPECT_EQ(read(0, UINT32_MAX), expected(10, "0123456789"));
}

TEST_F(ManagementFunctions, NamesThatDoNotFitTheirPayloadAreRefused) {
  for (const std::uint32_t size : {1U, 3U, 5U, 4098U, UINT32_MAX}) {
    const auto request = Fields().guid(vendor).u64(0).u32(size).u32(8).name(u"A").bytes();
    const EfiStatus status =
        management_call(ManagementFunction::read, Fields().raw(request)).status;
    EXPECT_TRUE(status == EfiStatus::invalid_parameter || status == EfiStatus::access_denied)
        << size;
  }
}

TEST_F(ManagementFunctions, ReasonsBelongToWhoWasRefused) {
  const auto set_bad = Fields().guid(vendor).u64(1).u64(4).u32(0x80000000).name(u"A").text("1");
  EXPECT_EQ(variable_call(VariableFunction::set_variable, set_bad,
                          {.rights = mm::Rights::all, .session = 7})
                .status,
            EfiStatus::invalid_parameter);
  EXPECT_EQ(reason(8), "");
  EXPECT_NE(reason(7), "");
  EXPECT_NE(reason(7), "");  // asking does not take it away
  // The next request of that session does.
  management_call(ManagementFunction::get_state, Fields().zeros(48), {.session = 7});
  EXPECT_EQ(reason(7), "");
}

TEST_F(ManagementFunctions, ChangesAreToldFromWhereOneAsks) {
  ASSERT_EQ(set(u"Earlier", nv_bs_rt, "1"), EfiStatus::success);
  const auto ask = [&](std::uint64_t since) {
    return management_call(ManagementFunction::changes, Fields().u64(since).zeros(200)).payload;
  };
  const auto entry = [](std::u16string_view name) {
    return Fields()
        .guid(vendor)
        .u32(static_cast<std::uint32_t>(size_of(name)))
        .u32(0)
        .name(name)
        .bytes();
  };
  EXPECT_EQ(ask(0), Fields().u64(0).u64(0).bytes());  // noted with the reply
  EXPECT_EQ(ask(0), Fields().u64(1).u32(1).u32(0).raw(entry(u"Earlier")).bytes());
  EXPECT_EQ(ask(1), Fields().u64(1).u64(0).bytes());
  // A number of before a restart.
  EXPECT_EQ(ask(5), Fields().u64(1).u32(0).u32(1).bytes());
  EXPECT_EQ(dispatcher().changes(), 1U);
}

TEST_F(ManagementFunctions, ATransactionIsMadeAsAWholeOrNotAtAll) {
  const auto change = [](Fields& fields, std::u16string_view name, std::uint32_t attributes,
                         std::string_view data) {
    fields.guid(vendor)
        .u32(attributes)
        .u32(static_cast<std::uint32_t>(size_of(name)))
        .u32(static_cast<std::uint32_t>(data.size()))
        .u32(0)
        .name(name)
        .text(data);
  };
  auto request = Fields().u32(2).u32(0);
  change(request, u"A", nv_bs_rt, "1");
  change(request, u"B", nv_bs_rt, "2");
  EXPECT_EQ(management_call(ManagementFunction::set_all, request).status, EfiStatus::success);
  EXPECT_EQ(get(u"A") + get(u"B"), "12");
  auto bad = Fields().u32(2).u32(0);
  change(bad, u"A", nv_bs_rt, "3");
  change(bad, u"B", 0x8000, "4");
  EXPECT_NE(management_call(ManagementFunction::set_all, bad).status, EfiStatus::success);
  EXPECT_EQ(get(u"A") + get(u"B"), "12");
  for (std::size_t size = 8; size < request.bytes().size(); ++size) {
    const auto cut = Fields().raw(std::span(request.bytes()).first(size));
    EXPECT_NE(management_call(ManagementFunction::set_all, cut).status, EfiStatus::success) << size;
  }
  EXPECT_EQ(management_call(ManagementFunction::set_all, Fields().u32(UINT32_MAX).u32(0)).status,
            EfiStatus::invalid_parameter);
}

TEST_F(ManagementFunctions, CapsulesNeedSomebodyToTakeThem) {
  EXPECT_EQ(management_call(ManagementFunction::capsule_begin, Fields().u64(100)).status,
            EfiStatus::unsupported);
  EXPECT_EQ(management_call(ManagementFunction::capsule_begin, Fields().u64(100),
                            {.rights = mm::Rights::read | mm::Rights::write})
                .status,
            EfiStatus::access_denied);
}

}  // namespace
}  // namespace efistore::test
