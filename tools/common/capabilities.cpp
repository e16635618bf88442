// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "common/capabilities.hpp"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace efistore::tools {

Status keep_capabilities(std::uint32_t needed) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno(errno, "no_new_privs");
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  // No library for this: glibc has no wrapper, and there are only these two calls.
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return fail_errno(errno, "capget");
  for (__user_cap_data_struct& set : sets) {
    set.permitted &= &set == &sets.front() ? needed : 0;
    set.effective = set.permitted;
    set.inheritable = 0;
  }
  if (::syscall(SYS_capset, &header, sets.data()) != 0) return fail_errno(errno, "capset");
  return {};
}

}  // namespace efistore::tools
