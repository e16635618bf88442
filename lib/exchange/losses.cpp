// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "losses.hpp"

#include <fmt/format.h>

namespace efistore::exchange {

std::vector<std::string> Losses::take() {
  if (left_over_ != 0) {
    sentences_.push_back(fmt::format("{} more losses that this list has no room for", left_over_));
  }
  left_over_ = 0;
  return std::exchange(sentences_, {});
}

}  // namespace efistore::exchange
