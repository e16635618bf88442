// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What SetVariable does once the request has passed: creation, update, append, deletion, and the
// flash writes of each.
#include <fmt/format.h>

#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using variable::Phase;

std::string filled(std::size_t size) {
  return std::string(size, 'x');
}

/// Tests of both formats: the offsets differ, the steps do not.
class Update : public ServicesTest, public testing::WithParamInterface<store::RecordFormat> {
 protected:
  Update() { start({.options = {.limits = distinct_limits()}, .format = GetParam()}); }

  /// "64 record", "66=3f": the writes since the last call, records and state bytes.
  std::vector<std::string> steps() {
    std::vector<std::string> short_forms;
    for (const std::string& write : writes()) {
      const std::size_t offset_end = write.find(' ', 2);
      const std::string offset = write.substr(2, offset_end - 2);
      const std::string bytes = write.substr(offset_end + 1);
      // A record goes out uncommitted, in one piece.
      short_forms.push_back(bytes.starts_with("aa55ff") ? offset + " record"
                                                        : offset + "=" + bytes);
    }
    return short_forms;
  }

  /// The offset of the state byte, or with `state` 0 of the header, of record number `index`, if
  /// all records before it have names and data of one character.
  static std::string step_at(std::uint32_t index, std::string_view what) {
    const std::uint32_t offset = first_record + index * padded_size(u"A", 1, GetParam());
    return what == "record" ? fmt::format("{:x} record", offset)
                            : fmt::format("{:x}={}", offset + 2, what);
  }
};

INSTANTIATE_TEST_SUITE_P(Formats, Update,
                         testing::Values(store::RecordFormat::authenticated,
                                         store::RecordFormat::normal),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

using Steps = std::vector<std::string>;

TEST_P(Update, CreationIsTwoWrites) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(steps(), (Steps{step_at(0, "record"), step_at(0, "3f")}));
}

TEST_P(Update, UpdateIsFourWritesOfOneRecordAndThreeStateBytes) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  steps();
  ASSERT_EQ(set(u"A", nv_bs_rt, "2"), EfiStatus::success);
  EXPECT_EQ(steps(),
            (Steps{step_at(0, "3e"), step_at(1, "record"), step_at(1, "3f"), step_at(0, "3c")}));
}

TEST_P(Update, TwinInTransitionIsDeletedBeforeTheOldRecord) {
  Bytes planted = blank_image(small_layout(GetParam()));
  const std::uint32_t second = plant(planted, first_record, u"A", "1", 0x3e, GetParam());
  plant(planted, second, u"A", "2", 0x3f, GetParam());
  start_from(std::move(planted));
  ASSERT_EQ(set(u"A", nv_bs_rt, "3"), EfiStatus::success);
  EXPECT_EQ(steps(), (Steps{step_at(1, "3e"), step_at(2, "record"), step_at(2, "3f"),
                            step_at(0, "3c"), step_at(1, "3c")}));
}

TEST_P(Update, DeletionIsOneWrite) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  steps();
  ASSERT_EQ(set(u"A", nv_bs_rt, ""), EfiStatus::success);
  EXPECT_EQ(steps(), (Steps{step_at(0, "3d")}));
  EXPECT_EQ(get(u"A"), "EFI_NOT_FOUND");
}

TEST_P(Update, DeletionTakesTheTwinFirst) {
  Bytes planted = blank_image(small_layout(GetParam()));
  const std::uint32_t second = plant(planted, first_record, u"A", "1", 0x3e, GetParam());
  plant(planted, second, u"A", "2", 0x3f, GetParam());
  start_from(std::move(planted));
  ASSERT_EQ(set(u"A", nv_bs_rt, ""), EfiStatus::success);
  EXPECT_EQ(steps(), (Steps{step_at(0, "3c"), step_at(1, "3d")}));
  restart();
  EXPECT_EQ(listing(), "");
}

TEST_P(Update, IdenticalDataIsNoWrite) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  steps();
  EXPECT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(steps(), Steps{});
}

