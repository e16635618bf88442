// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <algorithm>

#include "efistore/base/crc32.hpp"

#include "exchange/support.hpp"

namespace efistore::exchange::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A file's bytes, in hex and by the table in SPEC.md.
const std::string header =
    "0000000000000000"   // reserved
    "5562456669566101";  // magic
/// "PK", authenticated, 2021-01-02T03:04:05, three bytes of data.
const std::string first_entry =
    "03000000"                          // data length
    "27000000"                          // attributes
    "a5e2ef5f00000000"                  // time
    "112233445566778899aabbccddeeff00"  // GUID
    "50004b000000"                      // name
    "010203"                            // data
    "00000000000000";                   // padding, 41 bytes to 48
/// "A", no data, ends at a multiple of 8 after four bytes of padding.
const std::string second_entry =
    "00000000"
    "07000000"
    "0000000000000000"
    "112233445566778899aabbccddeeff00"
    "41000000"
    "00000000";

/// The file of `entries` (hex), with its length and CRC.
std::vector<std::byte> file_of(const std::string& entries) {
  std::vector<std::byte> file = from_hex(header + "0000000000000000" + entries).value();
  ByteWriter out{std::span(file).subspan(16)};
  out.u32(static_cast<std::uint32_t>(file.size()));
  out.u32(crc32(std::span(file).subspan(24)));
  return file;
}

/// `hex` with `digits` from the byte at `offset` on.
std::string patched(std::string hex, std::size_t offset, std::string_view digits) {
  return hex.replace(offset * 2, digits.size(), digits);
}

std::vector<store::Variable> example() {
  store::Variable key = make_variable(u"PK", 0x27, "\x01\x02\x03");
  key.time = EfiTime::from_unix(1609556645);
  return {key, make_variable(u"A", 0x7, "")};
}

TEST(Ubootefi, ExportIsTheTableOfTheSpecification) {
  const Exported exported = export_ubootefi(example());
  EXPECT_THAT(exported.losses, IsEmpty());
  EXPECT_EQ(to_hex(exported.bytes), header +
                                        "70000000"
                                        "b28ad254" +
                                        first_entry + second_entry);
}

TEST(Ubootefi, ImportReadsTheTableOfTheSpecification) {
  const auto imported = import_ubootefi(file_of(first_entry + second_entry));
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(imported->variables, example());
  EXPECT_EQ(to_string(imported->variables.at(0).time), "2021-01-02T03:04:05");
  EXPECT_THAT(imported->losses, IsEmpty());
}

TEST(Ubootefi, AFileWithoutVariablesIsAHeader) {
  const Exported exported = export_ubootefi({});
  EXPECT_EQ(to_hex(exported.bytes), header + "1800000000000000");
  const auto imported = import_ubootefi(exported.bytes);
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_THAT(imported->variables, IsEmpty());
}

TEST(Ubootefi, WhatTheFormatCannotCarryIsListed) {
  const std::string guid = "-" + to_string(vendor);
  const auto expect = [&](store::Variable variable, bool left_out, const std::string& loss) {
    const Exported exported = export_ubootefi(std::vector{variable});
    EXPECT_THAT(left_out ? exported.left_out : exported.losses, ElementsAre(loss));
    EXPECT_THAT(left_out ? exported.losses : exported.left_out, IsEmpty());
    // What is listed is not there: the file has nothing that an import would have to drop.
    const auto imported = import_ubootefi(exported.bytes);
    ASSERT_TRUE(imported) << imported.error().message;
    EXPECT_THAT(imported->losses, IsEmpty());
    EXPECT_EQ(imported->variables.size(), left_out ? 0U : 1U);
  };
  const auto expect_loss = [&](store::Variable variable, const std::string& loss) {
    expect(std::move(variable), false, loss);
  };
  expect(make_variable(u"V", 0x6), true, "V" + guid + ": it is volatile");
  expect(make_variable({u'N', 0, u'x'}), true, "N?x" + guid + ": the name holds a NUL");
  expect(make_variable(u""), true, guid + ": the name is empty");
  expect_loss(make_variable(u"R", 0x80000007),
              "R" + guid + ": attribute bit 0x80000000 has a meaning of its own there, left out");
  store::Variable variable = make_variable(u"M");
  variable.monotonic_count = 9;
  expect_loss(variable, "M" + guid + ": monotonic count 9 left out");
  variable = make_variable(u"P");
  variable.public_key_index = 9;
  expect_loss(variable, "P" + guid + ": public key index 9 left out");
  variable = make_variable(u"T");
  variable.time = EfiTime::from_unix(1);
  expect_loss(variable, "T" + guid +
                            ": its time 1970-01-01T00:00:01 has no attribute to go with, and is "
                            "left out");
}

