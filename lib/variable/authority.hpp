// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What every request with a time-based descriptor has to pass.
#pragma once

#include "efistore/variable/authentication.hpp"

#include "state.hpp"

namespace efistore::variable {

/// The descriptor in front of the data. Errors: security_violation.
EfiResult<Authentication> parse_descriptor(const SetRequest& request);

/// A time stamp later than the variable's, so that no old request can be made again; what is
/// appended may come in any order. Errors: security_violation.
EfiResult<void> check_time(const SetRequest& request, const EfiTime& time,
                           const store::Record* existing);

}  // namespace efistore::variable
