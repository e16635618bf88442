// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/base/result.hpp"

#include <cerrno>
#include <system_error>

namespace efistore {

std::string_view to_string(Errc code) noexcept {
  switch (code) {
    case Errc::invalid_argument:
      return "invalid_argument";
    case Errc::out_of_range:
      return "out_of_range";
    case Errc::not_found:
      return "not_found";
    case Errc::already_exists:
      return "already_exists";
    case Errc::busy:
      return "busy";
    case Errc::permission:
      return "permission";
    case Errc::read_only:
      return "read_only";
    case Errc::unsupported:
      return "unsupported";
    case Errc::no_space:
      return "no_space";
    case Errc::blank:
      return "blank";
    case Errc::damaged:
      return "damaged";
    case Errc::bit_set:
      return "bit_set";
    case Errc::io:
      return "io";
  }
  return "unknown";
}

namespace {

Errc code_of(int errno_value) noexcept {
  switch (errno_value) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return Errc::not_found;
    case EOPNOTSUPP:
      return Errc::unsupported;
    case EEXIST:
      return Errc::already_exists;
    case EACCES:
    case EPERM:
      return Errc::permission;
    case EROFS:
      return Errc::read_only;
    case EBUSY:
      return Errc::busy;
    case ENOSPC:
    case EDQUOT:
      return Errc::no_space;
    default:
      return Errc::io;
  }
}

}  // namespace

tl::unexpected<Error> fail_errno(int errno_value, std::string_view what) {
  return fail(code_of(errno_value),
              std::string(what) + ": " + std::generic_category().message(errno_value));
}

}  // namespace efistore
