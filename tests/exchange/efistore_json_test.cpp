// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <nlohmann/json.hpp>

#include "exchange/support.hpp"

namespace efistore::exchange::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view guid_text = "44332211-6655-8877-99aa-bbccddeeff00";

/// A document with the one variable that the members in `entry` make.
std::vector<std::byte> document(std::string_view entry) {
  return bytes_of("{\"efistore\":1,\"variables\":[" + std::string(entry) + "]}");
}

/// A variable's object, with `changes` merged in; a null takes a key away.
std::string entry_with(const nlohmann::json& changes) {
  nlohmann::json entry{{"name", "A"}, {"guid", guid_text}, {"attributes", 7}, {"data", "00ff"}};
  entry.merge_patch(changes);
  return entry.dump();
}

void expect_entry_refused(const nlohmann::json& changes, std::string_view message) {
  SCOPED_TRACE(changes.dump());
  expect_refused(import_json(document(entry_with(changes))), message);
}

TEST(EfistoreJson, ExportIsTheDocumentOfTheSpecification) {
  store::Variable variable = make_variable(u"Gr\u00fc\u00df", 0x27, "\x01\xab");
  variable.time = EfiTime::from_unix(951782400);
  variable.monotonic_count = UINT64_MAX;
  variable.public_key_index = 3;
  const Exported exported =
      export_json(std::vector{variable, make_variable(u"\xd800Z", 0xfffffffe, "")});
  EXPECT_THAT(exported.losses, IsEmpty());
  EXPECT_EQ(text_of(exported.bytes), R"({
  "efistore": 1,
  "variables": [
    {
      "name": "Grüß",
      "guid": "44332211-6655-8877-99aa-bbccddeeff00",
      "attributes": 39,
      "data": "01ab",
      "time": "d007021d000000000000000000000000",
      "monotonic_count": 18446744073709551615,
      "public_key_index": 3
    },
    {
      "name": ")"
                                     "\xef\xbf\xbd"
                                     R"(Z",
      "guid": "44332211-6655-8877-99aa-bbccddeeff00",
      "attributes": 4294967294,
      "data": "",
      "name_utf16": "00d85a00"
    }
  ]
}
)");
}

TEST(EfistoreJson, NamesThatAreNoNamesAreLosses) {
  const Exported exported = export_json(std::vector{
      make_variable(u""), make_variable({u'a', 0, u'b', 0x1b, u'c'}), make_variable(u"B")});
  EXPECT_THAT(exported.left_out,
              ElementsAre("-44332211-6655-8877-99aa-bbccddeeff00: the name is empty",
                          "a?b?c-44332211-6655-8877-99aa-bbccddeeff00: the name holds a NUL"));
  const auto imported = import_json(exported.bytes);
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_THAT(imported->variables, ElementsAre(make_variable(u"B")));
}

TEST(EfistoreJson, KeysComeInAnyOrderAndDigitsInEitherCase) {
  const auto imported = import_json(bytes_of(
      R"( {"variables" : [ {"data":"AbCd","attributes":-0,"name":"\u0041",
           "guid":"44332211-6655-8877-99AA-BBCCDDEEFF00"} ], "efistore":1} )"));
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_THAT(imported->variables, ElementsAre(make_variable(u"A", 0, "\xab\xcd")));
  EXPECT_THAT(imported->losses, IsEmpty());
}

TEST(EfistoreJson, SameNameUnderAnotherGuidIsAnotherVariable) {
  const auto imported =
      import_json(document(entry_with(nlohmann::json::object()) + "," +
                           entry_with({{"guid", "00000000-0000-0000-0000-000000000000"}})));
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(imported->variables.size(), 2U);
}

