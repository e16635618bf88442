// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/variable/limits.hpp"

#include <algorithm>

namespace efistore::variable {

Limits Limits::for_layout(const store::Layout& layout) noexcept {
  Limits limits;
  if (layout.name() == "ovmf-2m") {
    limits.max_variable_size = 0x2000;
    limits.max_authenticated_size = 0x2800;
    limits.max_volatile_size = 0x2000;
  }
  const auto area = static_cast<std::uint32_t>(layout.variables.size);
  limits.max_variable_size = std::min(limits.max_variable_size, area);
  limits.max_authenticated_size = std::min(limits.max_authenticated_size, area);
  return limits;
}

}  // namespace efistore::variable
