// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// How a command ends: the edge at which the library's errors become exit codes and messages.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "efistore/base/result.hpp"
#include "efistore/variable/efi_result.hpp"

namespace efistore::tools {

/// Exit codes of every command of the project.
enum class ExitCode : int { success = 0, failure = 1, usage = 2 };

/// Why a command failed: one line, which names the input.
struct Failure {
  ExitCode code = ExitCode::failure;
  std::string message;
};

template <typename T>
class [[nodiscard]] Outcome : public tl::expected<T, Failure> {
 public:
  using tl::expected<T, Failure>::expected;
};

/// `return fail_with("...")` in any function that returns an Outcome.
tl::unexpected<Failure> fail_with(std::string message);
/// The command line asks for something that cannot be asked: exit code 2.
tl::unexpected<Failure> fail_usage(std::string message);
/// The library's error; its messages name their input themselves.
tl::unexpected<Failure> fail_with(const Error& error);
/// "subject: EFI_NOT_FOUND", with ": reason" behind where the services gave one.
tl::unexpected<Failure> fail_with(std::string_view subject, const variable::EfiError& error);

/// Writes "program: message" as one line to standard error, control characters escaped.
void print_message(std::string_view program, std::string_view message);

}  // namespace efistore::tools