TEST(EfistoreJson, WhatIsNoJsonIsRefusedWithItsPlace) {
  expect_refused_beginning(import_json({}), "byte 1: no JSON: line 1, column 1: syntax error");
  expect_refused_beginning(import_json(bytes_of("{\"efistore\":1,\n\"variables\":[}")),
                           "byte 29: no JSON: line 2, column 14: syntax error");
  expect_refused_beginning(import_json(bytes_of("{\"efistore\":1,\"variables\":[]} x")),
                           "byte 31: no JSON: line 1, column 31: syntax error");
  expect_refused_beginning(import_json(document(R"({"name":"\ud800"})")),
                           "byte 43: no JSON: line 1, column 43: syntax error");
  expect_refused_beginning(import_json(document("{\"name\":\"\xc0\x80\"}")),
                           "byte 37: no JSON: line 1, column 37: syntax error");
  auto with_nul = document("");
  with_nul.push_back(std::byte{0});
  with_nul.push_back(std::byte{'x'});
  expect_refused(import_json(with_nul), "byte 29: no JSON: a NUL");
}

TEST(EfistoreJson, MessagesAreShortAndPrintableWhateverTheInput) {
  const std::string hostile = "\x1b[31m" + std::string(1U << 20, 'k') + "\xff";
  for (const auto& input :
       {document("\"" + hostile), document("{\"" + std::string(1U << 20, 'k') + "\":1}")}) {
    const auto imported = import_json(input);
    ASSERT_FALSE(imported);
    EXPECT_LT(imported.error().message.size(), 300U);
    for (const char c : imported.error().message) EXPECT_GE(static_cast<unsigned char>(c), 0x20);
  }
}

TEST(EfistoreJson, DocumentsOfAnotherShapeAreRefused) {
  const auto refuse = [](std::string_view text, std::string_view message) {
    SCOPED_TRACE(text);
    expect_refused(import_json(bytes_of(text)), message);
  };
  refuse("[]", "document: an array, expected an object");
  refuse("1", "document: a number, expected an object");
  refuse("null", "document: null, expected an object");
  refuse("{}", "variables: missing");
  refuse(R"({"efistore":1})", "variables: missing");
  refuse(R"({"variables":[]})", "efistore: missing");
  refuse(R"({"efistore":2,"variables":[]})", "efistore: 2, expected 1");
  refuse(R"({"efistore":"1","variables":[]})", "efistore: a string, expected an integer");
  refuse(R"({"efistore":1.0,"variables":[]})",
         "efistore: a fraction, or a number beyond 64 bits, expected an integer");
  refuse(R"({"efistore":1,"efistore":1,"variables":[]})", "efistore: given twice");
  refuse(R"({"efistore":1,"variables":[],"variables":[]})", "variables: given twice");
  refuse(R"({"efistore":1,"variables":{}})", "variables: an object, expected an array");
  refuse(R"({"efistore":1,"variables":[1]})", "variables[0]: a number, expected an object");
  refuse(R"({"efistore":1,"variables":[[]]})", "variables[0]: an array, expected an object");
  refuse(R"({"efistore":1,"variables":[],"extra":1})", "extra: unknown key");
}

TEST(EfistoreJson, EveryFieldIsChecked) {
  const std::string name_of_a = "A-" + std::string(guid_text);
  expect_entry_refused({{"name", nullptr}}, "variables[0].name: missing");
  expect_entry_refused({{"name", 1}}, "variables[0].name: expected a string");
  expect_entry_refused({{"name", ""}}, "variables[0]: the name is empty");
  expect_entry_refused({{"name", std::string("a\0b", 3)}}, "variables[0]: the name holds a NUL");
  expect_entry_refused({{"guid", nullptr}}, "variables[0].guid: missing");
  for (const char* guid :
       {"", "44332211-6655-8877-99aa-bbccddeeff0", "44332211x6655-8877-99aa-bbccddeeff00",
        "{4332211-6655-8877-99aa-bbccddeeff00"}) {
    expect_entry_refused(
        {{"guid", guid}},
        "variables[0].guid: expected a GUID such as 8be4df61-93ca-11d2-aa0d-00e098032b8c");
  }
  expect_entry_refused({{"attributes", nullptr}}, "variables[0].attributes: missing");
  for (const nlohmann::json& attributes :
       {nlohmann::json("7"), nlohmann::json(0xffffffffU), nlohmann::json(0x100000000U)}) {
    expect_entry_refused({{"attributes", attributes}},
                         "variables[0].attributes: expected an integer from 0 to 4294967294");
  }
  expect_entry_refused({{"data", nullptr}}, "variables[0].data: missing");
  for (const char* data : {"0", "abc", "zz", "0x00", "00 11"}) {
    expect_entry_refused({{"data", data}},
                         "variables[0].data: expected hexadecimal digits, two a byte");
  }
  for (const char* time :
       {"", "00", "000000000000000000000000000000", "0000000000000000000000000000000000"}) {
    expect_entry_refused({{"time", time}},
                         "variables[0].time: expected an EFI_TIME in 32 hexadecimal digits");
  }
  expect_entry_refused({{"public_key_index", 0x100000000U}},
                       "variables[0].public_key_index: expected an integer from 0 to 4294967295");
  expect_entry_refused(
      {{"monotonic_count", "1"}},
      "variables[0].monotonic_count: expected an integer from 0 to 18446744073709551615");
  expect_entry_refused({{"color", "blue"}}, "variables[0].color: unknown key");
}

