// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/store/scan.hpp"

#include <random>

#include "store/store_fixture.hpp"

namespace efistore::test {
namespace {

using store::RecordFormat;
using store::RecordScan;
using store::scan_records;

constexpr std::uint32_t begin = 4;

/// An erased area.
Bytes area_of(std::size_t size) {
  return Bytes(size, std::byte{0xff});
}

TEST(Record, AuthenticatedBytesStandAsEdk2WritesThem) {
  store::RecordContent content(u"AB", vendor, 0x27, as_bytes("xyz"));
  content.monotonic_count = 0x1122334455667788;
  content.public_key_index = 9;
  content.time.bytes[0] = std::byte{0xea};
  const auto record =
      encode_record(RecordFormat::authenticated, content, store::RecordState::added);
  EXPECT_EQ(to_hex(record),
            "aa553f00"                          // StartId, State, Reserved
            "27000000"                          // Attributes
            "8877665544332211"                  // MonotonicCount
            "ea000000000000000000000000000000"  // TimeStamp
            "09000000"                          // PubKeyIndex
            "06000000"
            "03000000"  // NameSize, DataSize
            "4433221166558877"
            "99aabbccddeeff00"
            "410042000000"
            "78797a");
}

TEST(Record, NormalBytesStandAsEdk2WritesThem) {
  const auto record = encode_record(RecordFormat::normal, {u"A", vendor, 7, as_bytes("x")},
                                    store::RecordState::header_only);
  EXPECT_EQ(to_hex(record),
            "aa55ff00"
            "07000000"
            "04000000"
            "01000000"
            "4433221166558877"
            "99aabbccddeeff00"
            "41000000"
            "78");
}

TEST(Scan, AnErasedAreaHasNoRecords) {
  const RecordScan scan = scan_records(area_of(4096), begin, RecordFormat::authenticated);
  EXPECT_TRUE(scan.records.empty());
  EXPECT_EQ(scan.chain_end, begin);
  EXPECT_FALSE(scan.tail_used);
  EXPECT_TRUE(scan.break_reason.empty());
}

TEST(Scan, RecordsFollowEachOtherAtMultiplesOfFour) {
  Bytes area = area_of(4096);
  const auto second = plant(area, begin, u"A", "1", 0x3f);
  const auto end = plant(area, second, u"B", "22", 0x3c);
  const RecordScan scan = scan_records(area, begin, RecordFormat::authenticated);
  ASSERT_EQ(scan.records.size(), 2U);
  EXPECT_EQ(scan.records[0].offset, begin);
  EXPECT_EQ(scan.records[0].size, 65U);
  EXPECT_EQ(scan.records[1].offset, second);
  EXPECT_EQ(second % 4, 0U);
  EXPECT_EQ(scan.chain_end, end);
  EXPECT_EQ(record_name(area, scan.records[1], RecordFormat::authenticated), u"B");
}

TEST(Scan, AnUncommittedRecordIsSteppedOverByItsHeaderOnly) {
  Bytes area = area_of(4096);
  plant(area, begin, u"A", "", 0xff);
  const RecordScan scan = scan_records(area, begin, RecordFormat::authenticated);
  ASSERT_EQ(scan.records.size(), 1U);
  EXPECT_EQ(scan.records[0].size, 60U);
  EXPECT_EQ(scan.chain_end, begin + 60) << "the name's bytes are where the next header should be";
  EXPECT_TRUE(scan.tail_used);
}

TEST(Scan, UnwrittenSizesStepOverTheHeaderOnly) {
  for (const std::size_t field : {4U, 36U, 40U}) {  // Attributes, NameSize, DataSize
    Bytes area = area_of(4096);
    plant(area, begin, u"A", "1", 0x3f);
    std::fill_n(area.begin() + static_cast<std::ptrdiff_t>(begin + field), 4, std::byte{0xff});
    const RecordScan scan = scan_records(area, begin, RecordFormat::authenticated);
    ASSERT_EQ(scan.records.size(), 1U);
    EXPECT_EQ(scan.records[0].size, 60U) << field;
  }
}

TEST(Scan, SizesThatReachBeyondTheAreaBreakTheChain) {
  for (const auto* sizes : {"00100000"
                            "01000000",
                            "04000000"
                            "00100000",
                            "feffffff"
                            "feffffff",
                            "04000000"
                            "feffffff"}) {
    Bytes area = area_of(4096);
    plant(area, begin, u"A", "1", 0x3f);
    const auto raw = from_hex(sizes).value();
    std::copy(raw.begin(), raw.end(), area.begin() + begin + 36);
    const RecordScan scan = scan_records(area, begin, RecordFormat::authenticated);
    EXPECT_TRUE(scan.records.empty());
    EXPECT_EQ(scan.chain_end, begin);
    EXPECT_NE(scan.break_reason.find("beyond"), std::string::npos) << scan.break_reason;
  }
}

TEST(Scan, LiveRecordsFromABreakOnAreFound) {
  Bytes area = area_of(4096);
  auto at = plant(area, begin, u"A", "1", 0x3f);
  const auto broken = at;
  at = plant(area, at, u"B", "2", 0x3f);
  at = plant(area, at, u"C", "3", 0x3f);
  plant(area, at, u"D", "4", 0x3d);
  area[broken] = std::byte{0};
  const RecordScan scan = scan_records(area, begin, RecordFormat::authenticated);
  EXPECT_EQ(scan.chain_end, broken);
  EXPECT_TRUE(scan.has_salvaged());
  ASSERT_EQ(scan.records.size(), 4U);
  EXPECT_FALSE(scan.records[0].salvaged);
  EXPECT_EQ(record_name(area, scan.records[1], RecordFormat::authenticated), u"B");
  EXPECT_TRUE(scan.records[1].salvaged) << "all but its StartId is whole";
  EXPECT_EQ(record_name(area, scan.records[2], RecordFormat::authenticated), u"C");
  EXPECT_TRUE(scan.records[2].salvaged);
  EXPECT_TRUE(scan.records[3].salvaged) << "the chain goes on behind it";
}

TEST(Scan, LiveRecordsBehindAnUnreadableHeaderAreFound) {
  Bytes area = area_of(4096);
  const auto at = plant(area, begin, u"A", "1", 0x3f);
  plant(area, at, u"B", "2", 0x3f);
  area[begin] = std::byte{0};
  area[begin + 2] = std::byte{0};
  const RecordScan scan = scan_records(area, begin, RecordFormat::authenticated);
  ASSERT_EQ(scan.records.size(), 1U);
  EXPECT_EQ(scan.records[0].offset, at);
  EXPECT_TRUE(scan.records[0].salvaged);
}

TEST(Scan, DeadRecordsFromABreakOnAreNoDamage) {
  Bytes area = area_of(4096);
  const auto at = plant(area, begin, u"A", "1", 0x3d);
  plant(area, at, u"B", "2", 0x3c);
  area[begin] = std::byte{0};
  const RecordScan scan = scan_records(area, begin, RecordFormat::authenticated);
  EXPECT_FALSE(scan.break_reason.empty());
  EXPECT_FALSE(scan.has_salvaged());
}

TEST(Scan, ARecordThatEndsWithTheAreaIsWhole) {
  Bytes area = area_of(begin + 68);
  plant(area, begin, u"A", "1234", 0x3f);
  const RecordScan scan = scan_records(area, begin, RecordFormat::authenticated);
  ASSERT_EQ(scan.records.size(), 1U);
  EXPECT_EQ(scan.chain_end, area.size());
  EXPECT_FALSE(scan.tail_used);
}

TEST(Scan, NamesMustEndInTheirOnlyNul) {
  struct Case {
    std::size_t name_size;
    const char* name;
    bool valid;
  };
  for (const Case& tested :
       {Case{4, "41000000", true}, Case{2, "0000", false}, Case{0, "", false},
        Case{3, "410000", false}, Case{4, "41004200", false}, Case{6, "410000000000", false}}) {
    Bytes area = area_of(256);
    plant(area, begin, u"A", "", 0x3f);
    const auto name = from_hex(tested.name).value();
    std::copy(name.begin(), name.end(), area.begin() + begin + 60);
    area[begin + 36] = static_cast<std::byte>(tested.name_size);
    const RecordScan scan = scan_records(area, begin, RecordFormat::authenticated);
    ASSERT_FALSE(scan.records.empty()) << tested.name;
    EXPECT_EQ(record_name(area, scan.records[0], RecordFormat::authenticated).has_value(),
              tested.valid)
        << tested.name;
  }
}

TEST(Scan, AnyBytesAreWalkedWithinTheArea) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    Bytes area = area_of(1024);
    std::uint32_t at = begin;
    for (int i = 0; i < 6; ++i) at = plant(area, at, u"Name", "data and more data", 0x3f);
    for (int i = 0; i < 8; ++i) area[random() % area.size()] = static_cast<std::byte>(random());
    for (const auto format : {RecordFormat::authenticated, RecordFormat::normal}) {
      const RecordScan scan = scan_records(area, begin, format);
      std::uint64_t last = begin;
      for (const auto& record : scan.records) {
        ASSERT_GE(record.offset, last);
        ASSERT_LE(std::uint64_t{record.offset} + record.size, area.size());
        last = std::uint64_t{record.offset} + record.size;
        (void)record_name(area, record, format);
        ASSERT_EQ(record_data(area, record, format).size(), record.data_size);
      }
      ASSERT_LE(scan.chain_end, area.size());
    }
  }
}

}  // namespace
}  // namespace efistore::test
