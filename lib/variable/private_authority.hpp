// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Authenticated variables that are nobody's in particular: who signed one first may change it, and
// certdb keeps who that was (UEFI 2.10, 8.2.2; EDK2's AuthVariableLib).
#pragma once

#include "state.hpp"

namespace efistore::variable {

/// SetVariable with a time-based descriptor of a variable that is no key.
/// Errors: security_violation (not who signed it first, a signature that does not hold, or a time
/// that is not later), not_found (deletion), and those of update_variable().
EfiResult<void> set_private(Services::State& state, const SetRequest& request);

/// Deletes the variable, and its node of certdb, for somebody at the machine.
EfiResult<void> delete_private(Services::State& state, const SetRequest& request);

/// Takes out of certdb the nodes of variables that are not there (EDK2's CleanCertsFromDb()).
EfiResult<void> forget_lost_variables(Services::State& state);

}  // namespace efistore::variable