TEST_P(Update, AppendOfNothingRewritesTheRecord) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  steps();
  EXPECT_EQ(set(u"A", nv_bs_rt | ap, ""), EfiStatus::success);
  EXPECT_EQ(steps().size(), 4U);
  EXPECT_EQ(get(u"A"), "1");
}

TEST_P(Update, AppendIsFourWrites) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  steps();
  EXPECT_EQ(set(u"A", nv_bs_rt | ap, "2"), EfiStatus::success);
  EXPECT_EQ(steps().size(), 4U);
  EXPECT_EQ(get(u"A"), "12");
  restart();
  EXPECT_EQ(get(u"A"), "12");
}

TEST_P(Update, AppendToARecordInTransitionKeepsItsData) {
  Bytes planted = blank_image(small_layout(GetParam()));
  plant(planted, first_record, u"A", "1", 0x3e, GetParam());
  start_from(std::move(planted));
  EXPECT_EQ(set(u"A", nv_bs_rt | ap, "2"), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "12");
}

TEST_P(Update, VolatileVariablesNeverReachTheFlash) {
  ASSERT_EQ(set(u"A", bs_rt, "1"), EfiStatus::success);
  ASSERT_EQ(set(u"A", bs_rt | ap, "2"), EfiStatus::success);
  ASSERT_EQ(set(u"B", bs, "3"), EfiStatus::success);
  ASSERT_EQ(set(u"B", bs, ""), EfiStatus::success);
  EXPECT_EQ(steps(), Steps{});
  EXPECT_EQ(get(u"A"), "12");
  restart();
  EXPECT_EQ(get(u"A"), "EFI_NOT_FOUND");
}

TEST_P(Update, RefusedRequestsAreNoWrite) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  steps();
  EXPECT_EQ(set(u"A", nv_bs, "2"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"B", nv_bs_rt, ""), EfiStatus::not_found);
  EXPECT_EQ(set(u"A", nv_bs_rt | ap, filled(0x200)), EfiStatus::invalid_parameter);
  EXPECT_EQ(steps(), Steps{});
}

TEST_P(Update, DeletionOfAMissingVariableIsNotFound) {
  EXPECT_EQ(set(u"A", nv_bs_rt, ""), EfiStatus::not_found);
  EXPECT_EQ(set(u"A", 0, ""), EfiStatus::not_found);
  EXPECT_EQ(set(u"A", bs_rt, ""), EfiStatus::not_found);
}

TEST_P(Update, AttributesWithoutAccessDeleteWhateverTheData) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"A", 0, "2"), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "EFI_NOT_FOUND");
}

TEST_P(Update, AttributesWithoutAccessOnAMissingVariableAreNotFound) {
  EXPECT_EQ(set(u"A", 0, "1"), EfiStatus::not_found);
  EXPECT_EQ(set(u"A", nv | ap, "1"), EfiStatus::not_found);
}

TEST_P(Update, AppendOfNothingToAMissingVariableIsSuccess) {
  EXPECT_EQ(set(u"A", nv_bs_rt | ap, ""), EfiStatus::success);
  // Without access too: appending is looked at before deleting.
  EXPECT_EQ(set(u"A", nv | ap, ""), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "EFI_NOT_FOUND");
  EXPECT_EQ(steps(), Steps{});
}

TEST_P(Update, AppendCreates) {
  EXPECT_EQ(set(u"A", nv_bs_rt | ap, "1"), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "1");
}

TEST_P(Update, AppendUpToTheNonVolatileMaximum) {
  const std::size_t most = 0x200 - store::record_header_size(GetParam()) - 4;
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt | ap, filled(most)), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", nv_bs_rt | ap, filled(most - 1)), EfiStatus::success);
  EXPECT_EQ(get(u"A").size(), most);
  EXPECT_EQ(set(u"A", nv_bs_rt | ap, "1"), EfiStatus::invalid_parameter);
}

