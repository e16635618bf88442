// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/store/examine.hpp"

#include <gmock/gmock.h>

#include <random>

#include "store/store_fixture.hpp"

namespace efistore::test {
namespace {

using store::Examination;
using store::examine;
using store::RegionKind;
using store::Severity;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Examination examine_image(Bytes image) {
  auto device = device_of(std::move(image));
  return examine(*device).value();
}

/// "live-record free-space …": the kinds in order.
std::string kinds(const Examination& examination) {
  std::string text;
  for (const auto& region : examination.regions) {
    if (!text.empty()) text += ' ';
    text += to_string(region.kind);
  }
  return text;
}

void expect_covered(const Examination& examination) {
  std::uint64_t at = 0;
  for (const auto& region : examination.regions) {
    ASSERT_EQ(region.where.offset, at) << to_string(region.kind);
    ASSERT_GT(region.where.size, 0U);
    at = region.where.end();
  }
  ASSERT_EQ(at, examination.layout.volume_size_bytes);
}

/// The one finding there is to be.
const store::Finding& only_finding(const Examination& examination) {
  EXPECT_EQ(examination.findings.size(), 1U);
  static const store::Finding none{Severity::note, {}, "none"};
  return examination.findings.empty() ? none : examination.findings.front();
}

TEST(Examine, ABlankVolumeIsCleanAndCovered) {
  const auto examination = examine_image(blank_image(store::Layout::ovmf_4m()));
  EXPECT_THAT(examination.findings, IsEmpty());
  EXPECT_EQ(kinds(examination),
            "volume-header store-header free-space event-log ftw-header ftw-queue ftw-spare");
  expect_covered(examination);
}

TEST(Examine, EveryKindOfRecordHasItsRegion) {
  Bytes image = blank_image(small_layout());
  auto at = plant(image, first_record, u"A", "1", 0x3f);
  at = plant(image, at, u"B", "22", 0x3c);
  at = plant(image, at, u"C", "3", 0x3d);
  plant(image, at, u"D", "torn", 0xff);
  const auto examination = examine_image(image);
  EXPECT_EQ(
      kinds(examination),
      "volume-header store-header live-record dead-record dead-record uncommitted-record residue "
      "free-space ftw-header ftw-queue ftw-spare");
  expect_covered(examination);
  EXPECT_EQ(examination.regions[2].label, "A-11223344-5566-7788-99aa-bbccddeeff00");
  EXPECT_FALSE(examination.damaged()) << "a cut while D was written leaves this";
}

TEST(Examine, ABrokenChainIsDamageThatNamesThePlace) {
  Bytes image = blank_image(small_layout());
  const auto at = plant(image, first_record, u"A", "1", 0x3f);
  plant(image, at, u"B", "2", 0x3f);
  image[first_record] = std::byte{0};
  const auto examination = examine_image(image);
  EXPECT_TRUE(examination.damaged());
  const auto& finding = only_finding(examination);
  EXPECT_EQ(finding.severity, Severity::damage);
  EXPECT_EQ(finding.where.offset, first_record);
  EXPECT_THAT(finding.what, HasSubstr("2 live records"));
  EXPECT_EQ(kinds(examination),
            "volume-header store-header salvaged-record salvaged-record free-space ftw-header "
            "ftw-queue ftw-spare");
  expect_covered(examination);
}

TEST(Examine, AWrongVolumeChecksumIsAWarning) {
  Bytes image = blank_image(small_layout());
  image[50] ^= std::byte{1};
  const auto examination = examine_image(image);
  EXPECT_EQ(only_finding(examination).severity, Severity::warning);
  EXPECT_THAT(only_finding(examination).what, HasSubstr("checksum"));
}

TEST(Examine, ABlockMapThatDoesNotAddUpIsANote) {
  const auto examination = examine_image(blank_image(store::Layout::aavmf()));
  EXPECT_EQ(only_finding(examination).severity, Severity::note);
  EXPECT_THAT(only_finding(examination).what, HasSubstr("block map"));
}

TEST(Examine, ASecondLiveRecordIsAWarningAndATransitionANote) {
  Bytes image = blank_image(small_layout());
  auto at = plant(image, first_record, u"A", "1", 0x3f);
  plant(image, at, u"A", "2", 0x3f);
  EXPECT_EQ(only_finding(examine_image(image)).severity, Severity::warning);
  image = blank_image(small_layout());
  at = plant(image, first_record, u"A", "1", 0x3e);
  plant(image, at, u"A", "2", 0x3f);
  EXPECT_EQ(only_finding(examine_image(image)).severity, Severity::note);
}

TEST(Examine, ANameWithoutItsNulIsDamageWhereTheRecordIsLive) {
  Bytes image = blank_image(small_layout());
  plant(image, first_record, u"A", "1", 0x3f);
  image[first_record + 62] = std::byte{'B'};
  EXPECT_EQ(only_finding(examine_image(image)).severity, Severity::damage);
  image[first_record + 2] = std::byte{0x3d};
  EXPECT_EQ(only_finding(examine_image(image)).severity, Severity::warning);
}

TEST(Examine, AHeaderThatIsDamagedIsAFindingWithItsPlace) {
  struct Case {
    std::size_t offset;
    const char* what;
    Severity severity;
  };
  for (const Case& tested :
       {Case{0, "ZeroVector", Severity::warning}, Case{17, "FileSystemGuid", Severity::damage},
        Case{33, "FvLength", Severity::damage}, Case{41, "Signature", Severity::damage},
        Case{44, "Attributes", Severity::warning}, Case{48, "HeaderLength", Severity::damage},
        Case{55, "Revision", Severity::warning}, Case{61, "Length", Severity::damage},
        Case{75, "Signature", Severity::damage}, Case{89, "Size", Severity::damage},
        Case{92, "Format", Severity::damage}, Case{93, "State", Severity::damage}}) {
    Bytes image = blank_image(small_layout());
    image[tested.offset] ^= std::byte{0x10};
    const auto examination = examine_image(image);
    const auto& finding = only_finding(examination);
    EXPECT_EQ(finding.severity, tested.severity) << tested.what;
    EXPECT_THAT(finding.what, HasSubstr(tested.what));
    EXPECT_LE(finding.where.offset, tested.offset) << tested.what;
    EXPECT_GT(finding.where.end(), tested.offset) << tested.what;
    expect_covered(examination);
  }
}

TEST(Examine, AStateWithBitsThatNoWriterClearsIsDamageIfItHidesAVariable) {
  Bytes image = blank_image(small_layout());
  plant(image, first_record, u"A", "1", 0x2f);
  EXPECT_EQ(only_finding(examine_image(image)).severity, Severity::damage);
  for (const int state : {0x7f, 0xbf, 0x2d, 0x00}) {
    image[first_record + 2] = static_cast<std::byte>(state);
    EXPECT_EQ(only_finding(examine_image(image)).severity, Severity::note) << state;
  }
}

TEST(Examine, ATimeThatIsNoneIsAWarning) {
  Bytes image = blank_image(small_layout());
  plant(image, first_record, u"A", "1", 0x3f);
  const auto time = EfiTime::from_unix(1700000000);
  std::ranges::copy(time.bytes, image.begin() + first_record + 16);
  EXPECT_THAT(examine_image(image).findings, IsEmpty());
  image[first_record + 16 + 2] = std::byte{13};  // the month
  EXPECT_EQ(only_finding(examine_image(image)).severity, Severity::warning);
  EXPECT_THAT(only_finding(examine_image(image)).what, HasSubstr("2023-13-14"));
}

TEST(Examine, ASizeThatHidesOtherRecordsIsDamageWhereTheChainBreaks) {
  Bytes image = blank_image(small_layout());
  const auto second = plant(image, first_record, u"A", "1", 0x3f);
  const auto third = plant(image, second, u"B", "2", 0x3f);
  plant(image, third, u"C", "3", 0x3f);
  image[first_record + 40] ^= std::byte{0x20};  // A's data ends in the middle of B
  const auto examination = examine_image(image);
  EXPECT_TRUE(examination.damaged());
  const auto at = [&](std::uint32_t offset) {
    return std::ranges::any_of(examination.findings, [&](const store::Finding& finding) {
      return finding.severity == Severity::damage && finding.where.offset == offset;
    });
  };
  EXPECT_TRUE(at(first_record));
  EXPECT_TRUE(at(second));
}

TEST(Examine, ASizeThatSwallowsWholeRecordsIsAWarning) {
  for (const std::string_view data : {"1", "eight by"}) {
    Bytes image = blank_image(small_layout());
    const auto second = plant(image, first_record, u"A", data, 0x3f);
    plant(image, second, u"B", "2", 0x3f);
    image[first_record + 41] ^= std::byte{0x02};  // beyond all that is used
    const auto examination = examine_image(image);
    EXPECT_EQ(only_finding(examination).severity, Severity::warning);
    EXPECT_THAT(only_finding(examination).what, HasSubstr("hide variables"));
  }
}

TEST(Examine, TheWorkingAreasStatesAreTold) {
  const std::size_t header = 0x1000 + 32;
  struct Case {
    const char* what;
    Severity severity;
    std::string bytes;
  };
  // The allocated write header of 40 bytes: state, caller, count, private size; then its record.
  const std::string caller(46, '0');
  for (const Case& tested : {Case{"dropped", Severity::note,
                                  "fc" + caller +
                                      "0100000000000000"
                                      "0000000000000000"
                                      "ff"},
                             Case{"dropped", Severity::note, "fe"},
                             Case{"done and not marked", Severity::note,
                                  "fc" + caller +
                                      "0100000000000000"
                                      "0000000000000000"
                                      "f9"},
                             Case{"only it can finish", Severity::warning,
                                  "fc" + caller +
                                      "0100000000000000"
                                      "0000000000000000"
                                      "fd"},
                             Case{"behind the fault-tolerant queue", Severity::note, "ffffff00"},
                             Case{"cannot be followed", Severity::damage,
                                  "fc" + caller +
                                      "ffffffffffffff7f"
                                      "0000000000000000"},
                             Case{"cannot be followed", Severity::damage,
                                  "fc" + caller +
                                      "0200000000000000"
                                      "000000000000ff7f"}}) {
    Bytes image = blank_image(small_layout());
    const auto bytes = from_hex(tested.bytes).value();
    std::copy(bytes.begin(), bytes.end(), image.begin() + header);
    const auto examination = examine_image(image);
    EXPECT_EQ(only_finding(examination).severity, tested.severity) << tested.bytes;
    EXPECT_THAT(only_finding(examination).what, HasSubstr(tested.what));
  }
  Bytes image = blank_image(small_layout());
  image[0x1000] = std::byte{0};
  EXPECT_THAT(only_finding(examine_image(image)).what, HasSubstr("not valid"));
}

TEST(Examine, EveryFlippedByteIsSurvivedAndTheVolumeStaysCovered) {
  Bytes pristine = blank_image(small_layout());
  std::uint32_t at = first_record;
  for (int i = 0; i < 5; ++i) at = plant(pristine, at, u"Name", "some data", i == 3 ? 0x3c : 0x3f);
  for (std::size_t position = 0; position < at + 8; ++position) {
    for (const auto flip : {0x01, 0x80, 0xff}) {
      Bytes image = pristine;
      image[position] ^= static_cast<std::byte>(flip);
      auto device = device_of(image);
      const auto examination = examine(*device);
      if (examination) expect_covered(*examination);
      const auto opened = store::VariableStore::open(std::move(device));
      ASSERT_TRUE(examination) << position << ": there is enough that tells the layout";
      EXPECT_TRUE(opened.has_value() || examination->damaged()) << position;
    }
  }
}

TEST(Examine, FindingsAreBoundedAndDamageIsNotCrowdedOut) {
  Bytes image = blank_image(store::Layout::ovmf_4m());
  std::uint32_t at = first_record;
  while (at + 200 < 0x40000) at = plant(image, at, u"A", "", 0x3f);
  const auto last = at;
  at = plant(image, at, u"B", "", 0x3f);
  image[last - 64] = std::byte{0};
  const auto examination = examine_image(image);
  EXPECT_LE(examination.findings.size(), 1000U);
  EXPECT_TRUE(examination.damaged());
  expect_covered(examination);
}

}  // namespace
}  // namespace efistore::test
