// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/variable/variable_id.hpp"

#include <gtest/gtest.h>

namespace efistore::variable {
namespace {

constexpr Guid other = *Guid::parse("11223344-5566-7788-99aa-bbccddeeff00");

TEST(VariableId, NameAloneIsInTheGlobalNamespace) {
  EXPECT_EQ(parse_variable_id("Boot0000"), (VariableId{u"Boot0000", guids::global_variable}));
}

TEST(VariableId, TextReadsBack) {
  for (const VariableId& id :
       {VariableId{u"A", other}, VariableId{u"a-b-", other},
        VariableId{u"11223344-5566-7788-99aa-bbccddeeff00", other},
        VariableId{{u'x', char16_t{0xdc00}}, other}, VariableId{u"\u20ac/\n", other}}) {
    EXPECT_EQ(parse_variable_id(to_string(id)), id) << to_string(id);
  }
}

TEST(VariableId, GuidMayBeInUpperCase) {
  EXPECT_EQ(parse_variable_id("A-11223344-5566-7788-99AA-BBCCDDEEFF00"), (VariableId{u"A", other}));
}

TEST(VariableId, WhatLooksLikeAGuidAndIsNoneBelongsToTheName) {
  EXPECT_EQ(parse_variable_id("A-11223344-5566-7788-99aa-bbccddeeff0g"),
            (VariableId{u"A-11223344-5566-7788-99aa-bbccddeeff0g", guids::global_variable}));
}

TEST(VariableId, EmptyNamesNulAndBrokenTextAreNone) {
  EXPECT_EQ(parse_variable_id(""), std::nullopt);
  EXPECT_EQ(parse_variable_id("-11223344-5566-7788-99aa-bbccddeeff00"), std::nullopt);
  EXPECT_EQ(parse_variable_id(std::string_view("A\0B", 3)), std::nullopt);
  EXPECT_EQ(parse_variable_id("\xc3"), std::nullopt);
}

}  // namespace
}  // namespace efistore::variable