TEST(EfistoreJson, NumbersThatAreNoIntegersOf64BitsAreRefused) {
  const auto refuse = [](std::string_view number, std::string_view found) {
    SCOPED_TRACE(number);
    expect_refused(import_json(document("{\"attributes\":" + std::string(number) + "}")),
                   "variables[0].attributes: " + std::string(found) +
                       ", expected a string or an integer from 0 to 18446744073709551615");
  };
  refuse("7.0", "a fraction, or a number beyond 64 bits");
  refuse("1e1", "a fraction, or a number beyond 64 bits");
  refuse("18446744073709551616", "a fraction, or a number beyond 64 bits");
  refuse("-1", "a negative number");
  refuse("true", "a truth value");
  refuse("null", "null");
  refuse("[]", "an array");
  refuse("{}", "an object");
}

TEST(EfistoreJson, AKeyGivenTwiceIsRefused) {
  expect_refused(import_json(document(R"({"name":"A","name":"B"})")),
                 "variables[0].name: given twice");
  expect_refused(import_json(document(R"({"attributes":0,"attributes":0})")),
                 "variables[0].attributes: given twice");
}

TEST(EfistoreJson, ASecondVariableOfANameIsRefused) {
  expect_refused(import_json(document(entry_with(nlohmann::json::object()) + "," +
                                      entry_with({{"data", "01"}}))),
                 "variables[1]: a second A-44332211-6655-8877-99aa-bbccddeeff00");
}

TEST(EfistoreJson, TheTwoFormsOfANameMustAgree) {
  const auto accepted = import_json(document(entry_with({{"name_utf16", "4100"}})));
  ASSERT_TRUE(accepted) << accepted.error().message;
  EXPECT_EQ(accepted->variables.at(0).name, u"A");

  expect_entry_refused({{"name_utf16", "4200"}},
                       "variables[0].name_utf16: expected the name that \"name\" shows");
  expect_entry_refused({{"name_utf16", ""}},
                       "variables[0].name_utf16: expected the name that \"name\" shows");
  expect_entry_refused({{"name_utf16", "410042"}},
                       "variables[0].name_utf16: expected two bytes a character");
  expect_entry_refused({{"name", std::string("a\0", 2)}, {"name_utf16", "61000000"}},
                       "variables[0]: the name holds a NUL");
}

TEST(EfistoreJson, LimitsHold) {
  const std::vector<std::byte> spaces(max_input_size_bytes + 1, std::byte{' '});
  expect_refused(import_json(spaces), "67108865 bytes: expected at most 67108864");

  std::string entries;
  for (std::size_t i = 0; i <= max_variables; ++i) {
    if (i != 0) entries += ',';
    entries +=
        "{\"name\":\"" + std::to_string(i) +
        "\",\"guid\":\"44332211-6655-8877-99aa-bbccddeeff00\",\"attributes\":7,\"data\":\"\"}";
  }
  expect_refused(import_json(document(entries)), "variables: expected at most 65536");
  entries.resize(entries.rfind(",{"));
  const auto imported = import_json(document(entries));
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(imported->variables.size(), max_variables);
}

}  // namespace
}  // namespace efistore::exchange::testing
