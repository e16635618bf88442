// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <utility>

#include "efistore/base/result.hpp"

namespace efistore::store {

/// The outcome of a write to a device, as the store hands it on: whatever the device calls its
/// failure, to the store it is one of the device. "No space" of a sparse image on a full file
/// system is not a full store, which a reclaim would help.
inline Status device_failure(Status done) {
  if (!done && done.error().code != Errc::bit_set) done.error().code = Errc::io;
  return done;
}

}  // namespace efistore::store
