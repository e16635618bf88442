// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "text.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "efistore/base/bytes.hpp"

namespace efistore::tools {
namespace {

using namespace std::string_literals;

std::optional<std::string> text_of(const std::string& bytes) {
  return data_as_text(as_bytes(bytes));
}

TEST(HexDump, ShowsOffsetsBytesAndCharacters) {
  std::vector<std::byte> data(18);
  std::iota(reinterpret_cast<unsigned char*>(data.data()),
            reinterpret_cast<unsigned char*>(data.data() + data.size()), 0x58);
  EXPECT_EQ(hex_dump(data),
            "00000000  58 59 5a 5b 5c 5d 5e 5f  60 61 62 63 64 65 66 67  |XYZ[\\]^_`abcdefg|\n"
            "00000010  68 69                                             |hi|\n");
}

TEST(HexDump, ShowsNoControlCharacters) {
  const std::string dump = hex_dump(as_bytes("\x1b\n\x7f\xff\x9b"s));
  EXPECT_NE(dump.find("|.....|"), std::string::npos);
  EXPECT_EQ(hex_dump({}), "");
}

TEST(DataAsText, TakesUtf8WithAndWithoutNul) {
  EXPECT_EQ(text_of("en"), "en");
  EXPECT_EQ(text_of("eng\0"s), "eng");
  EXPECT_EQ(text_of("Grüße"), "Grüße");
  EXPECT_EQ(text_of(""), "");
}

TEST(DataAsText, TakesUtf16WithAndWithoutNul) {
  EXPECT_EQ(text_of("h\0i\0"s), "hi");
  EXPECT_EQ(text_of("h\0i\0\0\0"s), "hi");
  EXPECT_EQ(text_of("\xfc\x00x\x00"s), "üx");
}

TEST(DataAsText, RefusesWhatIsNeither) {
  EXPECT_EQ(text_of("a\0b"s), std::nullopt);        // a NUL inside, odd length
  EXPECT_EQ(text_of("a\0\0\0b\0"s), std::nullopt);  // a NUL inside UTF-16
  EXPECT_EQ(text_of("\xff"), std::nullopt);
  EXPECT_EQ(text_of("\x00\xd8"s), std::nullopt);  // a lone surrogate
}

TEST(TextAsUtf16, EndsInNulAndIsLittleEndian) {
  EXPECT_EQ(to_hex(*text_as_utf16("hü")), "6800fc000000");
  EXPECT_EQ(to_hex(*text_as_utf16("")), "0000");
  EXPECT_EQ(text_as_utf16("\xff"), std::nullopt);
}

}  // namespace
}  // namespace efistore::tools
