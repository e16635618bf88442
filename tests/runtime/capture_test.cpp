// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <gtest/gtest.h>

#include "efistore/base/bytes.hpp"

#include "common/capture_format.hpp"

namespace efistore::tools {
namespace {

std::vector<std::byte> capture_of(const std::vector<CapturedFrame>& frames) {
  auto file = capture_file_header();
  for (const auto& frame : frames) {
    const auto block = encode_captured_frame(frame);
    file.insert(file.end(), block.begin(), block.end());
  }
  return file;
}

const auto content = as_bytes("a frame's bytes");

CapturedFrame example() {
  return {.time_ns = 1'700'000'000'123'456'789,
          .direction = FrameDirection::reply,
          .transport = FrameTransport::kernel_module,
          .rights = 3,
          .uid = 1000,
          .session = 0x8000000000000007,
          .frame = content};
}

TEST(Capture, WhatWasWrittenIsRead) {
  for (std::size_t size = 0; size <= content.size(); ++size) {
    auto frame = example();
    frame.frame = content.first(size);
    const auto file = capture_of({frame, frame});
    EXPECT_EQ(file.size() % 4, 0U);
    const auto frames = parse_capture(file);
    ASSERT_TRUE(frames) << frames.error().message;
    ASSERT_EQ(frames->size(), 2U);
    for (const auto& read : *frames) {
      EXPECT_EQ(read.time_ns, frame.time_ns);
      EXPECT_EQ(read.direction, frame.direction);
      EXPECT_EQ(read.transport, frame.transport);
      EXPECT_EQ(read.rights, frame.rights);
      EXPECT_EQ(read.uid, frame.uid);
      EXPECT_EQ(read.session, frame.session);
      EXPECT_TRUE(equal_bytes(read.frame, frame.frame));
    }
  }
}

TEST(Capture, TheFirstBytesAreTheFormats) {
  EXPECT_EQ(to_hex(capture_file_header()),
            "0a0d0d0a"
            "1c000000"
            "4d3c2b1a"
            "0100"
            "0000"
            "ffffffffffffffff"
            "1c000000"
            "01000000"
            "20000000"
            "9300"
            "0000"
            "00000000"
            "0900"
            "0100"
            "09000000"
            "00000000"
            "20000000");
}

TEST(Capture, AFileThatWasCutGivesTheWholeBlocks) {
  const auto file = capture_of({example(), example()});
  const std::size_t header = capture_file_header().size();
  const std::size_t block = (file.size() - header) / 2;
  for (std::size_t size = header; size < file.size(); ++size) {
    const auto frames = parse_capture(std::span(file).first(size));
    ASSERT_TRUE(frames) << size;
    EXPECT_EQ(frames->size(), (size - header) / block) << size;
  }
}

TEST(Capture, BlocksOfOtherKindsArePassedOver) {
  auto file = capture_of({example()});
  std::vector<std::byte> other(16);
  ByteWriter writer(other);
  writer.u32(5);
  writer.u32(16);
  writer.u32(0);
  writer.u32(16);
  file.insert(file.begin() + 60, other.begin(), other.end());
  EXPECT_EQ(parse_capture(file)->size(), 1U);
}

TEST(Capture, EveryByteThatIsWrongGivesAnErrorOrAnotherFrame) {
  const auto file = capture_of({example()});
  for (std::size_t at = 0; at < file.size(); ++at) {
    for (const auto value : {std::byte{0}, std::byte{0xff}, file[at] ^ std::byte{1}}) {
      auto broken = file;
      broken[at] = value;
      const auto frames = parse_capture(broken);
      if (!frames) {
        EXPECT_NE(frames.error().message.find("offset"), std::string::npos);
      }
    }
  }
  EXPECT_FALSE(parse_capture(as_bytes("{\"no\":\"capture\"}")));
  EXPECT_TRUE(parse_capture({})->empty());
}

}  // namespace
}  // namespace efistore::tools
