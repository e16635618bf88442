// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "mm/mm_fixture.hpp"

namespace efistore::test {
namespace {

using mm::FrameHeader;
using mm::HeaderVersion;

constexpr Guid protocol = mm::guids::variable_protocol;

std::vector<std::byte> v3_frame(std::uint64_t buffer_size, std::uint64_t reserved,
                                std::uint64_t message_size, std::size_t behind) {
  return Fields()
      .guid(mm::guids::communicate_header_v3)
      .u64(buffer_size)
      .u64(reserved)
      .guid(protocol)
      .u64(message_size)
      .zeros(behind)
      .bytes();
}

std::string fault(const std::vector<std::byte>& bytes) {
  const auto header = mm::parse_frame_header(bytes);
  return header ? "none" : header.error().message;
}

TEST(Frame, BothHeadersHaveEdk2sBytes) {
  const auto v1 = mm::make_frame({HeaderVersion::v1, protocol, 3});
  EXPECT_EQ(v1, Fields().guid(protocol).u64(3).zeros(3).bytes());
  const auto v3 = mm::make_frame({HeaderVersion::v3, protocol, 3});
  EXPECT_EQ(v3, v3_frame(59, 0, 3, 3));
  EXPECT_EQ(to_hex(std::span(v1).first(16)), "33d532ede69909429cc02d72cdd998a7");
  EXPECT_EQ(to_hex(std::span(v3).first(16)), "53c8e868a92bd74d9ac091e16155c935");
}

TEST(Frame, WhatWasMadeIsParsed) {
  for (const auto version : {HeaderVersion::v1, HeaderVersion::v3}) {
    for (const std::size_t size : {0U, 1U, 16U, 1000U}) {
      const FrameHeader header{version, protocol, size};
      auto frame = mm::make_frame(header);
      EXPECT_EQ(mm::parse_frame_header(frame).value(), header);
      frame.resize(frame.size() + 7);  // a buffer may be larger than what stands in it
      EXPECT_EQ(mm::parse_frame_header(frame).value(), header);
    }
  }
}

TEST(Frame, EveryTruncationIsRefused) {
  for (const auto version : {HeaderVersion::v1, HeaderVersion::v3}) {
    const auto frame = mm::make_frame({version, protocol, 5});
    for (std::size_t size = 0; size < frame.size(); ++size) {
      EXPECT_FALSE(mm::parse_frame_header(std::span(frame).first(size))) << size;
    }
  }
}

TEST(Frame, EveryWrongFieldIsNamed) {
  const auto v1 = [](std::uint64_t length) {
    return Fields().guid(protocol).u64(length).zeros(8).bytes();
  };
  EXPECT_NE(fault(v1(9)).find("MessageLength at offset 16 is 9"), std::string::npos);
  EXPECT_NE(fault(v1(UINT64_MAX)).find("MessageLength"), std::string::npos);
  EXPECT_NE(fault(v3_frame(55, 0, 0, 0)).find("BufferSize at offset 16 is 55"), std::string::npos);
  EXPECT_NE(fault(v3_frame(65, 0, 0, 8)).find("BufferSize"), std::string::npos);
  EXPECT_NE(fault(v3_frame(UINT64_MAX, 0, 0, 8)).find("BufferSize"), std::string::npos);
  EXPECT_NE(fault(v3_frame(64, 1, 8, 8)).find("Reserved at offset 24 is 0x1"), std::string::npos);
  EXPECT_NE(fault(v3_frame(64, 0, 9, 8)).find("MessageSize at offset 48 is 9"), std::string::npos);
  EXPECT_NE(fault(v3_frame(64, 0, UINT64_MAX, 8)).find("MessageSize"), std::string::npos);
  EXPECT_EQ(fault(v3_frame(64, 0, 8, 8)), "none");
}

}  // namespace
}  // namespace efistore::test