TEST_P(Update, AppendUpToTheVolatileMaximum) {
  const std::size_t most = 0x180 - store::record_header_size(GetParam()) - 4;
  ASSERT_EQ(set(u"A", bs, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"A", bs | ap, filled(most)), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", bs | ap, filled(most - 1)), EfiStatus::success);
}

TEST_P(Update, AppendUpToTheHardwareErrorMaximum) {
  const std::size_t most = 0x300 - store::record_header_size(GetParam()) - 26;
  const auto append = [this](std::string_view data) {
    return set(u"HwErrRec0000", error_record | ap, data, guids::hardware_error_variable);
  };
  ASSERT_EQ(append("1"), EfiStatus::success);
  EXPECT_EQ(append(filled(most)), EfiStatus::invalid_parameter);
  EXPECT_EQ(append(filled(most - 1)), EfiStatus::success);
}

TEST_P(Update, AtRuntimeVolatileVariablesAreWriteProtected) {
  ASSERT_EQ(set(u"A", bs_rt, "1"), EfiStatus::success);
  services().exit_boot_services();
  EXPECT_EQ(set(u"A", bs_rt, "2"), EfiStatus::write_protected);
  EXPECT_EQ(set(u"A", bs_rt, "1"), EfiStatus::write_protected);
  EXPECT_EQ(set(u"A", bs_rt | ap, ""), EfiStatus::write_protected);
  EXPECT_EQ(set(u"A", bs_rt, ""), EfiStatus::write_protected);
  EXPECT_EQ(set(u"A", 0, ""), EfiStatus::write_protected);
  EXPECT_EQ(get(u"A"), "1");
}

TEST_P(Update, AtRuntimeOnlyNonVolatileRuntimeVariablesAreCreated) {
  services().exit_boot_services();
  EXPECT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"B", nv_bs, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"C", bs_rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"D", bs, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"D", bs | ap, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(listing(), "A=1");
}

TEST_P(Update, AtRuntimeDeletionAndAppendOfNothingComeBeforeTheRuleOfCreation) {
  services().exit_boot_services();
  EXPECT_EQ(set(u"A", bs, ""), EfiStatus::not_found);
  EXPECT_EQ(set(u"A", bs | ap, ""), EfiStatus::success);
}

TEST_P(Update, AtRuntimeNonVolatileVariablesAreUpdatedAppendedAndDeleted) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  services().exit_boot_services();
  EXPECT_EQ(set(u"A", nv_bs_rt, "2"), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt | ap, "3"), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "23");
  EXPECT_EQ(set(u"A", nv_bs_rt, ""), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "EFI_NOT_FOUND");
}

/// A record in flash whose attributes lack the non-volatile bit.
class MisplacedRecord : public ServicesTest {
 protected:
  void plant_and_start(const variable::Options& options) {
    Bytes planted = blank_image(small_layout());
    const auto record =
        store::encode_record(store::RecordFormat::authenticated,
                             {u"A", vendor, bs_rt, as_bytes("1")}, store::RecordState::added);
    std::copy(record.begin(), record.end(), planted.begin() + first_record);
    start_from(std::move(planted), options);
  }
};

TEST_F(MisplacedRecord, AtRuntimeIsInvalidParameter) {
  plant_and_start({.phase = Phase::runtime});
  EXPECT_EQ(get(u"A"), "1");
  EXPECT_EQ(set(u"A", bs_rt, "2"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", 0, ""), EfiStatus::invalid_parameter);
}

TEST_F(MisplacedRecord, UpdateMovesItIntoTheVolatileStore) {
  plant_and_start({});
  EXPECT_EQ(set(u"A", bs_rt, "2"), EfiStatus::success);
  EXPECT_EQ(listing(), "A=2");
  EXPECT_EQ(services().store().usage().live_records, 0U);
  EXPECT_EQ(set(u"A", bs_rt, ""), EfiStatus::success);
  EXPECT_EQ(listing(), "");
}

TEST_F(MisplacedRecord, UpdateNeedsAWritableFlash) {
  plant_and_start({.write_ready = false});
  EXPECT_EQ(set(u"A", bs_rt, "2"), EfiStatus::not_available_yet);
}

}  // namespace
}  // namespace efistore::test
