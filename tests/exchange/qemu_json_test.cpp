// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "exchange/support.hpp"

namespace efistore::exchange::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view time_text = "ea070b15051a1e000000000000000000";

std::vector<std::byte> document(std::string_view entry) {
  return bytes_of("{\"version\":2,\"variables\":[" + std::string(entry) + "]}");
}

/// A document with one variable, its object changed by `changes`; a null takes a key away.
std::vector<std::byte> document_with(const nlohmann::json& changes) {
  nlohmann::json entry{{"name", "A"}, {"guid", to_string(vendor)}, {"attr", 7}, {"data", "78"}};
  entry.merge_patch(changes);
  return document(entry.dump());
}

Imported imported_with(const nlohmann::json& changes) {
  auto imported = import_qemu(document_with(changes));
  EXPECT_TRUE(imported) << imported.error().message;
  return imported ? *std::move(imported) : Imported{};
}

EfiTime example_time() {
  return EfiTime::from_bytes(*from_hex(time_text));
}

nlohmann::json only_entry(const Exported& exported) {
  return nlohmann::json::parse(text_of(exported.bytes)).at("variables").at(0);
}

TEST(QemuJson, ExportWritesTheTimeExactlyWhereQemuDoes) {
  store::Variable authenticated = make_variable(u"A", 0x27);
  EXPECT_EQ(only_entry(export_qemu(std::vector{authenticated})).at("time"), std::string(32, '0'));
  EXPECT_FALSE(only_entry(export_qemu(std::vector{authenticated}, {.omit_zero_time = true}))
                   .contains("time"));
  authenticated.time = example_time();
  EXPECT_EQ(
      only_entry(export_qemu(std::vector{authenticated}, {.omit_zero_time = true})).at("time"),
      time_text);
  const nlohmann::json other =
      only_entry(export_qemu(std::vector{authenticated}, {.time_key = TimeKey::timestamp}));
  EXPECT_EQ(other.at("timestamp"), time_text);
  EXPECT_FALSE(other.contains("time"));
  EXPECT_FALSE(only_entry(export_qemu(std::vector{make_variable(u"A")})).contains("time"));
}

TEST(QemuJson, WhatTheFormatCannotCarryIsListed) {
  store::Variable fields = make_variable(u"Fields");
  fields.time = example_time();
  fields.monotonic_count = 5;
  fields.public_key_index = 6;
  const std::vector variables{make_variable(u"Volatile", 0x6), make_variable(u"", 0x7),
                              make_variable({u'S', 0xd800}), make_variable(u"Gr\u00fc\u00df"),
                              fields};
  const Exported exported = export_qemu(variables);
  const std::string guid = "-" + to_string(vendor);
  EXPECT_THAT(
      exported.left_out,
      ElementsAre("Volatile" + guid + ": it is volatile", guid + ": the name is empty",
                  "S\xef\xbf\xbd" + guid + ": the name has a surrogate without its partner"));
  EXPECT_THAT(
      exported.losses,
      ElementsAre("Gr\u00fc\u00df" + guid +
                      ": the name goes beyond ASCII, and QEMU itself will take it for another one",
                  "Fields" + guid +
                      ": its time 2026-11-21T05:26:30 has no attribute to go with, and is left out",
                  "Fields" + guid + ": monotonic count 5 left out",
                  "Fields" + guid + ": public key index 6 left out"));
  const auto imported = import_qemu(exported.bytes);
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_THAT(imported->variables,
              ElementsAre(make_variable(u"Gr\u00fc\u00df"), make_variable(u"Fields")));
}

TEST(QemuJson, TimeIsTakenUnderBothNames) {
  store::Variable expected = make_variable(u"A", 0x27);
  EXPECT_THAT(imported_with({{"attr", 0x27}}).variables, ElementsAre(expected));
  expected.time = example_time();
  for (const char* key : {"time", "timestamp"}) {
    const Imported imported = imported_with({{"attr", 0x27}, {key, time_text}});
    EXPECT_THAT(imported.variables, ElementsAre(expected));
    EXPECT_THAT(imported.losses, IsEmpty());
  }
  expect_refused(import_qemu(document_with({{"time", time_text}, {"timestamp", time_text}})),
                 "variables[0].timestamp: given beside \"time\"");
}

TEST(QemuJson, WhatAStoreCannotCarryIsListed) {
  const std::string where = "variables[0]: A-" + to_string(vendor);
  const auto expect_loss = [](const nlohmann::json& changes, const std::string& loss) {
    SCOPED_TRACE(changes.dump());
    const Imported imported = imported_with(changes);
    EXPECT_THAT(imported.losses, ElementsAre(loss));
    EXPECT_THAT(imported.left_out, IsEmpty());
    EXPECT_THAT(imported.variables, ElementsAre(make_variable(u"A")));
  };
  expect_loss({{"attr", 0x47}}, where + ": attribute bits 0x40 are no store's and left out");
  expect_loss({{"attr", 0xffffff87}},
              where + ": attribute bits 0xffffff80 are no store's and left out");
  expect_loss(
      {{"time", time_text}},
      where + ": its time 2026-11-21T05:26:30 has no attribute to go with, and is left out");
  expect_loss({{"digest", std::string(64, 'a')}},
              "variables[0].digest: a store has no place for its signer's digest, left out");
  expect_loss({{"color", "blue"}}, "variables[0].color: unknown key, left out");
  expect_loss({{"color", {1, -1, 1.5, {{"deep", {true, "x"}}}, nlohmann::json::object()}}},
              "variables[0].color: unknown key, left out");

  const Imported no_variable = imported_with({{"attr", 0x6}});
  EXPECT_THAT(no_variable.left_out, ElementsAre(where + ": it is volatile"));
  EXPECT_THAT(no_variable.losses, IsEmpty());
  EXPECT_THAT(no_variable.variables, IsEmpty());
}

