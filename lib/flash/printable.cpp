// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "printable.hpp"

#include <algorithm>

namespace efistore::flash {

std::string printable(std::string_view text, std::size_t limit) {
  std::string result(text.substr(0, limit));
  std::ranges::replace_if(
      result, [](char c) { return c < ' ' || c > '~'; }, '?');
  if (text.size() > limit) result += "...";
  return result;
}

}  // namespace efistore::flash
