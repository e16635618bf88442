// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What take_changes() tells: every variable that changed, and no other.
#include "variable/signed_fixture.hpp"

namespace efistore::test {
namespace {

class Changes : public SignedTest {
 protected:
  /// "A B", in the order of the changes.
  std::string taken() {
    const variable::ChangeLog log = services().take_changes();
    std::string names = log.incomplete ? "..." : "";
    for (const auto& id : log.ids) {
      if (!names.empty()) names += ' ';
      for (const char16_t c : id.name) names += static_cast<char>(c);
    }
    return names;
  }
};

TEST_F(Changes, ACreationAnUpdateAndADeletionAreToldOnce) {
  static_cast<void>(taken());
  EXPECT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"B", bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(taken(), "A B");
  EXPECT_EQ(set(u"A", nv_bs_rt, "2"), EfiStatus::success);
  EXPECT_EQ(set(u"B", bs_rt, ""), EfiStatus::success);
  EXPECT_EQ(taken(), "A B");
  EXPECT_EQ(set(u"A", nv_bs_rt, ""), EfiStatus::success);
  EXPECT_EQ(taken(), "A");
  EXPECT_EQ(taken(), "");
}

TEST_F(Changes, WhatChangesNothingIsNotTold) {
  EXPECT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  static_cast<void>(taken());
  EXPECT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"None", nv_bs_rt, ""), EfiStatus::not_found);
  EXPECT_EQ(set(u"A", nv_bs_rt | 0x8000, "2"), EfiStatus::invalid_parameter);
  EXPECT_EQ(taken(), "");
}

TEST_F(Changes, WhatAKeyBringsWithItIsTold) {
  ASSERT_TRUE(services().start_secure_boot());
  static_cast<void>(taken());
  EXPECT_EQ(set_unsigned(u"PK", guids::global_variable, key_list(signer("PK")), 1),
            EfiStatus::success);
  const std::string names = taken();
  for (const char* const name : {"PK", "SetupMode", "SecureBoot"}) {
    EXPECT_NE(names.find(name), std::string::npos) << name << " in " << names;
  }
}

TEST_F(Changes, ATransactionThatFailsIsNotTold) {
  static_cast<void>(taken());
  const std::array<variable::SetRequest, 2> requests{{
      {.name = u"A", .guid = vendor, .attributes = nv_bs_rt, .data = as_bytes("1")},
      {.name = u"", .guid = vendor, .attributes = nv_bs_rt, .data = as_bytes("1")},
  }};
  EXPECT_FALSE(services().set_all(requests));
  EXPECT_EQ(taken(), "");
}

TEST_F(Changes, MoreThanAreKeptLeaveAMark) {
  for (std::size_t i = 0; i <= variable::ChangeLog::max_ids; ++i) {
    ASSERT_EQ(set(u"A", bs_rt, std::to_string(i)), EfiStatus::success);
  }
  EXPECT_EQ(taken(), "...");
  EXPECT_EQ(set(u"A", bs_rt, "x"), EfiStatus::success);
  EXPECT_EQ(taken(), "A");
}

}  // namespace
}  // namespace efistore::test
