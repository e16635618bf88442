// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "capsule_spool.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "efistore/base/bytes.hpp"

#include "support/temporary_directory.hpp"

namespace efistore::daemon {
namespace {

std::vector<std::byte> capsule(std::uint32_t size, std::uint32_t flags = 0x10000,
                               std::uint32_t header_size = 28) {
  std::vector<std::byte> bytes(size, std::byte{0xc5});
  ByteWriter writer(bytes);
  writer.fill(16, std::byte{1});
  writer.u32(header_size);
  writer.u32(flags);
  writer.u32(size);
  return bytes;
}

class Spool : public testing::Test {
 protected:
  EfiStatus hand_over(std::span<const std::byte> bytes, std::uint64_t announced) {
    if (auto done = spool_.begin(1, announced); !done) return done.status();
    if (auto done = spool_.data(1, 0, bytes.first(bytes.size() / 2)); !done) return done.status();
    if (auto done = spool_.data(1, bytes.size() / 2, bytes.subspan(bytes.size() / 2)); !done) {
      return done.status();
    }
    return spool_.commit(1).status();
  }
  EfiStatus hand_over(std::span<const std::byte> bytes) { return hand_over(bytes, bytes.size()); }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      names.push_back(entry.path().filename().string());
    }
    std::ranges::sort(names);
    return names;
  }

  test::TemporaryDirectory directory_;
  std::filesystem::path folder_ = directory_.path() / "capsules";
  CapsuleSpool spool_ = CapsuleSpool::open(folder_).value();
};

using Names = std::vector<std::string>;

TEST_F(Spool, CapsulesAreKeptInTheirOrder) {
  const auto bytes = capsule(100);
  EXPECT_EQ(hand_over(bytes), EfiStatus::success);
  EXPECT_EQ(hand_over(capsule(28)), EfiStatus::success);
  EXPECT_EQ(files(), (Names{"00000001.cap", "00000002.cap"}));
  std::ifstream file(folder_ / "00000001.cap", std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(file)), {});
  EXPECT_TRUE(equal_bytes(as_bytes(content), bytes));
}

TEST_F(Spool, HeadersThatAreWrongAreRefusedAndNothingIsLeft) {
  EXPECT_EQ(hand_over(capsule(100, 0x10000, 27)), EfiStatus::invalid_parameter);
  EXPECT_EQ(hand_over(capsule(100, 0x10000, 101)), EfiStatus::invalid_parameter);
  EXPECT_EQ(hand_over(capsule(100, 0x20000)), EfiStatus::invalid_parameter);
  EXPECT_EQ(hand_over(capsule(100, 0x40000)), EfiStatus::invalid_parameter);
  auto wrong = capsule(100);
  wrong[24] = std::byte{99};
  EXPECT_EQ(hand_over(wrong), EfiStatus::invalid_parameter);
  EXPECT_EQ(hand_over(capsule(100), 101), EfiStatus::invalid_parameter);
  EXPECT_EQ(hand_over(capsule(100), 99), EfiStatus::invalid_parameter);
  spool_.cancel(1);
  EXPECT_EQ(files(), Names{});
}

TEST_F(Spool, SizesAreBounded) {
  EXPECT_EQ(spool_.begin(1, 27).status(), EfiStatus::invalid_parameter);
  EXPECT_EQ(spool_.begin(1, max_capsule_size_bytes + 1).status(), EfiStatus::invalid_parameter);
  EXPECT_EQ(spool_.begin(1, UINT64_MAX).status(), EfiStatus::invalid_parameter);
  EXPECT_TRUE(spool_.begin(1, max_capsule_size_bytes));
}

TEST_F(Spool, PiecesFollowOneAnother) {
  ASSERT_TRUE(spool_.begin(1, 100));
  const std::vector<std::byte> piece(10);
  EXPECT_EQ(spool_.data(1, 1, piece).status(), EfiStatus::invalid_parameter);
  EXPECT_TRUE(spool_.data(1, 0, piece));
  EXPECT_EQ(spool_.data(1, 0, piece).status(), EfiStatus::invalid_parameter);
  EXPECT_EQ(spool_.data(1, UINT64_MAX, piece).status(), EfiStatus::invalid_parameter);
  EXPECT_EQ(spool_.data(1, 10, std::vector<std::byte>(91)).status(), EfiStatus::invalid_parameter);
  EXPECT_EQ(spool_.data(2, 0, piece).status(), EfiStatus::invalid_parameter);
  EXPECT_EQ(spool_.commit(2).status(), EfiStatus::invalid_parameter);
}

TEST_F(Spool, UploadsAndCapsulesAreCounted) {
  for (std::uint64_t session = 1; session <= max_uploads; ++session) {
    ASSERT_TRUE(spool_.begin(session, 100));
  }
  EXPECT_EQ(spool_.begin(99, 100).status(), EfiStatus::out_of_resources);
  EXPECT_TRUE(spool_.begin(1, 100));  // in the place of one's own
  for (std::uint64_t session = 1; session <= max_uploads; ++session) spool_.cancel(session);
  EXPECT_EQ(files(), Names{});
  for (std::size_t i = 0; i < max_staged_capsules; ++i) {
    ASSERT_EQ(hand_over(capsule(28)), EfiStatus::success);
  }
  EXPECT_EQ(hand_over(capsule(28)), EfiStatus::out_of_resources);
}

TEST_F(Spool, WhatACutUploadLeftIsRemovedAtTheNextStart) {
  ASSERT_TRUE(spool_.begin(1, 100));
  EXPECT_EQ(files(), Names{"1.part"});
  ASSERT_TRUE(CapsuleSpool::open(folder_));
  EXPECT_EQ(files(), Names{});
}

}  // namespace
}  // namespace efistore::daemon
