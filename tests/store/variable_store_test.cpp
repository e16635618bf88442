// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/store/variable_store.hpp"

#include <gmock/gmock.h>

#include "store/recording_device.hpp"
#include "store/store_fixture.hpp"
#include "support/faulty_device.hpp"

namespace efistore::test {
namespace {

using store::RecordContent;
using store::RecordFormat;
using store::VariableStore;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// A store whose writes to flash are recorded.
struct Recorded {
  RecordingDevice* log;
  VariableStore store;
};

Recorded open_recorded(Bytes image) {
  auto device = std::make_unique<RecordingDevice>(device_of(std::move(image)));
  auto* const log = device.get();
  return {log, VariableStore::open(std::move(device)).value()};
}

RecordContent content(std::u16string_view name, std::string_view data) {
  return {name, vendor, 7, as_bytes(data)};
}

VariableStore open_image(Bytes image) {
  return VariableStore::open(device_of(std::move(image))).value();
}

/// A store whose flash can be looked at.
struct Opened {
  flash::MemoryDevice* device;
  VariableStore store;

  Bytes image() const { return image_of(*device); }
};

Opened open_visible(Bytes image) {
  auto device = device_of(std::move(image));
  auto* const visible = device.get();
  return {visible, VariableStore::open(std::move(device)).value()};
}

class Formats : public testing::TestWithParam<RecordFormat> {};
INSTANTIATE_TEST_SUITE_P(Both, Formats,
                         testing::Values(RecordFormat::authenticated, RecordFormat::normal),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

TEST_P(Formats, WhatIsPutIsFoundNowAndAfterReopening) {
  auto opened = open_visible(blank_image(small_layout(GetParam())));
  VariableStore& store = opened.store;
  ASSERT_TRUE(store.put(content(u"A", "1")));
  ASSERT_TRUE(store.put(content(u"B", "22")));
  ASSERT_TRUE(store.put(content(u"A", "333")));
  EXPECT_EQ(contents(store), "B=22 A=333");
  EXPECT_EQ(contents(open_image(opened.image())), "B=22 A=333");
}

TEST(Put, CreatingWritesTheRecordUncommittedAndThenItsState) {
  auto [log, store] = open_recorded(blank_image(small_layout(RecordFormat::normal)));
  ASSERT_TRUE(store.put(content(u"A", "x")));
  EXPECT_THAT(log->take(), ElementsAre("P 64 aa55ff000700000004000000010000004433221166558877"
                                       "99aabbccddeeff004100000078",
                                       "P 66 3f"));
}

TEST(Put, OfANameThatCanPassForARecordTheHeaderIsMadeValidFirst) {
  // U+55AA is a StartId. U+0020 can be one while it is torn: bits of U+55AA are all that it clears.
  for (const auto& [name, hex] : {std::pair(u"\u55aa", "aa55"), std::pair(u"\u0020", "2000")}) {
    auto [log, store] = open_recorded(blank_image(small_layout(RecordFormat::normal)));
    ASSERT_TRUE(store.put(content(name, "x")));
    EXPECT_THAT(log->take(),
                ElementsAre("P 64 aa55ff00070000000400000001000000443322116655887799aabbccddeeff00",
                            "P 66 7f", "P 84 " + std::string(hex) + "000078", "P 66 3f"));
  }
}

TEST(Put, UpdatingGoesThroughEdk2sStates) {
  auto [log, store] = open_recorded(blank_image(small_layout(RecordFormat::normal)));
  ASSERT_TRUE(store.put(content(u"A", "x")));
  log->take();
  ASSERT_TRUE(store.put(content(u"A", "y")));
  // The first record has 37 bytes, so the second begins at 0x8c.
  EXPECT_THAT(log->take(), ElementsAre("P 66 3e",
                                       "P 8c aa55ff000700000004000000010000004433221166558877"
                                       "99aabbccddeeff004100000079",
                                       "P 8e 3f", "P 66 3c"));
}

TEST(Put, AnOlderTwinIsDeletedBeforeTheOldRecord) {
  Bytes image = blank_image(small_layout());
  const auto second = plant(image, first_record, u"A", "1", 0x3e);
  const auto third = plant(image, second, u"A", "2", 0x3f);
  auto [log, store] = open_recorded(image);
  EXPECT_EQ(contents(store), "A=2");
  ASSERT_TRUE(store.put(content(u"A", "3")));
  const auto writes = log->take();
  ASSERT_EQ(writes.size(), 5U);
  EXPECT_EQ(writes[0], "P aa 3e");
  EXPECT_EQ(writes[2], "P ee 3f");
  EXPECT_EQ(writes[3], "P 66 3c") << "the twin";
  EXPECT_EQ(writes[4], "P aa 3c") << "the old record";
  EXPECT_EQ(third, 0xecU);
}

TEST(Remove, WritesOneState) {
  auto [log, store] = open_recorded(blank_image(small_layout()));
  ASSERT_TRUE(store.put(content(u"A", "1")));
  log->take();
  ASSERT_TRUE(store.remove(*store.find(u"A", vendor)));
  EXPECT_THAT(log->take(), ElementsAre("P 66 3d"));
  EXPECT_EQ(store.find(u"A", vendor), nullptr);
}

TEST(Remove, TakesTwinsFirst) {
  Bytes image = blank_image(small_layout());
  plant(image, plant(image, first_record, u"A", "1", 0x3e), u"A", "2", 0x3f);
  auto [log, store] = open_recorded(image);
  ASSERT_TRUE(store.remove(*store.find(u"A", vendor)));
  EXPECT_THAT(log->take(), ElementsAre("P 66 3c", "P aa 3d"));
}

TEST(Find, ARecordInTransitionCountsWithoutAnAddedTwinOnly) {
  Bytes image = blank_image(small_layout());
  auto at = plant(image, first_record, u"A", "old", 0x3e);
  at = plant(image, at, u"B", "old", 0x3e);
  at = plant(image, at, u"B", "new", 0x3f);
  at = plant(image, at, u"C", "gone", 0x3c);
  plant(image, at, u"D", "gone", 0x3d);
  EXPECT_EQ(contents(open_image(image)), "A=old B=new");
}

TEST(Find, TheFirstOfTwoAddedRecordsAndTheLastOfTwoInTransitionCount) {
  Bytes image = blank_image(small_layout());
  auto at = plant(image, first_record, u"A", "1", 0x3f);
  at = plant(image, at, u"A", "2", 0x3f);
  at = plant(image, at, u"B", "1", 0x3e);
  plant(image, at, u"B", "2", 0x3e);
  auto opened = open_visible(image);
  VariableStore& store = opened.store;
  EXPECT_EQ(contents(store), "A=1 B=2");
  ASSERT_TRUE(store.remove(*store.find(u"A", vendor)));
  ASSERT_TRUE(store.remove(*store.find(u"B", vendor)));
  EXPECT_EQ(contents(open_image(opened.image())), "") << "neither comes back from behind";
}

TEST(Find, NamesDifferByCaseAndGuid) {
  auto store = open_image(blank_image(small_layout()));
  ASSERT_TRUE(store.put(content(u"Name", "1")));
  EXPECT_EQ(store.find(u"name", vendor), nullptr);
  EXPECT_EQ(store.find(u"Name", guids::global_variable), nullptr);
  EXPECT_EQ(store.find(u"Nam", vendor), nullptr);
  EXPECT_NE(store.find(u"Name", vendor), nullptr);
}

TEST(Put, WithoutSpaceChangesNothing) {
  auto [log, store] = open_recorded(blank_image(small_layout()));
  const std::string big(store.usage().capacity - 64, 'x');
  ASSERT_TRUE(store.put(content(u"A", big)));
  EXPECT_EQ(store.usage().free(), 0U) << "filled to the last byte";
  log->take();
  EXPECT_EQ(store.put(content(u"A", "1")).error().code, Errc::no_space);
  EXPECT_THAT(log->take(), IsEmpty());
  ASSERT_TRUE(store.reclaim_with(content(u"A", "1")));
  EXPECT_EQ(contents(store), "A=1");
}

TEST(Reclaim, KeepsLiveRecordsInOrderAndPromotesTransitionsBehindThem) {
  Bytes image = blank_image(small_layout());
  auto at = plant(image, first_record, u"Dead", "1", 0x3c);
  at = plant(image, at, u"Moving", "2", 0x3e);
  at = plant(image, at, u"First", "3", 0x3f);
  at = plant(image, at, u"Dead", "4", 0x3d);
  plant(image, at, u"Second", "5", 0x3f);
  auto opened = open_visible(image);
  VariableStore& store = opened.store;
  ASSERT_TRUE(store.reclaim());
  EXPECT_EQ(contents(store), "First=3 Second=5 Moving=2");
  EXPECT_EQ(store.usage().dead_records, 0U);
  EXPECT_EQ(store.usage().used, store.usage().live);

  Bytes expected = blank_image(small_layout());
  at = plant(expected, first_record, u"First", "3", 0x3f);
  at = plant(expected, at, u"Second", "5", 0x3f);
  plant(expected, at, u"Moving", "2", 0x3f);
  EXPECT_EQ(variables_of(opened.image()), variables_of(expected));
}

TEST(Reclaim, ReplacesTheRecordInTheSameStep) {
  Bytes image = blank_image(small_layout());
  const auto at = plant(image, first_record, u"A", "old", 0x3f);
  plant(image, at, u"B", "kept", 0x3f);
  auto store = open_image(image);
  ASSERT_TRUE(store.reclaim_with(content(u"A", "new")));
  EXPECT_EQ(contents(store), "B=kept A=new");
}

TEST(Open, ResidueOfATornRecordIsReclaimedAtOnce) {
  Bytes image = blank_image(small_layout());
  const auto at = plant(image, first_record, u"A", "kept", 0x3f);
  plant(image, at, u"B", "torn", 0xff);
  auto store = open_image(image);
  EXPECT_TRUE(store.report().reclaimed);
  EXPECT_FALSE(store.report().damaged);
  EXPECT_EQ(contents(store), "A=kept");
  EXPECT_TRUE(store.put(content(u"B", "2")));
}

/// Data that is itself a live record, as a copy of another store in a variable is full of them.
std::string record_as_data() {
  const auto record = store::encode_record(RecordFormat::authenticated, content(u"Inner", "forged"),
                                           store::RecordState::added);
  return {reinterpret_cast<const char*>(record.data()), record.size()};
}

TEST(Open, RecordsInTheDataOfATornRecordAreNone) {
  const std::string data = record_as_data();
  for (const bool start_id_written : {true, false}) {
    Bytes torn = blank_image(small_layout());
    plant(torn, first_record, u"A", data, 0xff);
    if (!start_id_written) torn[first_record] = std::byte{0xfa};  // 0xaa with bits to be cleared
    auto store = open_image(torn);
    EXPECT_EQ(contents(store), "");
    EXPECT_FALSE(store.report().damaged);
    EXPECT_TRUE(store.report().reclaimed);
    EXPECT_TRUE(store.put(content(u"A", "1")));
  }
}

TEST(Open, ARecordBehindOneThatWasNotCommittedIsDamage) {
  // Nothing is ever written behind a torn record: the state of the first one is damaged, or its
  // whole header is gone.
  for (const std::size_t erased_bytes : {3U, 60U}) {
    Bytes image = blank_image(small_layout());
    auto at = plant(image, first_record, u"A", "lost", 0x3f);
    plant(image, at, u"B", "kept", 0x3f);
    std::fill_n(image.begin() + first_record, erased_bytes, std::byte{0xff});
    auto store = open_image(image);
    EXPECT_TRUE(store.report().damaged) << erased_bytes;
    EXPECT_FALSE(store.report().reclaimed) << erased_bytes;
    EXPECT_EQ(contents(store), "B=kept") << erased_bytes;
  }
}

TEST(Open, ReadOnlyLeavesResidueAlone) {
  Bytes image = blank_image(small_layout());
  plant(image, first_record, u"B", "torn", 0xff);
  auto device = std::make_unique<RecordingDevice>(device_of(image));
  auto* const log = device.get();
  auto store = VariableStore::open(std::move(device), {.read_only = true}).value();
  EXPECT_FALSE(store.report().reclaimed);
  EXPECT_EQ(store.put(content(u"A", "1")).error().code, Errc::read_only);
  EXPECT_EQ(store.reclaim().error().code, Errc::read_only);
  EXPECT_THAT(log->take(), IsEmpty());
}

TEST(Open, LiveRecordsFromABreakOnAreShownAndNothingIsWritten) {
  Bytes image = blank_image(small_layout());
  const auto at = plant(image, first_record, u"A", "1", 0x3f);
  plant(image, at, u"B", "2", 0x3f);
  image[first_record] = std::byte{0};
  auto [log, store] = open_recorded(image);
  EXPECT_TRUE(store.report().damaged);
  EXPECT_EQ(contents(store), "A=1 B=2");
  EXPECT_EQ(store.put(content(u"C", "3")).error().code, Errc::damaged);
  EXPECT_EQ(store.remove(*store.find(u"B", vendor)).error().code, Errc::damaged);
  EXPECT_EQ(store.reclaim().error().code, Errc::damaged);
  EXPECT_EQ(store.replace_all({}).error().code, Errc::damaged);
  EXPECT_THAT(log->take(), IsEmpty());
}

TEST(Open, TheLastRecordWithABrokenStartIdIsNoResidue) {
  const std::string data = record_as_data();
  for (const auto broken : {std::byte{0xab}, std::byte{0xaa ^ 0x80}, std::byte{0}}) {
    Bytes image = blank_image(small_layout());
    const auto at = plant(image, first_record, u"A", "1", 0x3f);
    plant(image, at, u"B", data, 0x3f);
    image[at] = broken;
    auto [log, store] = open_recorded(image);
    EXPECT_TRUE(store.report().damaged);
    EXPECT_EQ(contents(store), "A=1 B=" + data) << "and nothing from B's data";
    EXPECT_THAT(log->take(), IsEmpty());
  }
}

TEST(Open, WhatAnExaminationCallsDamagedIsNotWritten) {
  Bytes unnamed = blank_image(small_layout());
  plant(unnamed, first_record, u"A", "1", 0x3f);
  unnamed[first_record + 62] = std::byte{'B'};
  Bytes broken_queue = blank_image(small_layout());
  // A write header that is complete and speaks of more records than the working area has room for.
  std::fill_n(broken_queue.begin() + 0x1000 + 32, 40, std::byte{0});
  broken_queue[0x1000 + 32 + 26] = std::byte{1};
  for (const Bytes& image : {unnamed, broken_queue}) {
    auto [log, store] = open_recorded(image);
    EXPECT_TRUE(store.report().damaged);
    EXPECT_EQ(store.put(content(u"C", "3")).error().code, Errc::damaged);
    EXPECT_EQ(store.reclaim().error().code, Errc::damaged);
    EXPECT_THAT(log->take(), IsEmpty());
  }
}

TEST(Open, MoreVariablesThanTheLimitAreRefusedAndNoMoreAreTaken) {
  const auto layout = store::Layout::custom({.size_bytes = 0x400000}).value();
  Bytes image = blank_image(layout);
  std::uint32_t at = first_record;
  std::u16string name = u"AAAA";
  for (std::size_t i = 0; i < store::max_live_variables; ++i) {
    for (std::size_t digit = 0; digit < 4; ++digit) {
      name[digit] = static_cast<char16_t>(u'A' + (i >> (4 * digit)) % 16);
    }
    at = plant(image, at, name, "", 0x3f);
  }
  auto store = open_image(image);
  EXPECT_EQ(store.usage().live_records, store::max_live_variables);
  EXPECT_EQ(store.put(content(u"One more", "1")).error().code, Errc::no_space);
  EXPECT_EQ(store.reclaim_with(content(u"One more", "1")).error().code, Errc::no_space);
  EXPECT_TRUE(store.put(content(u"AAAA", "1"))) << "one of those there are";
  plant(image, at, u"One more", "", 0x3f);
  EXPECT_EQ(VariableStore::open(device_of(image)).error().code, Errc::damaged);
}

TEST(Open, ADeviceWithOtherBlocksIsRefused) {
  auto device = std::make_unique<flash::MemoryDevice>(blank_image(small_layout()), 0x3000U);
  EXPECT_EQ(VariableStore::open(std::move(device)).error().code, Errc::invalid_argument);
}

TEST(ReplaceAll, IsAllOrNothing) {
  auto store = open_image(blank_image(small_layout()));
  ASSERT_TRUE(store.put(content(u"A", "1")));
  std::vector<store::Variable> variables{
      {.name = u"B", .guid = vendor, .attributes = 7, .data = bytes_of("2")},
      {.name = u"C", .guid = vendor, .attributes = 0x27, .data = bytes_of("3")}};
  auto twice = variables;
  twice.push_back(twice.front());
  EXPECT_EQ(store.replace_all(twice).error().code, Errc::invalid_argument);
  auto unnamed = variables;
  unnamed[1].name.clear();
  EXPECT_EQ(store.replace_all(unnamed).error().code, Errc::invalid_argument);
  auto large = variables;
  large[1].data.resize(0x1000);
  EXPECT_EQ(store.replace_all(large).error().code, Errc::no_space);
  EXPECT_EQ(contents(store), "A=1");
  ASSERT_TRUE(store.replace_all(variables));
  EXPECT_EQ(contents(store), "B=2 C=3");
}

TEST(Staged, ChangesReachTheFlashOnlyWhenAdopted) {
  auto opened = open_visible(blank_image(small_layout()));
  ASSERT_TRUE(opened.store.put(content(u"Kept", "1")));
  ASSERT_TRUE(opened.store.put(content(u"Gone", "2")));
  const Bytes before = opened.image();

  auto staged = opened.store.staged();
  ASSERT_TRUE(staged.put(content(u"Kept", "changed")));
  ASSERT_TRUE(staged.put(content(u"New", "3")));
  ASSERT_TRUE(staged.remove(*staged.find(u"Gone", vendor)));
  ASSERT_TRUE(staged.reclaim());
  EXPECT_EQ(opened.image(), before);
  EXPECT_EQ(contents(opened.store), "Kept=1 Gone=2");

  ASSERT_TRUE(opened.store.adopt(staged));
  auto again = open_image(opened.image());
  for (VariableStore* store : {&opened.store, &again}) {
    EXPECT_EQ(contents(*store), "Kept=changed New=3");
    EXPECT_EQ(store->usage().dead_records, 0);
  }
}

TEST(Staged, OneChangeIsWrittenAsAnyOther) {
  auto adopting = open_recorded(blank_image(small_layout()));
  auto plain = open_recorded(blank_image(small_layout()));
  const auto same_writes = [&](auto change) {
    auto staged = adopting.store.staged();
    ASSERT_TRUE(change(staged));
    ASSERT_TRUE(adopting.store.adopt(staged));
    ASSERT_TRUE(change(plain.store));
    const auto writes = adopting.log->take();
    EXPECT_EQ(writes, plain.log->take());
    EXPECT_THAT(writes, Not(IsEmpty()));
  };
  same_writes([](VariableStore& to) { return to.put(content(u"A", "1")); });
  same_writes([](VariableStore& to) { return to.put(content(u"A", "2")); });
  same_writes([](VariableStore& to) { return to.remove(*to.find(u"A", vendor)); });
}

TEST(Staged, NoChangeIsNoWrite) {
  auto [log, store] = open_recorded(blank_image(small_layout()));
  ASSERT_TRUE(store.put(content(u"A", "1")));
  log->take();
  auto staged = store.staged();
  ASSERT_TRUE(staged.put(content(u"A", "2")));
  ASSERT_TRUE(staged.put(content(u"A", "1")));
  ASSERT_TRUE(store.adopt(staged));
  EXPECT_THAT(log->take(), IsEmpty());
}

TEST(Staged, ATimeStampAloneIsAChange) {
  auto [log, store] = open_recorded(blank_image(small_layout()));
  ASSERT_TRUE(store.put(content(u"A", "1")));
  auto staged = store.staged();
  RecordContent later = content(u"A", "1");
  later.time = EfiTime::from_unix(1'000'000'000);
  ASSERT_TRUE(staged.put(later));
  ASSERT_TRUE(store.adopt(staged));
  EXPECT_EQ(store.find(u"A", vendor)->time, later.time);
}

TEST(Staged, WithoutSpareSeveralChangesAreRefusedAndOneIsNot) {
  // A volume of variables alone, as some boards have it.
  auto layout = small_layout();
  layout.volume_size_bytes = 0x1000;
  layout.block_map_count = 1;
  layout.ftw_working = layout.ftw_spare = {};
  auto [log, store] = open_recorded(blank_image(layout));
  auto staged = store.staged();
  ASSERT_TRUE(staged.put(content(u"A", "1")));
  auto both = store.staged();
  ASSERT_TRUE(both.put(content(u"A", "1")));
  ASSERT_TRUE(both.put(content(u"B", "2")));
  log->take();
  EXPECT_EQ(store.adopt(both).error().code, Errc::unsupported);
  EXPECT_THAT(log->take(), IsEmpty());
  EXPECT_EQ(store.first(), nullptr);
  EXPECT_TRUE(store.adopt(staged));
}

TEST(Staged, AStoreThatIsNotWrittenRefusesTheChanges) {
  auto store = VariableStore::open(device_of(blank_image(small_layout())), {.read_only = true});
  auto staged = store->staged();
  EXPECT_TRUE(store->adopt(staged));
  ASSERT_TRUE(staged.put(content(u"A", "1")));
  EXPECT_EQ(store->adopt(staged).error().code, Errc::read_only);
  ASSERT_TRUE(staged.put(content(u"B", "2")));
  EXPECT_EQ(store->adopt(staged).error().code, Errc::read_only);
  EXPECT_EQ(store->first(), nullptr);
}

TEST(ReplaceAll, TheNormalFormatRefusesAuthenticationData) {
  auto store = open_image(blank_image(small_layout(RecordFormat::normal)));
  store::Variable variable{.name = u"A", .guid = vendor, .attributes = 7};
  variable.time.bytes[0] = std::byte{1};
  EXPECT_EQ(store.replace_all(std::span(&variable, 1)).error().code, Errc::invalid_argument);
}

TEST(Usage, CountsLiveDeadAndHardwareErrorRecords) {
  auto opened = open_visible(blank_image(small_layout()));
  VariableStore& store = opened.store;
  const auto capacity = store.usage().capacity;
  EXPECT_EQ(capacity, 0x1000U - first_record);
  ASSERT_TRUE(store.put(content(u"A", "1")));                                 // 68 padded
  ASSERT_TRUE(store.put({u"HwErrRec0001", vendor, 0x0f, as_bytes("1234")}));  // 60+26+4 -> 92
  ASSERT_TRUE(store.put(content(u"A", "22")));                                // 68
  const auto& usage = store.usage();
  EXPECT_EQ(usage.used, 68U + 92U + 68U);
  EXPECT_EQ(usage.live, 92U + 68U);
  EXPECT_EQ(usage.hardware_error_used, 92U);
  EXPECT_EQ(usage.hardware_error_live, 92U);
  EXPECT_EQ(usage.live_records, 2U);
  EXPECT_EQ(usage.dead_records, 1U);
  ASSERT_TRUE(store.remove(*store.find(u"HwErrRec0001", vendor)));
  EXPECT_EQ(store.usage().hardware_error_live, 0U);
  EXPECT_EQ(store.usage().hardware_error_used, 92U);
  // What is counted along the way equals what a fresh look finds.
  const auto again = open_image(opened.image());
  EXPECT_EQ(again.usage().used, store.usage().used);
  EXPECT_EQ(again.usage().live, store.usage().live);
  EXPECT_EQ(again.usage().dead_records, store.usage().dead_records);
  EXPECT_EQ(again.usage().hardware_error_used, 92U);
}

/// Fails the n-th program operation of an update after some of its bytes.
class FailingUpdate : public testing::TestWithParam<std::tuple<int, int>> {};
INSTANTIATE_TEST_SUITE_P(EveryStep, FailingUpdate,
                         testing::Combine(testing::Range(1, 5), testing::Values(0, 1, 30, 1000)));

TEST_P(FailingUpdate, LeavesOldOrNewAndNothingMoreIsWrittenBeforeTheNextOpening) {
  const auto [step, bytes_done] = GetParam();
  Bytes image = blank_image(small_layout());
  const auto at = plant(image, first_record, u"A", "old", 0x3f);
  plant(image, at, u"B", "kept", 0x3f);
  auto memory = device_of(image);
  auto* const below = memory.get();
  auto faulty = std::make_unique<FaultyDevice>(std::move(memory));
  auto* const device = faulty.get();
  auto store = VariableStore::open(std::move(faulty)).value();
  device->arm({.operation = FlashOperation::program,
               .nth = static_cast<std::uint64_t>(step),
               .bytes_done = static_cast<std::uint64_t>(bytes_done)});
  EXPECT_EQ(store.put(content(u"A", "new")).error().code, Errc::io);
  EXPECT_EQ(device->faults(), 1U);
  const std::string now = contents(store);
  EXPECT_TRUE(now == "A=old B=kept" || now == "B=kept A=new") << now;
  const Status refused = store.put(content(u"A", "later"));
  EXPECT_EQ(refused.error().code, Errc::read_only);
  EXPECT_THAT(refused.error().message, HasSubstr("an earlier change failed"));
  EXPECT_EQ(store.reclaim().error().code, Errc::read_only);

  auto again = open_image(image_of(*below));
  const std::string value = now.substr(now.find("A="), 5);
  EXPECT_THAT(contents(again), HasSubstr(value)) << "a reclaim may have moved it, no more";
  EXPECT_THAT(contents(again), HasSubstr("B=kept"));
  EXPECT_TRUE(again.put(content(u"A", "later")));
  EXPECT_EQ(contents(again), "B=kept A=later");
}

TEST(Put, WhateverTheDeviceSaysIsAFailureOfTheDevice) {
  // A sparse image on a full file system has "no space": that is no word about the store's.
  for (const Errc code : {Errc::no_space, Errc::read_only, Errc::permission}) {
    for (std::uint64_t step = 1; step <= 4; ++step) {
      auto faulty = std::make_unique<FaultyDevice>(device_of(blank_image(small_layout())));
      auto* const device = faulty.get();
      auto store = VariableStore::open(std::move(faulty)).value();
      ASSERT_TRUE(store.put(content(u"A", "old")));
      device->arm({.operation = FlashOperation::program, .nth = step, .code = code});
      EXPECT_EQ(store.put(content(u"A", "new")).error().code, Errc::io);
      EXPECT_EQ(store.put(content(u"B", "1")).error().code, Errc::read_only);
    }
  }
}

TEST(Reclaim, WhateverTheDeviceSaysIsAFailureOfTheDevice) {
  for (const auto operation : {FlashOperation::program, FlashOperation::erase}) {
    auto faulty = std::make_unique<FaultyDevice>(device_of(blank_image(small_layout())));
    auto* const device = faulty.get();
    auto store = VariableStore::open(std::move(faulty)).value();
    ASSERT_TRUE(store.put(content(u"A", "1")));
    ASSERT_TRUE(store.put(content(u"A", "2")));
    device->arm({.operation = operation, .code = Errc::no_space});
    EXPECT_EQ(store.reclaim().error().code, Errc::io);
    EXPECT_EQ(store.put(content(u"B", "1")).error().code, Errc::read_only);
    EXPECT_EQ(contents(store), "A=2");
  }
}

TEST(Put, BytesThatCannotBeProgrammedEndTheWriting) {
  auto memory = device_of(blank_image(small_layout()));
  auto* const below = memory.get();
  auto store = VariableStore::open(std::move(memory)).value();
  ASSERT_TRUE(store.put(content(u"A", "1")));
  // Somebody else has written where the next record goes.
  ASSERT_TRUE(below->program(0x200, Bytes(4)));
  EXPECT_EQ(store.put(content(u"B", std::string(1000, 'x'))).error().code, Errc::bit_set);
  EXPECT_EQ(store.put(content(u"C", "1")).error().code, Errc::read_only);
  EXPECT_EQ(store.remove(*store.find(u"A", vendor)).error().code, Errc::read_only);
}

}  // namespace
}  // namespace efistore::test