TEST(QemuJson, OfWhatIsLeftOutNothingElseIsListed) {
  store::Variable whole = make_variable({u'S', 0xd800});
  whole.monotonic_count = 5;
  const Exported exported = export_qemu(std::vector{whole});
  EXPECT_EQ(exported.left_out.size(), 1U);
  EXPECT_THAT(exported.losses, IsEmpty());
  const Imported imported = imported_with({{"attr", 0x46}, {"time", time_text}});
  EXPECT_EQ(imported.left_out.size(), 1U);
  EXPECT_THAT(imported.losses, IsEmpty());
}

TEST(QemuJson, UnknownKeysOfTheDocumentAreLosses) {
  const auto imported = import_qemu(bytes_of(
      R"({"a":[{"variables":[]}],"version":2,"b":null,"variables":[],"b":{"version":3}})"));
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_THAT(imported->losses, ElementsAre("a: unknown key, left out", "b: unknown key, left out",
                                            "b: unknown key, left out"));
}

TEST(QemuJson, NestingBeyondTheLimitIsRefused) {
  const auto nested = [](std::size_t depth) {
    return document(
        "{\"x\":" + std::string(depth, '[') + std::string(depth, ']') +
        R"(,"name":"A","guid":"44332211-6655-8877-99aa-bbccddeeff00","attr":7,"data":""})");
  };
  EXPECT_TRUE(import_qemu(nested(13)));
  expect_refused(import_qemu(nested(14)),
                 "variables[0].x: expected at most 16 objects and arrays inside one another");
  expect_refused(import_qemu(bytes_of("{\"x\":" + std::string(1U << 20, '['))),
                 "x: expected at most 16 objects and arrays inside one another");
}

TEST(QemuJson, TheListOfLossesIsBounded) {
  std::string keys;
  for (std::size_t i = 0; i < max_losses + 5; ++i) keys += fmt::format("\"k{}\":0,", i);
  const auto imported = import_qemu(bytes_of("{" + keys + "\"version\":2,\"variables\":[]}"));
  ASSERT_TRUE(imported) << imported.error().message;
  ASSERT_EQ(imported->losses.size(), max_losses + 1);
  EXPECT_EQ(imported->losses.back(), "5 more, for which this list has no room");
}

TEST(QemuJson, EveryFieldIsChecked) {
  const auto refuse = [](const nlohmann::json& changes, std::string_view message) {
    SCOPED_TRACE(changes.dump());
    expect_refused(import_qemu(document_with(changes)), message);
  };
  refuse({{"name", nullptr}}, "variables[0].name: missing");
  refuse({{"name", ""}}, "variables[0]: the name is empty");
  refuse({{"name", std::string("a\0b", 3)}}, "variables[0]: the name holds a NUL");
  refuse({{"guid", "x"}},
         "variables[0].guid: expected a GUID such as 8be4df61-93ca-11d2-aa0d-00e098032b8c");
  refuse({{"attr", nullptr}}, "variables[0].attr: missing");
  refuse({{"attr", "7"}}, "variables[0].attr: expected an integer from 0 to 4294967295");
  refuse({{"attr", 0x100000000}}, "variables[0].attr: expected an integer from 0 to 4294967295");
  refuse({{"attr", 7.5}},
         "variables[0].attr: a fraction, or a number beyond 64 bits, expected a string or an "
         "integer from 0 to 18446744073709551615");
  refuse({{"data", "7"}}, "variables[0].data: expected hexadecimal digits, two a byte");
  refuse({{"time", "00"}}, "variables[0].time: expected an EFI_TIME in 32 hexadecimal digits");
  refuse({{"timestamp", "00"}},
         "variables[0].timestamp: expected an EFI_TIME in 32 hexadecimal digits");
  refuse({{"digest", "00"}}, "variables[0].digest: expected 64 hexadecimal digits");
  refuse({{"digest", "0"}}, "variables[0].digest: expected hexadecimal digits, two a byte");
}

TEST(QemuJson, DocumentsOfAnotherShapeAreRefused) {
  expect_refused(import_qemu(bytes_of(R"({"version":1,"variables":[]})")),
                 "version: 1, expected 2");
  expect_refused(import_qemu(bytes_of(R"({"version":3,"variables":[]})")),
                 "version: 3, expected 2");
  expect_refused(import_qemu(bytes_of(R"({"variables":[]})")), "version: missing");
  expect_refused(import_qemu(bytes_of(R"({"version":2})")), "variables: missing");
  expect_refused(import_qemu(bytes_of("[]")), "document: an array, expected an object");
}

TEST(QemuJson, ASecondVariableOfANameIsRefusedAlsoIfItIsVolatile) {
  for (const int attributes : {7, 6}) {
    const std::string entry = fmt::format(R"({{"name":"A","guid":"{}","attr":{},"data":""}})",
                                          to_string(vendor), attributes);
    expect_refused(import_qemu(document(entry + "," + entry)),
                   "variables[1]: a second A-44332211-6655-8877-99aa-bbccddeeff00");
  }
}

}  // namespace
}  // namespace efistore::exchange::testing
