// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/capsule/dependency.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "capsule/capsule_support.hpp"

namespace efistore::capsule::test {
namespace {

using ::testing::HasSubstr;

const InstalledVersion installed = [](const Guid& type) -> std::optional<std::uint32_t> {
  if (type == type_a) return 0x10000;
  if (type == type_b) return 0x10002;
  return std::nullopt;
};

const std::string a = "6f5f2bd5-3e5b-4b0c-9c5d-2c9a4e4c1a01";
const std::string b = "9d1b6c3a-02f4-4f0e-8a9f-5b1f6d7e2b02";

Bytes hex(std::string_view text) {
  return from_hex(text).value();
}

bool holds(const std::string& text) {
  return evaluate_dependency(compile_dependency(text).value(), installed).has_value();
}

TEST(Dependency, IsCompiledToTheBytesOfGenerateCapsule) {
  // The dependency of d21.cap and n110.cap's form of it.
  EXPECT_EQ(hex("01020001003a6c1b9df4020e4f8a9f5b1f6d7e2b020a0d").size(),
            compile_dependency(b + " >= 0x10002").value().size() - 1);
  EXPECT_EQ(hex("0102000100003a6c1b9df4020e4f8a9f5b1f6d7e2b020a0d"),
            compile_dependency(b + " >= 0x10002").value());
  EXPECT_EQ(hex("0102000100003a6c1b9df4020e4f8a9f5b1f6d7e2b020a0d"),
            compile_dependency("(" + b + ">=10002)").value());
  EXPECT_EQ(hex("0606030d"), compile_dependency("TRUE && TRUE").value());
  EXPECT_EQ(hex("0607040d"), compile_dependency("TRUE||FALSE").value());
  EXPECT_EQ(hex("06050d"), compile_dependency(" ~ TRUE ").value());
  EXPECT_EQ(hex("01000000000231"
                "2e3000"
                "00d52b5f6f5b3e0c4b9c5d2c9a4e4c1a01"
                "080d"),
            compile_dependency(a + " == 0 DECLARE \"1.0\"").value());
}

TEST(Dependency, ComparesAsWritten) {
  EXPECT_TRUE(holds(a + " == 10000"));
  EXPECT_FALSE(holds(a + " == 10001"));
  EXPECT_TRUE(holds(a + " > ffff"));
  EXPECT_FALSE(holds(a + " > 10000"));
  EXPECT_TRUE(holds(a + " >= 10000"));
  EXPECT_FALSE(holds(a + " >= 10001"));
  EXPECT_TRUE(holds(a + " < 10001"));
  EXPECT_FALSE(holds(a + " < 10000"));
  EXPECT_TRUE(holds(a + " <= 10000"));
  EXPECT_FALSE(holds(a + " <= ffff"));
}

TEST(Dependency, AndBindsCloserThanOr) {
  EXPECT_TRUE(holds("TRUE || FALSE && FALSE"));
  EXPECT_FALSE(holds("(TRUE || FALSE) && FALSE"));
  EXPECT_TRUE(holds("~FALSE && TRUE"));
  EXPECT_FALSE(holds("~(FALSE || TRUE)"));
  EXPECT_TRUE(holds("~~TRUE"));
}

TEST(Dependency, TextComesBack) {
  for (const std::string& text : std::vector<std::string>{
           a + " >= 0x10002", "TRUE && " + b + " < 0x1 || ~FALSE", "~(TRUE || FALSE) && TRUE",
           "TRUE && (FALSE && TRUE)", "TRUE || (FALSE || TRUE)", "~~~TRUE",
           a + " == 0x0 DECLARE \"1.0 beta\""}) {
    const Bytes code = compile_dependency(text).value();
    EXPECT_EQ(text, dependency_text(code).value());
    EXPECT_EQ(code, compile_dependency(dependency_text(code).value()).value());
  }
  EXPECT_EQ("TRUE, TRUE, END", dependency_text(hex("06060d")).value());
  EXPECT_EQ("VERSION_STRING (5 bytes), TRUE, END",
            dependency_text(hex("02312e322e3300060d")).value());
  EXPECT_EQ("DECLARE_LENGTH 7, TRUE, END", dependency_text(hex("0e07000000060d")).value());
}

/// Random expressions: what compiles comes back, opcode for opcode.
TEST(Dependency, RandomTextsComeBack) {
  std::mt19937 random(1);
  const std::function<std::string(int)> make = [&](int depth) -> std::string {
    switch (depth > 5 ? random() % 3 : random() % 6) {
      case 0:
        return "TRUE";
      case 1:
        return "FALSE";
      case 2:
        return a + (random() % 2 ? " >= 0x7" : " < 0x8 DECLARE \"x\"");
      case 3:
        return "~(" + make(depth + 1) + ")";
      case 4:
        return "(" + make(depth + 1) + " && " + make(depth + 1) + ")";
      default:
        return "(" + make(depth + 1) + " || " + make(depth + 1) + ")";
    }
  };
  for (int i = 0; i < 300; ++i) {
    const Bytes code = compile_dependency(make(0)).value();
    EXPECT_EQ(code, compile_dependency(dependency_text(code).value()).value());
  }
}

TEST(Dependency, ErrorsNameTheColumn) {
  const auto error = [](const std::string& text) {
    const auto code = compile_dependency(text);
    return code ? "" : code.error().message;
  };
  EXPECT_THAT(error(""), HasSubstr("at column 1 expected an image type's GUID, TRUE"));
  EXPECT_THAT(error("TRUE FALSE"), HasSubstr("at column 6 expected &&, || or the end"));
  EXPECT_THAT(error("(TRUE"), HasSubstr("at column 6 expected &&, || or )"));
  EXPECT_THAT(error(a + " = 1"), HasSubstr("expected ==, >, >=, < or <="));
  EXPECT_THAT(error(a + " == 123456789"), HasSubstr("up to eight hexadecimal digits"));
  EXPECT_THAT(error(a + " == xyz"), HasSubstr("up to eight hexadecimal digits"));
  EXPECT_THAT(error(a + " == 1 DECLARE \"x"), HasSubstr("a text in quotation marks"));
  EXPECT_THAT(error(std::string(65, '(') + "TRUE" + std::string(65, ')')),
              HasSubstr("at most 64 parentheses"));
  std::string long_text = "TRUE";
  for (int i = 0; i < 40000; ++i) long_text += "&&TRUE";
  EXPECT_THAT(error(long_text), HasSubstr("expected at most 65536"));
}

std::string refusal(std::string_view code) {
  const auto answer = evaluate_dependency(hex(code), installed);
  if (answer) return "";
  return std::to_string(static_cast<std::uint32_t>(answer.error().status) & 0xff) + ": " +
         answer.error().message;
}

TEST(Dependency, WhatIsNotWellFormedIsRefused) {
  EXPECT_THAT(refusal(""), HasSubstr("129: dependency: no END"));
  EXPECT_THAT(refusal("06"), HasSubstr("129: dependency: no END"));
  EXPECT_THAT(refusal("0f0d"), HasSubstr("130: dependency: the opcode at byte 0 is 0x0f"));
  EXPECT_THAT(refusal("0001"), HasSubstr("131: dependency: the GUID at byte 0 is cut off"));
  EXPECT_THAT(refusal("060102"), HasSubstr("132: dependency: the version at byte 1 is cut off"));
  EXPECT_THAT(refusal("023132"), HasSubstr("133: dependency: the version string at byte 0"));
  EXPECT_THAT(refusal("0d"), HasSubstr("136: dependency: the opcode at byte 0 finds nothing"));
  EXPECT_THAT(refusal("0603"), HasSubstr("129"));
  EXPECT_THAT(refusal("06030d"), HasSubstr("136: dependency: the opcode at byte 1 finds nothing"));
  EXPECT_THAT(refusal("0101000000050d"), HasSubstr("136"));
  EXPECT_THAT(refusal("01010000000d"), HasSubstr("expected a truth value"));
  EXPECT_THAT(refusal("0606080d"), HasSubstr("expected a version"));
  EXPECT_THAT(refusal("060e07000000"), HasSubstr("137: dependency: DECLARE_LENGTH at byte 1"));
  EXPECT_THAT(refusal("0e08000000060d"), HasSubstr("138: dependency: DECLARE_LENGTH reaches"));
  EXPECT_THAT(refusal("0e06000000060d"),
              HasSubstr("139: dependency: DECLARE_LENGTH at byte 0 is 6, expected 7"));
  EXPECT_EQ("", refusal("0e07000000060d"));
  EXPECT_THAT(refusal("070d"), HasSubstr("8: dependency: the installed versions do not satisfy"));
}

TEST(Dependency, TheLongestIsEvaluated) {
  Bytes code(max_dependency_size_bytes, std::byte{6});
  code.back() = std::byte{0x0d};
  EXPECT_TRUE(evaluate_dependency(code, installed));
  EXPECT_TRUE(dependency_text(code));
  code.back() = std::byte{6};
  code.push_back(std::byte{0x0d});
  EXPECT_FALSE(evaluate_dependency(code, installed));
}

TEST(Dependency, AnyBytesAreSafe) {
  std::mt19937 random(2);
  for (int i = 0; i < 20000; ++i) {
    Bytes code(random() % 60);
    for (auto& byte : code) byte = static_cast<std::byte>(random() % 17);
    const auto size = dependency_size(code);
    const auto answer = evaluate_dependency(code, installed);
    EXPECT_EQ(size.has_value(), dependency_text(code).has_value());
    EXPECT_TRUE(size || !answer);
  }
}

}  // namespace
}  // namespace efistore::capsule::test
