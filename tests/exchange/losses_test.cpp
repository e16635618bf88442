// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "losses.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace efistore::exchange {
namespace {

TEST(Sentences, SentencesAreMadeOnlyWhileThereIsRoom) {
  Sentences losses;
  std::size_t made = 0;
  for (std::size_t i = 0; i < 3 * max_losses; ++i) {
    losses.add([&] {
      ++made;
      return std::to_string(i);
    });
  }
  EXPECT_EQ(made, max_losses);
  const std::vector<std::string> sentences = losses.take();
  ASSERT_EQ(sentences.size(), max_losses + 1);
  EXPECT_EQ(sentences.front(), "0");
  EXPECT_EQ(sentences[max_losses - 1], std::to_string(max_losses - 1));
  EXPECT_EQ(sentences.back(),
            std::to_string(2 * max_losses) + " more, for which this list has no room");
}

TEST(Sentences, TakingLeavesNothingBehind) {
  Sentences losses;
  for (std::size_t i = 0; i <= max_losses; ++i) losses.add([] { return std::string("x"); });
  losses.take();
  EXPECT_THAT(losses.take(), ::testing::IsEmpty());
}

}  // namespace
}  // namespace efistore::exchange
