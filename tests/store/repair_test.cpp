// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/store/repair.hpp"

#include <gmock/gmock.h>

#include <optional>

#include "efistore/store/examine.hpp"

#include "store/store_fixture.hpp"
#include "support/counting_device.hpp"
#include "support/faulty_device.hpp"

namespace efistore::test {
namespace {

using store::Layout;
using store::RecordFormat;
using store::repair;
using store::RepairKind;
using store::RepairReport;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// The small layout's areas.
constexpr std::size_t working_area = 0x1000;
constexpr std::size_t spare_area = 0x2000;

/// Repairs `image` with all that can be had, and opens what comes out of it for writing.
struct Repaired {
  explicit Repaired(const Bytes& image, std::string_view layout_name = {})
      : device(device_of(image)),
        report(repair(*device, {.layout_name = layout_name,
                                .take_swallowed = true,
                                .keep = [this](std::span<const std::byte> bytes) {
                                  kept = Bytes(bytes.begin(), bytes.end());
                                  return Status{};
                                }})) {
    after = image_of(*device);
  }

  std::string variables() const {
    const auto opened = store::VariableStore::open(device_of(after));
    if (!opened) return opened.error().message;
    if (opened->report().damaged || opened->read_only()) return "damaged";
    return contents(*opened);
  }

  std::vector<RepairKind> kinds() const {
    std::vector<RepairKind> kinds;
    for (const auto& action : report->actions) kinds.push_back(action.kind);
    return kinds;
  }

