// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "secure_boot.hpp"
#include "state.hpp"

namespace efistore::variable {

namespace {

/// What is not undone with the rest: a store that was found too small says so in VarErrorFlag, and
/// whoever guessed a key of the memory-overwrite lock has had the one guess there is.
void keep_of_failure(Services::State& state, const Services::State& failed) {
  if (failed.error_flag != state.error_flag) record_error(state, failed.error_flag);
  const MemoryOverwriteLock& lock = failed.memory_overwrite;
  if (state.memory_overwrite.locked && lock.locked && !lock.key) {
    state.memory_overwrite.key.reset();
  }
}

}  // namespace

EfiResult<void> transact(Services::State& state,
                         const std::function<EfiResult<void>(Services::State&)>& make) {
  Services::State copy(state, state.nv.staged(), state.volatile_area.in_memory());
  if (auto made = make(copy); !made) {
    keep_of_failure(state, copy);
    return made;
  }
  if (auto adopted = state.nv.adopt(copy.nv); !adopted) {
    // Of a change that failed the flash may hold more than was known. What is shown is in memory,
    // where there is room for what was there before.
    (void)refresh_secure_boot(state);
    return to_efi(std::move(adopted));
  }
  static_cast<Conditions&>(state) = static_cast<const Conditions&>(copy);
  state.volatile_area = std::move(copy.volatile_area);
  state.recount_user();
  return {};
}

}  // namespace efistore::variable
