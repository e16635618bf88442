// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "variable_access.hpp"

#include "efistore/base/attributes.hpp"

namespace efistore::shim {

namespace {

/// More variables than the largest store has room for. GetNextVariableName ends by itself; a
/// service that went round in circles would end here.
constexpr std::size_t max_variables = std::size_t{1} << 21;

}  // namespace

void VariableAccess::for_each(
    const std::function<void(const variable::VariableView&)>& visit) const {
  auto variable = services_.get_next({}, {});
  for (std::size_t i = 0; variable && i < max_variables; ++i) {
    visit(*variable);
    variable = services_.get_next(variable->name, variable->guid);
  }
}

variable::EfiResult<Space> VariableAccess::space() const {
  const auto info = services_.query(attributes::default_new);
  if (!info) return tl::unexpected(info.error());
  return Space{.total = info->maximum_storage_size, .free = info->remaining_storage_size};
}

}  // namespace efistore::shim
