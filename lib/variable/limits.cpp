// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/variable/limits.hpp"

#include <algorithm>

#include "efistore/base/attributes.hpp"
#include "efistore/store/record.hpp"

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

std::uint32_t Limits::max_content_size(std::uint32_t attributes,
                                       store::RecordFormat format) const noexcept {
  using namespace attributes;
  const std::uint32_t whole = (attributes & hardware_error_record) != 0 ? max_hardware_error_size
                              : (attributes & any_authenticated) != 0   ? max_authenticated_size
                              : (attributes & non_volatile) != 0        ? max_variable_size
                                                                        : max_volatile_size;
  return whole - std::min(whole, store::record_header_size(format));
}

}  // namespace efistore::variable
