// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <concepts>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "efistore/exchange/exchange.hpp"

namespace efistore::exchange {

/// A list that hostile input cannot make grow beyond max_losses. Sentences come as functions that
/// make them, which are called only while there is room: input of nothing but losses, millions of
/// them, costs no more than counting.
class Sentences {
 public:
  template <std::invocable Make>
  void add(Make&& make_sentence) {
    if (sentences_.size() < max_losses) {
      sentences_.push_back(std::forward<Make>(make_sentence)());
    } else {
      ++left_over_;
    }
  }
  /// The sentences, and one that counts those that did not fit. Leaves the list empty.
  std::vector<std::string> take();

 private:
  std::vector<std::string> sentences_;
  std::size_t left_over_ = 0;
};

/// What did not make it from one side to the other: whole variables, and less than that.
struct Losses {
  Sentences left_out;
  Sentences parts;
};

}  // namespace efistore::exchange