TEST(Ubootefi, OfATimeOnlySecondsSince1970AreCarried) {
  const auto expect_loss = [&](std::string_view time, std::string_view loss) {
    SCOPED_TRACE(time);
    store::Variable variable = make_variable(u"T", 0x27);
    variable.time = EfiTime::from_bytes(from_hex(time).value());
    const Exported exported = export_ubootefi(std::vector{variable});
    EXPECT_THAT(
        exported.losses,
        ElementsAre("T-" + to_string(vendor) + ": its time " + to_string(variable.time) + " (" +
                    std::string(time) + ") becomes " + std::string(loss) + " seconds since 1970"));
  };
  expect_loss(
      "ea070b15051a1e00"
      "01000000"
      "00000000",
      "1795238790");  // nanoseconds
  expect_loss(
      "ea070b15051a1e00"
      "00000000"
      "3c000000",
      "1795238790");  // time zone
  expect_loss(
      "ea070b15051a1e00"
      "00000000"
      "00000100",
      "1795238790");  // daylight saving
  expect_loss(
      "ea070d15051a1e00"
      "00000000"
      "00000000",
      "0");                                              // month 13
  expect_loss("6c070101000000000000000000000000", "0");  // 1900
  expect_loss("b2070101000000000000000000000000", "0");  // 1970, U-Boot's "none"
}

TEST(Ubootefi, WhatAStoreCannotCarryIsListed) {
  const std::string where = "offset 0x18: A-" + to_string(vendor);
  const auto expect_loss = [](const std::string& entry, const std::string& loss) {
    const auto imported = import_ubootefi(file_of(entry));
    ASSERT_TRUE(imported) << imported.error().message;
    EXPECT_THAT(imported->losses, ElementsAre(loss));
    EXPECT_THAT(imported->variables, ElementsAre(make_variable(u"A", 0x7, "")));
  };
  expect_loss(patched(second_entry, 4, "07000080"),
              where + ": attribute bits 0x80000000 are no store's and left out");
  expect_loss(patched(second_entry, 4, "c7000000"),
              where + ": attribute bits 0xc0 are no store's and left out");
  expect_loss(
      patched(second_entry, 8, "01"),
      where + ": its time 1970-01-01T00:00:01 has no attribute to go with, and is left out");
  expect_loss(patched(second_entry, 39, "01"),
              "offset 0x18: bytes other than 0 in the padding, left out");

  const auto imported = import_ubootefi(file_of(patched(second_entry, 4, "06")));
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_THAT(imported->variables, IsEmpty());
  EXPECT_THAT(imported->left_out, ElementsAre(where + ": it is volatile"));
}

TEST(Ubootefi, EveryFieldOfTheHeaderIsChecked) {
  const std::vector<std::byte> good = file_of(second_entry);
  const auto refuse = [&good](std::size_t offset, std::string_view message) {
    std::vector<std::byte> file = good;
    file.at(offset) ^= std::byte{1};
    expect_refused(import_ubootefi(file), message);
  };
  refuse(0, "offset 0x0: reserved: 0x1, expected 0");
  refuse(7, "offset 0x0: reserved: 0x100000000000000, expected 0");
  refuse(8, "offset 0x8: magic: 0x0161566966456254, expected 0x0161566966456255");
  refuse(15, "offset 0x8: magic: 0x0061566966456255, expected 0x0161566966456255");
  refuse(16, "offset 0x10: length: 65, expected the file's 64");
  refuse(20, "offset 0x14: CRC-32: 0xb35beddc, expected 0xb35beddd");
  for (std::size_t offset = 24; offset < good.size(); ++offset) {
    std::vector<std::byte> file = good;
    file[offset] ^= std::byte{0x10};
    expect_refused_beginning(import_ubootefi(file), "offset 0x14: CRC-32: 0xb35beddd, expected");
  }
}

