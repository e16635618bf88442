// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What the tests of the exchange formats share.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "efistore/base/attributes.hpp"
#include "efistore/base/bytes.hpp"
#include "efistore/exchange/exchange.hpp"

namespace efistore::exchange::testing {

inline constexpr Guid vendor = *Guid::parse("44332211-6655-8877-99aa-bbccddeeff00");
inline constexpr std::uint32_t time_based = attributes::time_based_authenticated_write_access;

inline std::vector<std::byte> bytes_of(std::string_view text) {
  const auto raw = as_bytes(text);
  return {raw.begin(), raw.end()};
}

inline std::string text_of(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte b : bytes) text += static_cast<char>(b);
  return text;
}

inline store::Variable make_variable(std::u16string name,
                                     std::uint32_t attributes = attributes::default_new,
                                     std::string_view data = "x") {
  store::Variable variable;
  variable.name = std::move(name);
  variable.guid = vendor;
  variable.attributes = attributes;
  variable.data = bytes_of(data);
  return variable;
}

/// `result` is an invalid_argument whose message is `message`.
inline void expect_refused(const Result<Imported>& result, std::string_view message) {
  ASSERT_FALSE(result.has_value()) << "accepted; expected: " << message;
  EXPECT_EQ(result.error().code, Errc::invalid_argument);
  EXPECT_EQ(result.error().message, message);
}

/// The same, but that the message only begins so.
inline void expect_refused_beginning(const Result<Imported>& result, std::string_view message) {
  ASSERT_FALSE(result.has_value()) << "accepted; expected: " << message;
  EXPECT_EQ(result.error().code, Errc::invalid_argument);
  EXPECT_THAT(result.error().message, ::testing::StartsWith(std::string(message)));
}

}  // namespace efistore::exchange::testing
