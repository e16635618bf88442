// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "common/escape.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "efistore/base/ucs2.hpp"

namespace efistore::tools {
namespace {

using namespace std::string_literals;

TEST(Escape, LeavesTextAlone) {
  for (const std::string text :
       {"", "Boot0000", "\\EFI\\BOOT", "Grüße", "日本", "\xf0\x9f\x98\x80"}) {
    EXPECT_EQ(escape(text, EscapeStyle::line), text);
    EXPECT_FALSE(needs_escape(text, EscapeStyle::line));
  }
}

TEST(Escape, ShowsControlCharacters) {
  EXPECT_EQ(escape("\x1b[2J", EscapeStyle::line), "\\u{1b}[2J");
  EXPECT_EQ(escape("a\0b"s, EscapeStyle::line), "a\\u{0}b");
  EXPECT_EQ(escape("\x7f", EscapeStyle::line), "\\u{7f}");
  // C1 controls: terminals take U+009B for ESC [.
  EXPECT_EQ(escape("\xc2\x9b"
                   "2J",
                   EscapeStyle::line),
            "\\u{9b}2J");
}

TEST(Escape, ShowsWhatReordersOrBreaksLines) {
  EXPECT_EQ(escape("\xe2\x80\xae", EscapeStyle::line), "\\u{202e}");
  EXPECT_EQ(escape("\xe2\x80\xa8", EscapeStyle::text), "\\u{2028}");
  EXPECT_EQ(escape("\xe2\x81\xa6", EscapeStyle::line), "\\u{2066}");
}

TEST(Escape, ShowsWhatCannotBeSeen) {
  // A name with one of them looks like the name without it.
  for (const char32_t c : {0xadU, 0x34fU, 0x115fU, 0x180bU, 0x200bU, 0x200dU, 0x2060U, 0x2064U,
                           0x3164U, 0xfe0fU, 0xfeffU, 0xffa0U, 0xfff9U, 0xe0001U, 0xe0041U}) {
    std::u16string name = u"Boot";
    if (c < 0x10000) {
      name += static_cast<char16_t>(c);
    } else {
      name += static_cast<char16_t>(0xd7c0 + (c >> 10));
      name += static_cast<char16_t>(0xdc00 + (c & 0x3ff));
    }
    EXPECT_EQ(escape(to_utf8(name), EscapeStyle::line),
              "Boot\\u{" + fmt::format("{:x}", static_cast<std::uint32_t>(c)) + "}");
  }
}

TEST(Escape, KeepsLineFeedsAndTabsInTextsOnly) {
  EXPECT_EQ(escape("a\n\tb", EscapeStyle::text), "a\n\tb");
  EXPECT_EQ(escape("a\n\tb", EscapeStyle::line), "a\\u{a}\\u{9}b");
  EXPECT_EQ(escape("a\rb", EscapeStyle::text), "a\\u{d}b");
}

TEST(Escape, ShowsBytesThatAreNoUtf8) {
  EXPECT_EQ(escape("\xff", EscapeStyle::line), "\\xff");
  EXPECT_EQ(escape("\xc3", EscapeStyle::line), "\\xc3");           // truncated
  EXPECT_EQ(escape("\xc0\x80", EscapeStyle::line), "\\xc0\\x80");  // overlong
  EXPECT_EQ(escape("\xe0\x80\x9b", EscapeStyle::line), "\\xe0\\x80\\x9b");
  EXPECT_EQ(escape("\xf4\x90\x80\x80", EscapeStyle::line), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(escape(to_utf8(u"\xd800"), EscapeStyle::line), "\\u{d800}");
}

TEST(Escape, GivesHarmlessUtf8ForAnyBytes) {
  std::mt19937 random(20);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 40, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    const std::string safe = escape(bytes, EscapeStyle::line);
    EXPECT_FALSE(needs_escape(safe, EscapeStyle::line));
    for (const char c : safe) EXPECT_FALSE(c >= 0 && c < 0x20);
    const auto decoded = from_utf8(safe);
    ASSERT_TRUE(decoded.has_value());
    EXPECT_FALSE(has_lone_surrogate(*decoded));
  }
}

}  // namespace
}  // namespace efistore::tools
