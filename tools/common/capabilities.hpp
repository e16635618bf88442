// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstdint>

#include "efistore/base/result.hpp"

namespace efistore::tools {

/// Gives up every capability but those of `needed`, bits of the first 32, of which it keeps what it
/// has; none can be gained by executing files, either.
/// Errors: permission.
Status keep_capabilities(std::uint32_t needed);

}  // namespace efistore::tools
