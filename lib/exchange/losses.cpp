// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "losses.hpp"

#include <fmt/format.h>

namespace efistore::exchange {

std::vector<std::string> Sentences::take() {
  if (left_over_ != 0) {
    sentences_.push_back(fmt::format("{} more, for which this list has no room", left_over_));
  }
  left_over_ = 0;
  return std::exchange(sentences_, {});
}

}  // namespace efistore::exchange
