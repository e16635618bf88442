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
      EXPECT_EQ(opened.has_value(), examination.has_value()) << position;
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