  std::unique_ptr<flash::MemoryDevice> device;
  std::optional<Bytes> kept;
  Result<RepairReport> report;
  Bytes after;
};

/// A, B and C, one behind the other.
struct Three {
  Bytes image = blank_image(small_layout());
  std::uint32_t a = first_record;
  std::uint32_t b = plant(image, a, u"A", "one", 0x3f);
  std::uint32_t c = plant(image, b, u"B", "two", 0x3f);
  std::uint32_t end = plant(image, c, u"C", "three", 0x3f);
};

TEST(Repair, AHealthyStoreIsLeftAloneAndNotKept) {
  const Three three;
  const Repaired repaired(three.image);
  ASSERT_TRUE(repaired.report) << repaired.report.error().message;
  EXPECT_THAT(repaired.report->actions, IsEmpty());
  EXPECT_EQ(repaired.report->variables, 3U);
  EXPECT_FALSE(repaired.kept);
  EXPECT_EQ(repaired.after, three.image);
}

TEST(Repair, WhatAnInterruptedWriteLeavesIsNoDamage) {
  Three three;
  plant(three.image, three.end, u"D", "torn", 0xff);
  three.image[three.end + 50] = std::byte{0xff};
  const Repaired repaired(three.image);
  ASSERT_TRUE(repaired.report);
  EXPECT_THAT(repaired.report->actions, IsEmpty());
  EXPECT_EQ(repaired.after, three.image);
}

TEST(Repair, TheDamagedImageIsKeptBeforeAnythingIsWritten) {
  Three three;
  three.image[three.b] = std::byte{0};
  auto below = device_of(three.image);
  CountingDevice device(*below);
  Bytes kept;
  const auto report =
      repair(device, {.keep = [&](std::span<const std::byte> bytes) {
               EXPECT_EQ(device.counts().programs + device.counts().blocks_erased, 0U);
               kept = Bytes(bytes.begin(), bytes.end());
               return Status{};
             }});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(kept, three.image);
  EXPECT_GT(device.counts().programs, 0U);
}

TEST(Repair, NothingIsChangedWhereTheImageCannotBeKept) {
  Three three;
  three.image[three.b] = std::byte{0};
  auto device = device_of(three.image);
  const auto report = repair(*device, {.keep = [](std::span<const std::byte>) -> Status {
    return fail(Errc::no_space, "the disk is full");
  }});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, Errc::no_space);
  EXPECT_EQ(report.error().message, "the disk is full");
  EXPECT_EQ(image_of(*device), three.image);
}

TEST(Repair, ABrokenStartIdCostsNothing) {
  Three three;
  three.image[three.b] = std::byte{0};
  const Repaired repaired(three.image);
  ASSERT_TRUE(repaired.report) << repaired.report.error().message;
  EXPECT_EQ(repaired.variables(), "A=one B=two C=three");
  EXPECT_THAT(repaired.kinds(), ElementsAre(RepairKind::mended, RepairKind::salvaged));
  EXPECT_EQ(repaired.report->actions[0].where.offset, three.b);
  EXPECT_FALSE(repaired.report->after.damaged());
}

TEST(Repair, AHeaderThatIsGoneCostsItsVariableOnly) {
  Three three;
  std::fill_n(three.image.begin() + three.b, 60, std::byte{0x5a});
  const Repaired repaired(three.image);
  ASSERT_TRUE(repaired.report) << repaired.report.error().message;
  EXPECT_EQ(repaired.variables(), "A=one C=three");
  EXPECT_THAT(repaired.kinds(), ElementsAre(RepairKind::salvaged, RepairKind::dropped));
  EXPECT_EQ(repaired.report->actions[1].where, (flash::Range{three.b, three.c - three.b}));
}

TEST(Repair, AnErasedHeaderCostsItsVariableOnly) {
  Three three;
  std::fill_n(three.image.begin() + three.b, 60, std::byte{0xff});
  const Repaired repaired(three.image);
  ASSERT_TRUE(repaired.report) << repaired.report.error().message;
  EXPECT_EQ(repaired.variables(), "A=one C=three");
}

TEST(Repair, SizesThatAreWrongByOneBitAreMended) {
  // DataSize is at 40, NameSize at 36. A's data becomes larger than the rest of the records.
  for (const auto& [offset, mask] : {std::pair{40, 0x40}, {41, 0x08}, {43, 0x80}, {36, 0x10}}) {
    Three three;
    three.image[three.a + static_cast<std::uint32_t>(offset)] ^= static_cast<std::byte>(mask);
    const Repaired repaired(three.image);
    ASSERT_TRUE(repaired.report) << repaired.report.error().message;
    EXPECT_EQ(repaired.variables(), "A=one B=two C=three") << offset;
    EXPECT_EQ(repaired.kinds().front(), RepairKind::mended) << offset;
  }
}

TEST(Repair, SizesThatAreWrongAltogetherCostTheirVariableOnly) {
  Three three;
  three.image[three.a + 40] = std::byte{0xb4};
  three.image[three.a + 41] = std::byte{0x5a};
  const Repaired repaired(three.image);
  ASSERT_TRUE(repaired.report) << repaired.report.error().message;
  EXPECT_EQ(repaired.variables(), "B=two C=three");
}

TEST(Repair, AStateWithBitsThatNoWriterClearsIsMended) {
  Three three;
  three.image[three.b + 2] = std::byte{0x1f};
  const Repaired repaired(three.image);
  ASSERT_TRUE(repaired.report) << repaired.report.error().message;
  EXPECT_EQ(repaired.variables(), "A=one B=two C=three");
}

TEST(Repair, AStateThatACutExplainsIsLeftAsItIs) {
  for (const int state : {0x7f, 0xbf, 0xff}) {
    Three three;
    three.image[three.c + 2] = static_cast<std::byte>(state);
    const Repaired repaired(three.image);
    ASSERT_TRUE(repaired.report);
    EXPECT_EQ(repaired.variables(), "A=one B=two") << state;
  }
}

TEST(Repair, OfTwoLiveRecordsTheLaterCounts) {
  Three three;
  plant(three.image, three.end, u"A", "newer", 0x3f);
  const Repaired repaired(three.image);
  ASSERT_TRUE(repaired.report) << repaired.report.error().message;
  EXPECT_EQ(repaired.variables(), "B=two C=three A=newer");
  EXPECT_THAT(repaired.kinds(), ElementsAre(RepairKind::dropped));
  EXPECT_EQ(repaired.report->actions[0].where.offset, three.a);
}

TEST(Repair, DataThatHoldsASecondRecordOfAVariableIsJustData) {
  Bytes image = blank_image(small_layout());
  auto at = plant(image, first_record, u"A", "one", 0x3f);
  const auto inner = store::encode_record(
      RecordFormat::authenticated, {u"A", vendor, 7, as_bytes("evil")}, store::RecordState::added);
  std::string data(4, 'x');
  for (const std::byte b : inner) data += static_cast<char>(b);
  data.resize(data.size() + 256 - data.size() % 256, '\xff');
  plant(image, at, u"B", data, 0x3f);
  const Repaired repaired(image);
  ASSERT_TRUE(repaired.report);
  EXPECT_THAT(repaired.report->actions, IsEmpty());
  EXPECT_EQ(repaired.after, image);
}

TEST(Repair, AVariableThatIsLostIsTakenFromTheSpare) {
  Three three;
  Bytes image = three.image;
  std::copy_n(three.image.begin(), 0x1000, image.begin() + spare_area);
  // The spare also has what was deleted since, and what is there in another value.
  image[three.a + 2] = std::byte{0x3d};
  std::fill_n(image.begin() + three.b, 60, std::byte{0});
  image[three.c + 64] = std::byte{'T'};
  const Repaired repaired(image);
  ASSERT_TRUE(repaired.report) << repaired.report.error().message;
  EXPECT_THAT(repaired.variables(), HasSubstr("B=two"));
  EXPECT_EQ(repaired.variables().find("A="), std::string::npos) << "it was deleted";
  EXPECT_EQ(repaired.variables().find("C=three"), std::string::npos) << "there is a newer one";
  EXPECT_THAT(repaired.report->actions.back().what, HasSubstr("may be old"));
  EXPECT_EQ(repaired.report->actions.back().kind, RepairKind::from_spare);
}

/// `image` in the middle of a reclaim, when `blocks` blocks are back, by a device that has then
/// lost its working header and the block behind these.
Bytes cut_copy(Bytes image, const Layout& layout, std::size_t blocks) {
  auto compacted = store::VariableStore::open(device_of(image)).value();
  EXPECT_TRUE(compacted.reclaim());
  const auto& device = static_cast<const flash::MemoryDevice&>(compacted.device());
  const auto area = device.content().first(layout.variables.size);
  std::ranges::copy(area, image.begin() + static_cast<long>(layout.ftw_spare.offset));
  const std::size_t done = blocks * layout.block_size_bytes;
  std::ranges::copy(area.first(done), image.begin());
  std::fill_n(image.begin() + static_cast<long>(done), layout.block_size_bytes, std::byte{0xff});
  std::fill_n(image.begin() + static_cast<long>(layout.ftw_working.offset), 32, std::byte{0});
  return image;
}

TEST(Repair, ACopyThatWasCutIsFinishedWhereTheQueueIsLost) {
  const Layout layout = Layout::custom({.size_bytes = 0x9000}).value();
  auto store = store::VariableStore::open(device_of(blank_image(layout))).value();
  const std::string large(3000, 'x');
  for (const std::u16string name : {u"A", u"Dead", u"B", u"C", u"D"})
    ASSERT_TRUE(store.put({name, vendor, 7, as_bytes(large)}));
  // In the old blocks there are dead records of a name that is live in the spare.
  ASSERT_TRUE(store.put({u"A", vendor, 7, as_bytes("a")}));
  ASSERT_TRUE(store.remove(*store.find(u"Dead", vendor)));
  const Bytes image = image_of(static_cast<const flash::MemoryDevice&>(store.device()));
  for (const std::size_t blocks : {0U, 1U}) {
    const Repaired repaired(cut_copy(image, layout, blocks));
    ASSERT_TRUE(repaired.report) << repaired.report.error().message;
    EXPECT_EQ(repaired.report->variables, 4U) << blocks;
    EXPECT_EQ(repaired.variables(), "B=" + large + " C=" + large + " D=" + large + " A=a");
  }
}

TEST(Repair, WhatWasDeletedAfterACopyComesNotBackWithIt) {
  Three three;
  std::copy_n(three.image.begin(), 0x1000, three.image.begin() + spare_area);
  three.image[three.b + 2] = std::byte{0x3d};
  std::fill_n(three.image.begin(), 80, std::byte{0});  // the headers, and some of A
  std::fill_n(three.image.begin() + working_area, 32, std::byte{0});
  const Repaired repaired(three.image);
  ASSERT_TRUE(repaired.report) << repaired.report.error().message;
  EXPECT_THAT(repaired.variables(), ::testing::Not(HasSubstr("B=")));
}

TEST(Repair, ARecordThatNeverCountedDoesNotHideTheOneInTheSpare) {
  Three three;
  std::copy_n(three.image.begin(), 0x1000, three.image.begin() + spare_area);
  std::fill_n(three.image.begin() + three.b, 60, std::byte{0x5a});
  plant(three.image, three.end, u"B", "two", 0x7f);
  const Repaired repaired(three.image);
  ASSERT_TRUE(repaired.report) << repaired.report.error().message;
  EXPECT_EQ(repaired.variables(), "A=one C=three B=two");
}

TEST(Repair, NothingIsTakenFromTheSpareWhereNothingWasLost) {
  Three three;
  Bytes image = blank_image(small_layout());
  plant(image, first_record, u"Z", "alive", 0x3f);
  std::copy_n(three.image.begin(), 0x1000, image.begin() + spare_area);
  image[40] ^= std::byte{1};
  const Repaired repaired(image);
  ASSERT_TRUE(repaired.report) << repaired.report.error().message;
  EXPECT_EQ(repaired.variables(), "Z=alive");
}

TEST(Repair, HeadersThatAreErasedAreRebuilt) {
  for (const RecordFormat format : {RecordFormat::authenticated, RecordFormat::normal}) {
    Bytes image = blank_image(small_layout(format));
    plant(image, first_record, u"A", "one", 0x3f, format);
    const Bytes whole = image;
    std::fill_n(image.begin(), first_record, std::byte{0xff});
    const Repaired repaired(image);
    ASSERT_TRUE(repaired.report) << repaired.report.error().message;
    EXPECT_EQ(repaired.variables(), "A=one");
    EXPECT_EQ(variables_of(repaired.after), variables_of(whole));
  }
}

TEST(Repair, AnAmbiguousLayoutIsAskedFor) {
  Bytes image = blank_image(Layout::ovmf_4m());
  plant(image, first_record, u"A", "one", 0x3f);
  image.resize(0x100000, std::byte{0xff});
  std::fill_n(image.begin(), first_record, std::byte{0});
  const Repaired unnamed(image);
  ASSERT_FALSE(unnamed.report);
  EXPECT_EQ(unnamed.report.error().code, Errc::damaged);
  EXPECT_THAT(unnamed.report.error().message, HasSubstr("ovmf-4m"));
  EXPECT_THAT(unnamed.report.error().message, HasSubstr("custom"));
  EXPECT_FALSE(unnamed.kept);
  EXPECT_EQ(unnamed.after, image);
  const Repaired named(image, "ovmf-4m");
  ASSERT_TRUE(named.report) << named.report.error().message;
  EXPECT_EQ(named.report->layout, Layout::ovmf_4m());
  EXPECT_EQ(named.variables(), "A=one");
}

TEST(Repair, ALayoutThatTheHeadersContradictIsRefused) {
  const Three three;
  const Repaired repaired(three.image, "ovmf-2m");
  ASSERT_FALSE(repaired.report);
  EXPECT_EQ(repaired.report.error().code, Errc::invalid_argument);
  EXPECT_EQ(repaired.after, three.image);
}

TEST(Repair, WhatIsNoStoreIsNotMadeOne) {
  for (const int fill : {0xff, 0x00, 0x41}) {
    const Bytes image(0x84000, static_cast<std::byte>(fill));
    for (const std::string_view name : {"", "ovmf-4m", "custom"}) {
      const Repaired repaired(image, name);
      EXPECT_FALSE(repaired.report) << fill << name;
      EXPECT_EQ(repaired.after, image);
    }
  }
}

TEST(Repair, ASizeThatIsTooSmallIsRebuilt) {
  Bytes image = blank_image(Layout::ovmf_4m());
  plant(image, 0x3f100, u"Far", "x", 0x3f);
  image[0x48 + 17] ^= std::byte{0x10};
  const auto device = device_of(image);
  EXPECT_TRUE(store::examine(*device)->damaged());
  const Repaired repaired(image);
  ASSERT_TRUE(repaired.report) << repaired.report.error().message;
  EXPECT_EQ(repaired.kinds().front(), RepairKind::rebuilt);
  EXPECT_EQ(repaired.report->after.layout, Layout::ovmf_4m());
}

TEST(Repair, AQueueThatCannotBeFollowedIsStartedAnew) {
  Three three;
  three.image[working_area + 32] = std::byte{0xfb};
  const Repaired repaired(three.image);
  ASSERT_TRUE(repaired.report) << repaired.report.error().message;
  EXPECT_THAT(repaired.kinds(), ElementsAre(RepairKind::restarted));
  EXPECT_EQ(variables_of(repaired.after), variables_of(three.image));
  EXPECT_EQ(repaired.report->after.ftw, store::FtwState::idle);
  EXPECT_TRUE(repaired.kept);
}

TEST(Repair, AFailureOfTheDeviceIsHandedOnAndTheRepairCanBeRepeated) {
  Three three;
  three.image[three.b] = std::byte{0};
  for (std::uint64_t nth = 1;; ++nth) {
    auto below = device_of(three.image);
    FaultyDevice device(*below);
    device.arm({.operation = FlashOperation::program, .nth = nth, .lasting = true});
    if (repair(device, {})) {
      EXPECT_GT(nth, 5U);
      break;
    }
    device.disarm();
    const Repaired repaired(image_of(*below));
    ASSERT_TRUE(repaired.report) << nth << repaired.report.error().message;
    EXPECT_EQ(repaired.variables(), "A=one B=two C=three") << nth;
  }
}

TEST(Repair, MetaDataSurvivesByteForByte) {
  Bytes image = blank_image(small_layout());
  store::Variable variable{.name = u"db",
                           .guid = vendor,
                           .attributes = 0x27,
                           .data = bytes_of("keys"),
                           .time = EfiTime::from_unix(1700000000),
                           .monotonic_count = 0x1122334455667788,
                           .public_key_index = 0x99aabbcc};
  const auto record =
      store::encode_record(RecordFormat::authenticated, store::RecordContent(variable),
                           store::RecordState::in_deleted_transition);
  auto at = plant(image, first_record, u"A", "one", 0x3f);
  std::ranges::copy(record, image.begin() + at);
  image[first_record] = std::byte{0};
  const Repaired repaired(image);
  ASSERT_TRUE(repaired.report);
  const auto opened = store::VariableStore::open(device_of(repaired.after)).value();
  ASSERT_NE(opened.find(u"db", vendor), nullptr);
  EXPECT_EQ(opened.find(u"db", vendor)->to_variable(), variable);
}

TEST(Repair, RecordsInTheDataOfAnotherAreTakenOutOnRequestOnly) {
  // B and C stand in what A's DataSize, with one bit more than it had, claims to be its data.
  Bytes image = blank_image(small_layout());
  auto at = plant(image, first_record, u"A", "1234", 0x3f);
  const std::uint32_t second = at;
  at = plant(image, at, u"B", std::string(32, 'b'), 0x3f);
  at = plant(image, at, u"C", std::string(96, 'c'), 0x3f);
  const std::uint32_t swallowed = at - second;
  ASSERT_EQ(swallowed & (swallowed - 1), 0U) << "one bit of DataSize";
  plant(image, at, u"D", "last", 0x3f);
  image[first_record + 40] = static_cast<std::byte>((4 + swallowed) & 0xff);
  image[first_record + 41] = static_cast<std::byte>((4 + swallowed) >> 8);
  for (const bool taken : {false, true}) {
    auto device = device_of(image);
    const auto report =
        repair(*device, {.take_swallowed = taken, .keep = [](auto) { return Status{}; }});
    ASSERT_TRUE(report);
    EXPECT_EQ(report->variables, taken ? 4U : 2U);
    EXPECT_EQ(image_of(*device) == image, !taken);
  }
}

}  // namespace
}  // namespace efistore::test
