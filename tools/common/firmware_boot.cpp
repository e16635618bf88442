// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "common/firmware_boot.hpp"

namespace efistore::tools {

variable::EfiResult<void> boot_firmware(variable::Services& services, bool stay_in_boot) {
  variable::EfiResult<void> done = services.start_secure_boot();
  const store::VariableStore& store = services.store();
  if (!store.read_only() && !store.report().damaged) {
    auto drivers_done = services.end_of_dxe();
    if (done) done = std::move(drivers_done);
    // Room is what a store without any needs most.
    auto made_room = services.ready_to_boot();
    if (done) done = std::move(made_room);
  }
  if (!stay_in_boot) services.exit_boot_services();
  return done;
}

}  // namespace efistore::tools
