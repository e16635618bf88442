// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The fault-tolerant write of the variables: its bytes and their order, and what other writers left
// half done. Cuts of every operation are in tests/powercut.
#include <gmock/gmock.h>

#include "efistore/store/examine.hpp"
#include "efistore/store/variable_store.hpp"

#include "store/recording_device.hpp"
#include "store/store_fixture.hpp"
#include "support/faulty_device.hpp"

namespace efistore::test {
namespace {

using store::FtwRecovery;
using store::VariableStore;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::size_t working = 0x1000;
constexpr std::size_t entry = working + 32;
constexpr std::size_t record = entry + 40;
constexpr std::size_t spare = 0x2000;

/// The entry that EDK2 writes for the variables of small_layout(): one write of 0xfb8 bytes from
/// offset 0x48 on, to a target 0x2000 bytes in front of the spare.
const std::string header_body =
    "76ea5cfe724fe849986f2cd899dffe5d"
    "ffffffff"
    "0100000000000000"
    "0000000000000000";
const std::string record_body =
    "0000000000000000"
    "4800000000000000"
    "b80f000000000000"
    "00e0ffffffffffff";

void put_hex(Bytes& image, std::size_t at, std::string_view hex) {
  const auto bytes = from_hex(hex).value();
  std::copy(bytes.begin(), bytes.end(), image.begin() + static_cast<std::ptrdiff_t>(at));
}

std::string hex_of(const Bytes& image, std::size_t at, std::size_t size) {
  return to_hex(std::span(image).subspan(at, size));
}

/// A volume whose queue has an entry with these states, and a spare with `staged` in it.
Bytes interrupted(Bytes image, std::string_view header_state, std::string_view record_state,
                  const Bytes& staged) {
  put_hex(image, entry, std::string(header_state) + "ffffff" + header_body);
  put_hex(image, record, std::string(record_state) + "ffffffffffffff" + record_body);
  std::copy(staged.begin(), staged.end(), image.begin() + spare);
  return image;
}

Bytes old_variables() {
  Bytes image = blank_image(small_layout());
  const auto at = plant(image, first_record, u"Dead", "1", 0x3c);
  plant(image, at, u"A", "old", 0x3f);
  return image;
}

Bytes new_variables() {
  Bytes image = blank_image(small_layout());
  plant(image, first_record, u"A", "new", 0x3f);
  return image;
}

store::RecordContent content(std::u16string_view name, std::string_view data) {
  return {name, vendor, 7, as_bytes(data)};
}

VariableStore open_image(Bytes image, bool read_only = false) {
  return VariableStore::open(device_of(std::move(image)), {.read_only = read_only}).value();
}

TEST(FaultTolerantWrite, GoesThroughEdk2sStatesWithTheSizesInFrontOfTheFlagThatMakesThemCount) {
  auto recording = std::make_unique<RecordingDevice>(device_of(old_variables()));
  auto* const log = recording.get();
  auto store = VariableStore::open(std::move(recording)).value();
  ASSERT_TRUE(store.reclaim());
  const std::string headers = hex_of(old_variables(), 0, first_record);
  const std::string signature = "5f465648";
  std::string unsigned_headers = headers;
  unsigned_headers.replace(unsigned_headers.find(signature), 8, "ffffffff");
  const std::string kept =
      to_hex(encode_record(store.format(), content(u"A", "old"), store::RecordState::added));
  EXPECT_THAT(log->take(),
              ElementsAre("P 1024 " + header_body,                //
                          "P 1020 fe",                            // HeaderAllocated
                          "P 1020 fc",                            // WritesAllocated
                          "P 1050 " + record_body.substr(0, 52),  //
                          "P 2000 " + headers + kept,             // the spare, erased already
                          "P 1048 fd",                            // SpareComplete
                          "P 28 00000000", "E 0 1000",            // no signature, no volume
                          "P 0 " + unsigned_headers + kept,       //
                          "P 28 " + signature,                    //
                          "P 1048 f9",                            // DestinationComplete
                          "E 2000 1000",                          // the spare, for the next write
                          "P 1020 f8"));                          // Complete
}

TEST(FaultTolerantWrite, WhatIsThereAlreadyIsNotWritten) {
  auto recording = std::make_unique<RecordingDevice>(device_of(new_variables()));
  auto* const log = recording.get();
  auto store = VariableStore::open(std::move(recording)).value();
  ASSERT_TRUE(store.reclaim());
  EXPECT_THAT(log->take(), IsEmpty());
}

TEST(FaultTolerantWrite, ASpareThatIsInUseIsErasedUnderTheOpenEntry) {
  Bytes image = old_variables();
  image[spare + 5] = std::byte{0};
  auto recording = std::make_unique<RecordingDevice>(device_of(image));
  auto* const log = recording.get();
  auto store = VariableStore::open(std::move(recording)).value();
  ASSERT_TRUE(store.reclaim());
  const auto lines = log->take();
  EXPECT_EQ(lines.at(4), "E 2000 1000");
}

TEST(FaultTolerantWrite, AFullQueueIsStartedAnewWithItsHeaderClearedFirst) {
  auto device = device_of(old_variables());
  auto* const flash = device.get();
  auto recording = std::make_unique<RecordingDevice>(std::move(device));
  auto* const log = recording.get();
  auto store = VariableStore::open(std::move(recording)).value();
  int entries = 0;
  for (bool reset = false; !reset; ++entries) {
    ASSERT_LE(entries, 51);
    ASSERT_TRUE(store.put(content(u"A", std::to_string(entries))));
    log->take();
    ASSERT_TRUE(store.reclaim());
    const auto lines = log->take();
    reset = lines.front() == "E 2000 1000";
    if (reset) {
      const std::string header = hex_of(blank_image(small_layout()), working, 29) + "000000";
      EXPECT_EQ(lines.at(1), "P 2000 " + header) << "EDK2 puts a copy into the spare first";
      EXPECT_EQ(lines.at(2), "P 1000 " + std::string(64, '0'));
      EXPECT_EQ(lines.at(3), "E 1000 1000");
      EXPECT_EQ(lines.at(4), "P 1000 " + header);
    }
  }
  EXPECT_EQ(entries, 51) << "a queue of 4064 bytes has room for 50 entries of 80";
  EXPECT_TRUE(open_image(image_of(*flash)).report().findings.empty());
}

TEST(Recovery, AWriteWhoseSpareIsNotCompleteIsDropped) {
  for (const char* states : {"fe", "fc"}) {
    Bytes half = variables_of(new_variables());
    std::fill(half.begin() + 0x80, half.end(), std::byte{0xff});
    const Bytes image = interrupted(old_variables(), states, "ff", half);
    EXPECT_EQ(contents(open_image(image, true)), "A=old");
    auto device = device_of(image);
    auto* const flash = device.get();
    const auto store = VariableStore::open(std::move(device)).value();
    EXPECT_EQ(store.report().recovery, FtwRecovery::dropped);
    EXPECT_EQ(contents(store), "A=old");
    EXPECT_TRUE(store.report().findings.empty());
    EXPECT_EQ(flash->content()[entry] & std::byte{4}, std::byte{0}) << "Complete";
    EXPECT_EQ(flash->content()[spare], std::byte{0xff}) << "erased for the next write";
  }
}

TEST(Recovery, AWriteWhoseSpareIsCompleteIsFinished) {
  const Bytes image = interrupted(old_variables(), "fc", "fd", variables_of(new_variables()));
  const auto reading = open_image(image, true);
  EXPECT_EQ(contents(reading), "A=new") << "read from the spare";
  EXPECT_EQ(reading.report().recovery, FtwRecovery::none);
  auto device = device_of(image);
  auto* const flash = device.get();
  const auto store = VariableStore::open(std::move(device)).value();
  EXPECT_EQ(store.report().recovery, FtwRecovery::finished);
  EXPECT_EQ(contents(store), "A=new");
  EXPECT_TRUE(store.report().findings.empty());
  EXPECT_EQ(variables_of(image_of(*flash)), variables_of(new_variables()));
}

TEST(Recovery, TheTargetIsFoundFromTheSpareWhereItsOwnHeadersAreGone) {
  const Bytes pending = interrupted(old_variables(), "fc", "fd", variables_of(new_variables()));
  for (const auto fill : {std::byte{0xff}, std::byte{0x00}, std::byte{0x5a}}) {
    for (const std::size_t to : {1U, 0x11U, 0x30U, 0x48U, 0x64U, 0x1000U}) {
      Bytes image = pending;
      std::fill_n(image.begin(), to, fill);
      EXPECT_EQ(contents(open_image(image, true)), "A=new") << to;
      const auto store = open_image(image);
      EXPECT_EQ(contents(store), "A=new") << to;
      EXPECT_EQ(store.layout(), small_layout());
      EXPECT_TRUE(store.report().findings.empty());
    }
  }
}

TEST(Recovery, ATornHeaderOfTheTargetIsNotBelieved) {
  // What the cut of the program that writes the target's headers leaves, or that of their erase:
  // every bit of them alone is erased.
  const Bytes pending = interrupted(new_variables(), "fc", "fd", variables_of(new_variables()));
  for (std::size_t bit = 0; bit < 8 * first_record; ++bit) {
    Bytes image = pending;
    // The signature is not there at that time; at any other the headers are whole.
    std::fill_n(image.begin() + 40, 4, std::byte{0});
    image[bit / 8] |= static_cast<std::byte>(1U << (bit % 8));
    const auto store = open_image(image);
    EXPECT_EQ(contents(store), "A=new") << bit;
    EXPECT_EQ(store.layout(), small_layout()) << bit;
    EXPECT_TRUE(store.report().findings.empty()) << bit;
  }
}

TEST(Format, HeadersGoFirstAndComeLastAndOfThemTheSignature) {
  // Firmware has left a copy of the variables in the spare, which is not to come back either.
  Bytes image = old_variables();
  const Bytes old = variables_of(image);
  std::copy(old.begin(), old.end(), image.begin() + spare);
  RecordingDevice device(device_of(image));
  ASSERT_TRUE(VariableStore::format(device, small_layout()));
  const Bytes blank = blank_image(small_layout());
  std::string headers = hex_of(blank, 0, first_record);
  headers.replace(80, 8, "ffffffff");
  EXPECT_THAT(device.take(), ElementsAre("P 28 00000000", "P 0 " + std::string(144, '0'),  //
                                         "P 1000 " + std::string(64, '0'),                 //
                                         "E 0 1000", "E 1000 1000", "E 2000 1000",         //
                                         "P 1000 " + hex_of(blank, working, 32),           //
                                         "P 0 " + headers, "P 28 5f465648"));
}

TEST(Recovery, AnOldCopyInTheSpareIsNotTakenForAStoreWithoutHeaders) {
  for (const char* record_state : {"ff", "f9"}) {
    Bytes image = interrupted(old_variables(), "fc", record_state, variables_of(new_variables()));
    std::fill_n(image.begin(), 0x64, std::byte{0});
    EXPECT_EQ(VariableStore::open(device_of(image)).error().code, Errc::damaged);
  }
}

TEST(Recovery, ACompletedCopyIsMarkedAndItsSpareErased) {
  Bytes image = interrupted(new_variables(), "fc", "f9", variables_of(new_variables()));
  auto device = device_of(image);
  auto* const flash = device.get();
  const auto store = VariableStore::open(std::move(device)).value();
  EXPECT_EQ(store.report().recovery, FtwRecovery::finished);
  EXPECT_EQ(flash->content()[entry], std::byte{0xf8});
  EXPECT_EQ(flash->content()[spare], std::byte{0xff});
}

TEST(Recovery, ASpareWithoutVariablesIsNotCopied) {
  const Bytes image = interrupted(old_variables(), "fc", "fd", {});
  auto store = open_image(image);
  EXPECT_TRUE(store.report().damaged);
  EXPECT_EQ(contents(store), "A=old");
  EXPECT_EQ(store.reclaim().error().code, Errc::damaged);
}

/// Opens `image` for writing, sees that it is damaged and that nothing was written, and gives what
/// it shows.
std::string shown_and_left_alone(Bytes image) {
  auto recording = std::make_unique<RecordingDevice>(device_of(std::move(image)));
  auto* const log = recording.get();
  auto store = VariableStore::open(std::move(recording)).value();
  EXPECT_TRUE(store.report().damaged);
  EXPECT_EQ(store.report().recovery, FtwRecovery::none);
  EXPECT_EQ(store.put(content(u"B", "2")).error().code, Errc::damaged);
  EXPECT_THAT(log->take(), IsEmpty());
  return contents(store);
}

TEST(Recovery, ACopyThatIsNotOfThisVolumeIsNotCopied) {
  struct Field {
    std::size_t at;
    const char* hex;
  };
  for (const auto& [at, hex] : {Field{32, "0040"}, Field{48, "5000"}, Field{60, "00020000"},
                                Field{0x48, "1636cfdd7532644198b6fe85707ffe7d"}, Field{0x48, "5a"},
                                Field{0x58, "b81f0000"}, Field{0x5c, "00"}, Field{0x5d, "ff"}}) {
    Bytes staged = variables_of(new_variables());
    put_hex(staged, at, hex);
    EXPECT_EQ(shown_and_left_alone(interrupted(old_variables(), "fc", "fd", staged)), "A=old")
        << "offset " << at;
  }
}

TEST(Recovery, ACopyWithHeadersLongerThanTheAreaIsNotRead) {
  store::Layout layout = small_layout();
  layout.volume_size_bytes = 0x1000;
  layout.block_size_bytes = 0x200;
  layout.block_map_count = 8;
  layout.variables = {0, 0x200};
  layout.ftw_working = {0x200, 0x200};
  layout.ftw_spare = {0x400, 0xc00};
  flash::MemoryDevice blank({.size_bytes = 0x1000, .erase_block_size_bytes = 0x200});
  ASSERT_TRUE(VariableStore::format(blank, layout));
  Bytes image = image_of(blank);
  put_hex(image, 0x220, "fcffffff" + header_body);
  put_hex(image, 0x248,
          "fdffffffffffff"
          "ff"
          "0000000000000000"
          "4800000000000000"
          "b801000000000000"
          "00fcffffffffffff");
  std::copy_n(image.begin(), 0x64, image.begin() + 0x400);
  put_hex(image, 0x400 + 48, "fc01");  // HeaderLength
  flash::MemoryDevice device(image, 0x200);
  const auto examination = store::examine(device);
  ASSERT_TRUE(examination) << examination.error().message;
  EXPECT_EQ(examination->ftw, store::FtwState::broken);
}

TEST(Recovery, WhatIsDamagedIsLeftAsItIsFound) {
  Bytes damaged = blank_image(small_layout());
  const auto second = plant(damaged, first_record, u"A", "1", 0x3f);
  plant(damaged, plant(damaged, second, u"B", "2", 0x3f), u"C", "3", 0x3f);
  damaged[second] = std::byte{0xab};
  const Bytes staged = variables_of(new_variables());
  for (const auto& [state, record_state] : {std::pair{"fe", "ff"}, {"fc", "ff"}, {"fc", "f9"}}) {
    EXPECT_EQ(shown_and_left_alone(interrupted(damaged, state, record_state, staged)),
              "A=1 B=2 C=3");
  }
  const Bytes copying = interrupted(new_variables(), "fc", "fd", variables_of(damaged));
  EXPECT_EQ(shown_and_left_alone(copying), "A=1 B=2 C=3") << "the old variables may be whole";
  Bytes invalid = damaged;
  invalid[working] = std::byte{0};
  EXPECT_EQ(shown_and_left_alone(invalid), "A=1 B=2 C=3");
}

TEST(Recovery, ATornHeaderIsNoWrite) {
  // The header of 40 bytes in one write, as EDK2 does it, cut after every byte.
  for (std::size_t bytes = 1; bytes <= 40; ++bytes) {
    Bytes image = old_variables();
    put_hex(image, entry, ("feffffff" + header_body).substr(0, 2 * bytes));
    auto store = open_image(image);
    EXPECT_EQ(contents(store), "A=old") << bytes;
    ASSERT_TRUE(store.put(content(u"B", "2"))) << bytes;
    ASSERT_TRUE(store.reclaim()) << bytes;
    EXPECT_EQ(contents(store), "A=old B=2") << bytes;
  }
}

TEST(Recovery, AWorkingAreaThatIsNotValidIsStartedAnew) {
  for (const std::size_t at : {0U, 16U, 20U, 24U}) {
    Bytes image = old_variables();
    image[working + at] = std::byte{0};
    auto store = open_image(image);
    EXPECT_EQ(store.report().recovery, FtwRecovery::reset);
    EXPECT_TRUE(store.report().findings.empty());
    ASSERT_TRUE(store.reclaim());
    EXPECT_EQ(contents(store), "A=old");
  }
}

TEST(Recovery, AWriteOfSomethingElseIsLeftToTheFirmware) {
  Bytes image = interrupted(old_variables(), "fc", "fd", variables_of(new_variables()));
  image[record + 33] = std::byte{0xd0};  // RelativeOffset: in front of the volume
  auto recording = std::make_unique<RecordingDevice>(device_of(image));
  auto* const log = recording.get();
  auto store = VariableStore::open(std::move(recording)).value();
  EXPECT_EQ(contents(store), "A=old");
  const auto refused = store.put(content(u"B", "2"));
  EXPECT_EQ(refused.error().code, Errc::read_only);
  EXPECT_THAT(refused.error().message, HasSubstr("only it can finish"));
  EXPECT_THAT(log->take(), IsEmpty());
}

TEST(Recovery, ADeviceThatFailsInItLeavesAStoreToRead) {
  const Bytes image = interrupted(old_variables(), "fc", "fd", variables_of(new_variables()));
  for (const auto operation : {FlashOperation::program, FlashOperation::erase}) {
    auto faulty = std::make_unique<FaultyDevice>(device_of(image));
    faulty->arm({.operation = operation, .lasting = true});
    auto store = VariableStore::open(std::move(faulty)).value();
    EXPECT_EQ(contents(store), "A=new");
    EXPECT_EQ(store.put(content(u"B", "2")).error().code, Errc::read_only);
    EXPECT_FALSE(store.report().not_written_because.empty());
  }
}

TEST(Recovery, WithoutASpareAreaNothingIsRewritten) {
  // A volume of variables alone, as some boards have it.
  Bytes image = old_variables();
  const auto layout = store::Layout::custom({.size_bytes = 0x3000}).value();
  std::fill(image.begin() + 0x1000, image.end(), std::byte{0xff});
  image.resize(0x1000);
  store::Layout alone = layout;
  alone.volume_size_bytes = 0x1000;
  alone.block_map_count = 1;
  alone.ftw_working = {};
  alone.ftw_spare = {};
  flash::MemoryDevice device({.size_bytes = 0x1000, .erase_block_size_bytes = 0x1000});
  ASSERT_TRUE(VariableStore::format(device, alone));
  auto store = open_image(image_of(device));
  ASSERT_TRUE(store.put(content(u"A", "1")));
  ASSERT_TRUE(store.put(content(u"A", "2")));
  EXPECT_EQ(store.reclaim().error().code, Errc::unsupported);
  EXPECT_EQ(contents(store), "A=2");
}

}  // namespace
}  // namespace efistore::test
