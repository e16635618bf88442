// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <vector>

#include "efistore/store/examine.hpp"
#include "efistore/store/variable_store.hpp"
#include "efistore/variable/limits.hpp"

namespace efistore::variable {

/// What of the variables is at odds with the rules of the services, the bytes of the store being
/// right (store::examine()): sizes above the limits, quotas that are exceeded, and a certificate
/// database that does not fit the variables. Offsets are those of the records in the variables
/// area. At most 1,000 findings.
std::vector<store::Finding> examine_variables(const store::VariableStore& store,
                                              const Limits& limits);

}  // namespace efistore::variable
