// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Results: a value, or an Error that says what the caller can do about it.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace efistore {

/// What went wrong, by what the caller can do about it.
enum class Errc {
  invalid_argument,  ///< the request is malformed; asking again will not help
  out_of_range,      ///< offset or size outside what the device or format has
  not_found,         ///< no such file, device, variable
  already_exists,    ///< would replace what is there
  busy,              ///< somebody else holds it; the message names them
  permission,        ///< the operating system refuses
  read_only,         ///< opened, or made, for reading only
  unsupported,       ///< the device or the format cannot do this at all
  no_space,          ///< does not fit, also after a reclaim
  blank,             ///< erased or zeroed medium: format it first
  damaged,           ///< bytes that no writer of the format leaves behind
  bit_set,           ///< NOR: a program operation tried to turn a 0 into a 1
  io,                ///< the device failed
};

/// The code's name as it stands in this enumeration.
std::string_view to_string(Errc code) noexcept;

/// An error with its message: one sentence without a final period that names the input, the place
/// and what was expected.
struct Error {
  Errc code;
  std::string message;
};

/// A value, or the Error in its place. Dropping one is a compiler warning.
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

using Status = Result<void>;

/// `return fail(Errc::io, "...")` in any function that returns a Result.
inline tl::unexpected<Error> fail(Errc code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

/// Hands another Result's error upwards.
template <typename T>
tl::unexpected<Error> forward(Result<T>&& result) {
  return tl::unexpected<Error>(std::move(result).error());
}

/// Hands another Result's error upwards, with "context: " in front of its message.
template <typename T>
tl::unexpected<Error> forward(Result<T>&& result, std::string_view context) {
  Error error = std::move(result).error();
  error.message.insert(0, ": ").insert(0, context);
  return tl::unexpected<Error>(std::move(error));
}

/// An error for a failed system call: `errno_value` picks the code, the message ends in its text.
tl::unexpected<Error> fail_errno(int errno_value, std::string_view what);

}  // namespace efistore
