// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "privileges.hpp"

#include <linux/capability.h>
#include <unistd.h>

#include <cstdint>

#include "common/capabilities.hpp"

namespace efistore::shim {

Status drop_privileges() {
  if (::geteuid() != 0) return {};
  // umount2() itself, and finding the mount point where directories are closed to others.
  constexpr std::uint32_t needed = (1U << CAP_SYS_ADMIN) | (1U << CAP_DAC_READ_SEARCH);
  static_assert(CAP_SYS_ADMIN < 32 && CAP_DAC_READ_SEARCH < 32);
  return tools::keep_capabilities(needed);
}

}  // namespace efistore::shim
