// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// EDK2's fourteen functions: what each answers, and the status of every malformed request.
#include "mm/mm_fixture.hpp"
#include "statistics.hpp"

namespace efistore::test {
namespace {

using mm::VariableFunction;
using variable::Phase;

Fields access(std::u16string_view name, std::uint32_t attributes, std::string_view data,
              std::uint64_t data_size) {
  return Fields()
      .guid(vendor)
      .u64(data_size)
      .u64(size_of(name))
      .u32(attributes)
      .name(name)
      .text(data);
}

Fields set_request(std::u16string_view name, std::string_view data) {
  return access(name, nv_bs_rt, data, data.size());
}

Fields get_request(std::u16string_view name, std::size_t room) {
  return access(name, 0, std::string(room, 'x'), room);
}

Fields next_request(std::u16string_view name, std::uint64_t name_size, std::size_t room,
                    const Guid& guid = vendor) {
  return Fields().guid(guid).u64(name_size).name(name).zeros(room - size_of(name));
}

class VariableFunctions : public MmTest {
 protected:
  VariableFunctions() { serve(); }

  EfiStatus call_status(VariableFunction function, const Fields& payload,
                        const mm::Caller& caller = everything) {
    return variable_call(function, payload, caller).status;
  }
};

TEST_F(VariableFunctions, InitCommunicateBuffer) {
  // The row's limits: a payload as large as GetPayloadSize says, and one byte more.
  const auto reply = variable_call(VariableFunction::get_payload_size, Fields().zeros(8));
  ASSERT_EQ(reply.status, EfiStatus::success);
  const auto limit = static_cast<std::size_t>(ByteReader(reply.payload).u64());
  const std::u16string name = u"N";
  const std::size_t in_front = 36 + 4;
  EXPECT_EQ(call_status(VariableFunction::get_variable, get_request(name, limit - in_front)),
            EfiStatus::not_found);
  EXPECT_EQ(call_status(VariableFunction::get_variable, get_request(name, limit - in_front + 1)),
            EfiStatus::invalid_parameter);
}

TEST_F(VariableFunctions, GetPayloadSizeIsEdk2sForOvmf) {
  // 0x8400 + 48 - 60, measured (facts/store.md, B).
  StoreSetup setup;
  setup.options.limits = variable::Limits{};
  serve(setup);
  const auto reply = variable_call(VariableFunction::get_payload_size, Fields().zeros(8));
  EXPECT_EQ(ByteReader(reply.payload).u64(), 0x83f4U);
}

TEST_F(VariableFunctions, RuntimeServiceSetVariableAndGetVariable) {
  ASSERT_EQ(call_status(VariableFunction::set_variable, set_request(u"A", "data")),
            EfiStatus::success);
  const auto reply = variable_call(VariableFunction::get_variable, get_request(u"A", 6));
  ASSERT_EQ(reply.status, EfiStatus::success);
  // In place: the size and the attributes are the variable's, what is behind the data the caller's.
  EXPECT_EQ(reply.payload, access(u"A", nv_bs_rt, "dataxx", 4).bytes());
}

TEST_F(VariableFunctions, GetVariableTellsSizeAndAttributesOfWhatDoesNotFit) {
  ASSERT_EQ(call_status(VariableFunction::set_variable, set_request(u"A", "data")),
            EfiStatus::success);
  const auto reply = variable_call(VariableFunction::get_variable, get_request(u"A", 3));
  EXPECT_EQ(reply.status, EfiStatus::buffer_too_small);
  EXPECT_EQ(reply.payload, access(u"A", nv_bs_rt, "xxx", 4).bytes());
}

TEST_F(VariableFunctions, GetVariableOfWhatIsNotThereChangesNothing) {
  const auto request = get_request(u"None", 3);
  const auto reply = variable_call(VariableFunction::get_variable, request);
  EXPECT_EQ(reply.status, EfiStatus::not_found);
  EXPECT_EQ(reply.payload, request.bytes());
}

TEST_F(VariableFunctions, ANameEndsAtItsFirstNul) {
  const auto name = std::u16string(u"A\0rest", 6);
  ASSERT_EQ(call_status(VariableFunction::set_variable, set_request(name, "1")),
            EfiStatus::success);
  EXPECT_EQ(get(u"A"), "1");
}

TEST_F(VariableFunctions, RuntimeServiceGetNextVariableName) {
  ASSERT_EQ(set(u"First", nv_bs_rt, "1"), EfiStatus::success);
  ASSERT_EQ(set(u"Second", nv_bs_rt, "1"), EfiStatus::success);
  auto reply =
      variable_call(VariableFunction::get_next_variable_name, next_request(u"First", 16, 16));
  EXPECT_EQ(reply.status, EfiStatus::success);
  EXPECT_EQ(reply.payload, next_request(u"Second", 14, 16).bytes());
  reply = variable_call(VariableFunction::get_next_variable_name, next_request(u"First", 12, 12));
  EXPECT_EQ(reply.status, EfiStatus::buffer_too_small);
  EXPECT_EQ(reply.payload, next_request(u"First", 14, 12).bytes());
  EXPECT_EQ(call_status(VariableFunction::get_next_variable_name, next_request(u"Second", 14, 14)),
            EfiStatus::not_found);
  EXPECT_EQ(call_status(VariableFunction::get_next_variable_name, next_request(u"None", 14, 14)),
            EfiStatus::invalid_parameter);
}

TEST_F(VariableFunctions, GetNextWantsANulWithinNameSizeAndAtTheEnd) {
  EXPECT_EQ(call_status(VariableFunction::get_next_variable_name, next_request(u"First", 10, 16)),
            EfiStatus::invalid_parameter);
  EXPECT_EQ(call_status(VariableFunction::get_next_variable_name,
                        Fields().guid(vendor).u64(2).u16(0).u16('x')),
            EfiStatus::access_denied);
  EXPECT_EQ(call_status(VariableFunction::get_next_variable_name, next_request(u"", 0, 2)),
            EfiStatus::invalid_parameter);
  EXPECT_EQ(call_status(VariableFunction::get_next_variable_name, next_request(u"", 3, 2)),
            EfiStatus::access_denied);
  EXPECT_EQ(call_status(VariableFunction::get_next_variable_name, Fields().guid(vendor).u64(0)),
            EfiStatus::access_denied);
}

TEST_F(VariableFunctions, RuntimeServiceQueryVariableInfo) {
  const auto reply =
      variable_call(VariableFunction::query_variable_info, Fields().zeros(24).u32(nv_bs_rt).u32(7));
  ASSERT_EQ(reply.status, EfiStatus::success);
  const auto info = services().query(nv_bs_rt);
  EXPECT_EQ(reply.payload, Fields()
                               .u64(info->maximum_storage_size)
                               .u64(info->remaining_storage_size)
                               .u64(info->maximum_variable_size)
                               .u32(nv_bs_rt)
                               .u32(7)
                               .bytes());
  EXPECT_EQ(call_status(VariableFunction::query_variable_info, Fields().zeros(32)),
            EfiStatus::invalid_parameter);
}

TEST_F(VariableFunctions, SizesThatDoNotFitAreRefusedWithoutOverflow) {
  for (const auto function : {VariableFunction::get_variable, VariableFunction::set_variable}) {
    for (const auto& [data_size, name_size] : std::vector<std::pair<std::uint64_t, std::uint64_t>>{
             {UINT64_MAX, 4},
             {4, UINT64_MAX},
             {UINT64_MAX - 3, 4},
             {UINT64_MAX / 2 + 1, UINT64_MAX / 2 + 1},
             {5, 4},
             {4, 6},
             {0, 9},
             {1ULL << 32, 4}}) {
      const auto payload =
          Fields().guid(vendor).u64(data_size).u64(name_size).u32(nv_bs_rt).name(u"A").text("data");
      EXPECT_EQ(call_status(function, payload), EfiStatus::access_denied)
          << data_size << ' ' << name_size;
    }
  }
  EXPECT_EQ(listing(), "");
}

TEST_F(VariableFunctions, ANameWithoutItsNulIsRefused) {
  for (const auto function : {VariableFunction::get_variable, VariableFunction::set_variable}) {
    for (const std::uint64_t name_size : {0U, 1U, 2U, 3U}) {
      const auto payload =
          Fields().guid(vendor).u64(1).u64(name_size).u32(nv_bs_rt).name(u"A").text("data");
      EXPECT_EQ(call_status(function, payload), EfiStatus::access_denied) << name_size;
    }
  }
}

TEST_F(VariableFunctions, EveryPayloadThatIsTooShortIsRefused) {
  const std::vector<std::pair<VariableFunction, std::size_t>> least{
      {VariableFunction::get_variable, 36},
      {VariableFunction::get_next_variable_name, 24},
      {VariableFunction::set_variable, 36},
      {VariableFunction::query_variable_info, 32},
      {VariableFunction::lock_variable, 24},
      {VariableFunction::var_check_property_set, 48},
      {VariableFunction::var_check_property_get, 48},
      {VariableFunction::get_payload_size, 8},
      {VariableFunction::init_runtime_cache_context, 48},
      {VariableFunction::get_runtime_cache_info, 32}};
  for (const auto& [function, size] : least) {
    for (std::size_t shorter = 0; shorter < size; ++shorter) {
      EXPECT_EQ(call_status(function, Fields().zeros(shorter)), EfiStatus::invalid_parameter)
          << static_cast<int>(function) << ' ' << shorter;
    }
  }
}

TEST_F(VariableFunctions, UnknownFunctionsAreUnsupported) {
  for (const std::uint64_t function : {std::uint64_t{0}, std::uint64_t{15}, UINT64_MAX}) {
    EXPECT_EQ(call(mm::guids::variable_protocol, function, {}).status, EfiStatus::unsupported);
  }
}

TEST_F(VariableFunctions, OnReadyToBootAndOnExitBootServices) {
  serve({.options = {.phase = Phase::boot_early}});
  EXPECT_EQ(call_status(VariableFunction::ready_to_boot, {}), EfiStatus::success);
  EXPECT_EQ(services().phase(), Phase::boot);
  EXPECT_EQ(call_status(VariableFunction::exit_boot_services, {}), EfiStatus::success);
  EXPECT_EQ(services().phase(), Phase::runtime);
  EXPECT_EQ(call_status(VariableFunction::ready_to_boot, {}), EfiStatus::unsupported);
}

TEST_F(VariableFunctions, LockVariableAndPropertiesAreForTheTimeBeforeEndOfDxe) {
  const auto lock = Fields().guid(vendor).u64(size_of(u"L")).name(u"L");
  const auto property = Fields()
                            .guid(vendor)
                            .u64(size_of(u"P"))
                            .u16(1)
                            .u16(1)
                            .u32(0)
                            .u64(0)
                            .u64(UINT64_MAX)
                            .name(u"P");
  EXPECT_EQ(call_status(VariableFunction::lock_variable, lock), EfiStatus::access_denied);
  EXPECT_EQ(call_status(VariableFunction::var_check_property_set, property),
            EfiStatus::access_denied);
  serve({.options = {.phase = Phase::boot_early}});
  EXPECT_EQ(call_status(VariableFunction::lock_variable, lock), EfiStatus::success);
  EXPECT_EQ(call_status(VariableFunction::var_check_property_set, property), EfiStatus::success);
  auto wanted = Fields().guid(vendor).u64(size_of(u"P")).zeros(24).name(u"P");
  const auto reply = variable_call(VariableFunction::var_check_property_get, wanted);
  EXPECT_EQ(reply.status, EfiStatus::success);
  EXPECT_EQ(reply.payload, property.bytes());
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_EQ(set(u"L", nv_bs_rt, "1"), EfiStatus::write_protected);
  EXPECT_EQ(set(u"P", nv_bs_rt, "1"), EfiStatus::write_protected);
  for (const std::uint64_t size : {std::uint64_t{5}, UINT64_MAX, std::uint64_t{0}}) {
    const auto bad = Fields().guid(vendor).u64(size).name(u"L");
    EXPECT_EQ(call_status(VariableFunction::lock_variable, bad), EfiStatus::access_denied) << size;
  }
}

TEST_F(VariableFunctions, GetStatisticsCountsReadsWritesAndDeletions) {
  EXPECT_EQ(call_status(VariableFunction::get_statistics, Fields().zeros(56)),
            EfiStatus::not_found);
  ASSERT_EQ(call_status(VariableFunction::set_variable, set_request(u"One", "1")),
            EfiStatus::success);
  ASSERT_EQ(call_status(VariableFunction::set_variable, set_request(u"Two", "1")),
            EfiStatus::success);
  for (int i = 0; i < 3; ++i) call_status(VariableFunction::get_variable, get_request(u"Two", 8));
  ASSERT_EQ(call_status(VariableFunction::set_variable, set_request(u"Two", "")),
            EfiStatus::success);
  auto reply = variable_call(VariableFunction::get_statistics, Fields().zeros(80));
  EXPECT_EQ(reply.status, EfiStatus::success);
  const auto entry = [](std::u16string_view name, std::uint32_t reads, std::uint32_t writes,
                        std::uint32_t deletions) {
    return Fields()
        .u64(0)
        .guid(vendor)
        .u32(nv_bs_rt)
        .u32(reads)
        .u32(writes)
        .u32(deletions)
        .u32(0)
        .u32(0)
        .u64(0)
        .name(name)
        .bytes();
  };
  EXPECT_EQ(reply.payload, entry(u"One", 0, 1, 0));
  reply.payload.resize(80);
  reply = variable_call(VariableFunction::get_statistics, Fields().raw(reply.payload));
  EXPECT_EQ(reply.payload, entry(u"Two", 3, 1, 1));
  reply = variable_call(VariableFunction::get_statistics, Fields().raw(reply.payload));
  EXPECT_EQ(reply.status, EfiStatus::not_found);
  EXPECT_TRUE(reply.payload.empty());
}

TEST(AccessStatistics, AreInTheOrderOfTheFirstUseUpToTheirLimit) {
  mm::AccessStatistics statistics;
  const auto name_of = [](std::size_t i) {
    // Some longer, so that they are elsewhere in memory.
    return std::u16string(i % 3 == 0 ? 1 : 20, u'N') + static_cast<char16_t>(0x100 + i);
  };
  constexpr std::size_t limit = mm::AccessStatistics::max_entries;
  for (std::size_t i = 0; i < limit + 2; ++i) {
    statistics.note(name_of(i), vendor, nv_bs_rt, mm::AccessStatistics::Access::read);
  }
  statistics.note(name_of(0), Guid{}, nv_bs_rt, mm::AccessStatistics::Access::read);
  for (std::size_t i = 0; i < limit; i += 2) {
    statistics.note(name_of(i), vendor, nv_bs_rt, mm::AccessStatistics::Access::write);
  }
  const auto* entry = statistics.first();
  for (std::size_t i = 0; i < limit; ++i) {
    ASSERT_NE(entry, nullptr) << i;
    EXPECT_EQ(entry->id, (variable::VariableId{name_of(i), vendor}));
    EXPECT_EQ(entry->reads, 1U);
    EXPECT_EQ(entry->writes, i % 2 == 0 ? 1U : 0U);
    entry = statistics.next(entry->id.name, entry->id.guid);
  }
  EXPECT_EQ(entry, nullptr);
  EXPECT_EQ(statistics.next(name_of(limit), vendor), nullptr);
  EXPECT_EQ(statistics.next(name_of(0), Guid{}), nullptr);
}

TEST_F(VariableFunctions, GetStatisticsTellsTheSizeThatItNeedsAndNothingOfOthers) {
  ASSERT_EQ(call_status(VariableFunction::set_variable, set_request(u"Name", "secret")),
            EfiStatus::success);
  for (const std::size_t room :
       {std::size_t{0}, std::size_t{8}, std::size_t{56}, std::size_t{65}}) {
    const auto reply = variable_call(VariableFunction::get_statistics, Fields().zeros(room));
    EXPECT_EQ(reply.status, EfiStatus::buffer_too_small);
    EXPECT_EQ(reply.payload.size(), room < 56 ? 56U : 66U);
    EXPECT_TRUE(is_filled(reply.payload, std::byte{0})) << to_hex(reply.payload);
  }
}

TEST_F(VariableFunctions, TheRuntimeCacheIsNotShared) {
  EXPECT_EQ(call_status(VariableFunction::init_runtime_cache_context, Fields().zeros(48)),
            EfiStatus::access_denied);
  EXPECT_EQ(call_status(VariableFunction::sync_runtime_cache, {}), EfiStatus::unsupported);
  const auto reply = variable_call(VariableFunction::get_runtime_cache_info, Fields().zeros(32));
  EXPECT_EQ(reply.status, EfiStatus::success);
  ByteReader reader(reply.payload);
  EXPECT_EQ(reader.u64(), 0U);
  EXPECT_EQ(reader.u64(), services().store().usage().capacity);
  EXPECT_EQ(reader.u64(), services().limits().volatile_store_size);
  EXPECT_EQ(reader.u64(), 1U);
  serve({.options = {.phase = Phase::boot_early}});
  EXPECT_EQ(call_status(VariableFunction::init_runtime_cache_context, Fields().zeros(48)),
            EfiStatus::unsupported);
}

TEST_F(VariableFunctions, RightsAreAskedFor) {
  const auto with = [](mm::Rights rights) { return mm::Caller{.rights = rights, .session = 2}; };
  const std::vector<std::pair<VariableFunction, mm::Rights>> needed{
      {VariableFunction::get_variable, mm::Rights::read},
      {VariableFunction::get_next_variable_name, mm::Rights::read},
      {VariableFunction::set_variable, mm::Rights::write},
      {VariableFunction::query_variable_info, mm::Rights::read},
      {VariableFunction::ready_to_boot, mm::Rights::lock},
      {VariableFunction::exit_boot_services, mm::Rights::lock},
      {VariableFunction::get_statistics, mm::Rights::read},
      {VariableFunction::lock_variable, mm::Rights::lock},
      {VariableFunction::var_check_property_set, mm::Rights::lock},
      {VariableFunction::var_check_property_get, mm::Rights::read},
      {VariableFunction::get_payload_size, mm::Rights::read},
      {VariableFunction::init_runtime_cache_context, mm::Rights::lock},
      {VariableFunction::get_runtime_cache_info, mm::Rights::read}};
  for (const auto& [function, right] : needed) {
    for (const auto held : {mm::Rights::none, mm::Rights::read, mm::Rights::write, mm::Rights::lock,
                            mm::Rights::update}) {
      const bool denied = variable_call(function, set_request(u"R", "1"), with(held)).status ==
                          EfiStatus::access_denied;
      // Some also deny what the caller may ask for; those are tested above.
      if (!includes(held, right)) {
        EXPECT_TRUE(denied) << static_cast<int>(function);
      }
    }
  }
  EXPECT_EQ(
      variable_call(VariableFunction::set_variable, set_request(u"W", "1"), with(mm::Rights::write))
          .status,
      EfiStatus::success);
}

TEST_F(VariableFunctions, SmmVariableWriteReady) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  dispatcher().serve_with(services(), false);
  EXPECT_EQ(dispatcher().ready(), mm::ready_read);
  EXPECT_EQ(call_status(VariableFunction::get_variable, get_request(u"A", 4)), EfiStatus::success);
  EXPECT_EQ(call_status(VariableFunction::set_variable, set_request(u"A", "2")),
            EfiStatus::not_available_yet);
  dispatcher().serve_with(services(), true);
  EXPECT_EQ(dispatcher().ready(), mm::ready_read | mm::ready_write);
  EXPECT_EQ(call_status(VariableFunction::set_variable, set_request(u"A", "2")),
            EfiStatus::success);
}

TEST_F(VariableFunctions, AFrameLargerThanTheBufferIsRefusedByItsFunction) {
  const std::size_t size = dispatcher().buffer().size() + 1;
  for (const bool policy : {false, true}) {
    const Guid& protocol = policy ? mm::guids::policy_protocol : mm::guids::variable_protocol;
    const auto head = policy ? Fields().u32(mm::policy_signature).u32(1).u32(2).u64(0x55)
                             : Fields().u64(3).u64(0x55);
    const auto whole = mm::make_frame({.protocol = protocol, .message_size = size - 24});
    std::ranges::copy(std::span(whole).first(24), dispatcher().buffer().begin());
    std::ranges::copy(head.bytes(), dispatcher().buffer().begin() + 24);
    const std::size_t reply = dispatcher().serve(size, everything);
    auto expected = policy ? Fields().u32(mm::policy_signature).u32(1).u32(2) : Fields().u64(3);
    expected.u64(static_cast<std::uint64_t>(EfiStatus::invalid_parameter));
    EXPECT_TRUE(
        equal_bytes(dispatcher().buffer().first(reply), frame_of(protocol, expected.bytes())));
  }
}

TEST_F(VariableFunctions, FramesWithoutAPlaceForAStatusGetOne) {
  const auto malformed = [](EfiStatus status) {
    return frame_of(mm::guids::management_protocol,
                    Fields().u64(0).u64(static_cast<std::uint64_t>(status)).bytes());
  };
  const auto good =
      frame_of(mm::guids::variable_protocol, Fields().u64(4).u64(0).zeros(32).bytes());
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(exchange(std::span(good).first(size)), malformed(EfiStatus::invalid_parameter));
  }
  for (std::size_t size = 0; size < 16; ++size) {
    const auto reply =
        exchange(frame_of(mm::guids::variable_protocol, std::vector<std::byte>(size)));
    EXPECT_EQ(reply, malformed(EfiStatus::invalid_parameter));
  }
  EXPECT_EQ(exchange(frame_of(vendor, std::vector<std::byte>(40))),
            malformed(EfiStatus::not_found));
}

}  // namespace
}  // namespace efistore::test
