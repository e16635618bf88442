// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace efistore::exchange {

/// A list of losses that hostile input cannot make grow beyond max_losses.
class Losses {
 public:
  void add(std::string sentence);
  /// The sentences, and one that counts those that did not fit. Leaves the list empty.
  std::vector<std::string> take();

 private:
  std::vector<std::string> sentences_;
  std::size_t left_over_ = 0;
};

}  // namespace efistore::exchange
