// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/base/guid.hpp"

#include <gtest/gtest.h>

#include "efistore/base/bytes.hpp"

namespace efistore {
namespace {

TEST(Guid, FirstThreeFieldsLieLittleEndianInMemory) {
  EXPECT_EQ(to_hex(guids::global_variable.bytes), "61dfe48bca93d211aa0d00e098032b8c");
  EXPECT_EQ(to_string(guids::global_variable), "8be4df61-93ca-11d2-aa0d-00e098032b8c");
}

TEST(Guid, UpperCaseParsesToTheSameGuid) {
  EXPECT_EQ(Guid::parse("8BE4DF61-93CA-11D2-AA0D-00E098032B8C"), guids::global_variable);
}

TEST(Guid, AnythingElseIsRefused) {
  for (const auto* text :
       {"", "8be4df61", "8be4df61-93ca-11d2-aa0d-00e098032b8",
        "8be4df61-93ca-11d2-aa0d-00e098032b8cc", "8be4df61+93ca-11d2-aa0d-00e098032b8c",
        "8be4df61-93ca-11d2-aa0d-00e098032b8g", "{be4df61-93ca-11d2-aa0d-00e098032b8}"}) {
    EXPECT_EQ(Guid::parse(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace efistore
