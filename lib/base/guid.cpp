// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/base/guid.hpp"

#include <algorithm>

#include "efistore/base/bytes.hpp"

namespace efistore {

Guid Guid::from_bytes(std::span<const std::byte> raw) noexcept {
  Guid guid;
  std::copy_n(raw.begin(), guid.bytes.size(), guid.bytes.begin());
  return guid;
}

std::string to_string(const Guid& guid) {
  // The order in which the bytes appear in the text, with a dash in front of some.
  constexpr std::array<std::size_t, 16> order{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
  std::string text;
  text.reserve(guid_text_size);
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += to_hex(std::span(&guid.bytes[order[i]], 1));
  }
  return text;
}

}  // namespace efistore
