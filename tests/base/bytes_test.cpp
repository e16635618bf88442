// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/base/bytes.hpp"

#include <gtest/gtest.h>

#include <array>

#include "efistore/base/crc32.hpp"

namespace efistore {
namespace {

std::vector<std::byte> hex(std::string_view text) {
  return from_hex(text).value();
}

TEST(IsFilled, LooksAtEveryByte) {
  EXPECT_TRUE(is_filled({}, std::byte{0xff}));
  for (const std::size_t size : {1U, 2U, 31U, 64U, 100U}) {
    std::vector<std::byte> bytes(size, std::byte{0xff});
    EXPECT_TRUE(is_filled(bytes, std::byte{0xff})) << size;
    EXPECT_FALSE(is_filled(bytes, std::byte{0x00})) << size;
    for (std::size_t i = 0; i < size; ++i) {
      bytes[i] = std::byte{0xfe};
      EXPECT_FALSE(is_filled(bytes, std::byte{0xff})) << i << " of " << size;
      bytes[i] = std::byte{0xff};
    }
  }
}

TEST(EqualBytes, ComparesSizeAndContent) {
  EXPECT_TRUE(equal_bytes({}, {}));
  EXPECT_TRUE(equal_bytes(hex("0102ff"), hex("0102ff")));
  EXPECT_FALSE(equal_bytes(hex("0102ff"), hex("0102fe")));
  EXPECT_FALSE(equal_bytes(hex("0102ff"), hex("0102")));
  EXPECT_FALSE(equal_bytes({}, hex("00")));
}

TEST(ByteReader, ReadsLittleEndian) {
  const auto bytes = hex("0102030405060708090a0b0c0d0e0f");
  ByteReader reader(bytes);
  EXPECT_EQ(reader.u8(), 0x01);
  EXPECT_EQ(reader.u16(), 0x0302);
  EXPECT_EQ(reader.u32(), 0x07060504U);
  EXPECT_EQ(reader.u64(), 0x0f0e0d0c0b0a0908ULL);
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.remaining(), 0U);
}

TEST(LittleEndian, SwapsOnMachinesThatAreNot) {
  EXPECT_EQ((little_endian<std::endian::little>(std::uint32_t{0x01020304})), 0x01020304U);
  EXPECT_EQ((little_endian<std::endian::big>(std::uint8_t{0x01})), 0x01);
  EXPECT_EQ((little_endian<std::endian::big>(std::uint16_t{0x0102})), 0x0201);
  EXPECT_EQ((little_endian<std::endian::big>(std::uint32_t{0x010203ff})), 0xff030201U);
  EXPECT_EQ((little_endian<std::endian::big>(std::uint64_t{0x0102030405060708})),
            0x0807060504030201ULL);
}

TEST(ByteReader, ReadsText) {
  const auto bytes = hex("ff410042003412");
  ByteReader reader(bytes);
  reader.skip(1);  // no 16-bit value need be where one can be read from
  std::u16string text(3, u'x');
  reader.text(text);
  EXPECT_EQ(text, u"AB\x1234");
  EXPECT_EQ(reader.remaining(), 0U);
  reader.text({});
  EXPECT_TRUE(reader.ok());
  reader.text(text);
  EXPECT_EQ(text, std::u16string(3, u'\0'));
  EXPECT_FALSE(reader.ok());
}

TEST(ByteWriter, WritesTextAsAWholeOrNotAtAll) {
  std::array<std::byte, 7> bytes{};
  ByteWriter writer(bytes);
  writer.u8(0xff);
  writer.text(u"A\x1234");
  writer.text({});
  EXPECT_TRUE(writer.ok());
  writer.text(u"BC");
  EXPECT_FALSE(writer.ok());
  EXPECT_EQ(to_hex(bytes), "ff410034120000");
}

TEST(ByteReader, FailsStickilyAtTheEnd) {
  const auto bytes = hex("0102030405");
  ByteReader reader(bytes);
  EXPECT_EQ(reader.u32(), 0x04030201U);
  EXPECT_EQ(reader.u16(), 0);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.u8(), 0) << "there is a byte left, but the reader has failed";
  EXPECT_EQ(reader.remaining(), 0U);
}

TEST(ByteReader, RefusesASizeThatWouldOverflow) {
  const auto bytes = hex("0102");
  ByteReader reader(bytes);
  reader.skip(1);
  EXPECT_TRUE(reader.take(SIZE_MAX).empty());
  EXPECT_FALSE(reader.ok());
}

TEST(ByteWriter, WritesLittleEndianAndDropsWhatDoesNotFit) {
  std::array<std::byte, 8> out{};
  ByteWriter writer(out);
  writer.u16(0x0201);
  writer.u32(0x06050403);
  writer.u32(0xffffffff);
  writer.u8(0xff);
  EXPECT_FALSE(writer.ok());
  EXPECT_EQ(to_hex(out), "0102030405060000");
}

TEST(Hex, RoundTripsAndRefusesAnythingElse) {
  EXPECT_EQ(to_hex(hex("00ff7f80")), "00ff7f80");
  EXPECT_EQ(to_hex(hex("ABCDEF")), "abcdef");
  EXPECT_TRUE(hex("").empty());
  for (const auto* text : {"0", "abc", "0g", "0x00", " 00", "00 "}) {
    EXPECT_EQ(from_hex(text), std::nullopt) << text;
  }
}

TEST(Crc32, IsZlibs) {
  EXPECT_EQ(crc32(as_bytes("123456789")), 0xcbf43926U);
  EXPECT_EQ(crc32({}), 0U);
}

}  // namespace
}  // namespace efistore