TEST(Ubootefi, EveryOtherLengthIsRefused) {
  std::vector<std::byte> file = file_of(second_entry);
  for (std::size_t size = 0; size < file.size(); ++size) {
    SCOPED_TRACE(size);
    const auto imported = import_ubootefi(std::span(file).first(size));
    ASSERT_FALSE(imported);
    EXPECT_EQ(imported.error().message,
              size < 24 ? "offset 0x0: header: " + std::to_string(size) + " bytes, expected 24"
                        : "offset 0x10: length: 64, expected the file's " + std::to_string(size));
  }
  file.push_back(std::byte{0});
  expect_refused(import_ubootefi(file), "offset 0x10: length: 64, expected the file's 65");
}

TEST(Ubootefi, EntriesThatDoNotFitAreRefused) {
  const auto refuse = [](const std::string& entries, std::string_view message) {
    expect_refused(import_ubootefi(file_of(entries)), message);
  };
  refuse(second_entry + "00", "offset 0x10: length: 65, expected a multiple of 8");
  refuse(second_entry + "0000000000000000", "offset 0x40: entry: 8 bytes, expected at least 32");
  refuse(patched(second_entry, 0, "05"), "offset 0x18: data length: 5, expected at most 4");
  refuse(patched(second_entry, 0, "ffffffff"),
         "offset 0x18: data length: 4294967295, expected at most 4");
  refuse(second_entry.substr(0, 64), "offset 0x38: name: expected a NUL before the file's end");
  refuse(patched(second_entry, 32, "4100410041004100"),
         "offset 0x38: name: expected a NUL before the file's end");
  refuse(patched(second_entry, 32, "0000"), "offset 0x18: the name is empty");
  refuse(patched(second_entry, 8, "8041f4ff3a000000"),
         "offset 0x20: time: 253402300800, expected at most 253402300799");
  refuse(patched(second_entry, 8, "ffffffffffffffff"),
         "offset 0x20: time: 18446744073709551615, expected at most 253402300799");
  refuse(second_entry + second_entry,
         "offset 0x40: a second A-44332211-6655-8877-99aa-bbccddeeff00");
}

TEST(Ubootefi, TheLastSecondThatAnEfiTimeHasIsTaken) {
  std::string entry = patched(second_entry, 4, "27");
  entry = patched(entry, 8, "7f41f4ff3a000000");
  const auto imported = import_ubootefi(file_of(entry));
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(to_string(imported->variables.at(0).time), "9999-12-31T23:59:59");
}

TEST(Ubootefi, LimitsHold) {
  const std::vector<std::byte> huge(max_input_size_bytes + 1);
  expect_refused(import_ubootefi(huge), "67108865 bytes: expected at most 67108864");

  std::vector<store::Variable> variables(max_variables + 1, make_variable(u"N", 0x7, ""));
  for (std::size_t i = 0; i < variables.size(); ++i) {
    ByteWriter(variables[i].guid.bytes).u32(static_cast<std::uint32_t>(i));
  }
  // Each entry has 40 bytes.
  expect_refused(import_ubootefi(export_ubootefi(variables).bytes),
                 "offset 0x280018: expected at most 65536 variables");
  variables.pop_back();
  const auto imported = import_ubootefi(export_ubootefi(variables).bytes);
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(imported->variables, variables);
}

TEST(Ubootefi, AVariableThatDoesNotFitIntoTheFileIsALoss) {
  store::Variable big = make_variable(u"B");
  big.data.resize(max_input_size_bytes - 24 - 32 - 4 + 1);
  const Exported too_big = export_ubootefi(std::vector{big, make_variable(u"A")});
  EXPECT_THAT(too_big.left_out, ElementsAre("B-" + to_string(vendor) +
                                            ": it does not fit into a file of 67108864 bytes"));
  EXPECT_EQ(too_big.bytes.size(), 24U + 40U);
  big.data.pop_back();
  const Exported full = export_ubootefi(std::vector{big});
  EXPECT_THAT(full.left_out, IsEmpty());
  EXPECT_EQ(full.bytes.size(), max_input_size_bytes);
}

}  // namespace
}  // namespace efistore::exchange::testing
