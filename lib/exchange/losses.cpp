// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "losses.hpp"

#include <fmt/format.h>

#include <utility>

#include "efistore/exchange/exchange.hpp"

namespace efistore::exchange {

void Losses::add(std::string sentence) {
  if (sentences_.size() < max_losses) {
    sentences_.push_back(std::move(sentence));
  } else {
    ++left_over_;
  }
}

std::vector<std::string> Losses::take() {
  if (left_over_ != 0) {
    sentences_.push_back(fmt::format("{} more losses that this list has no room for", left_over_));
  }
  left_over_ = 0;
  return std::exchange(sentences_, {});
}

}  // namespace efistore::exchange
