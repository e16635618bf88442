// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "common/outcome.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <utility>

#include "common/escape.hpp"

namespace efistore::tools {

tl::unexpected<Failure> fail_with(std::string message) {
  return tl::unexpected<Failure>(Failure{ExitCode::failure, std::move(message)});
}

tl::unexpected<Failure> fail_usage(std::string message) {
  return tl::unexpected<Failure>(Failure{ExitCode::usage, std::move(message)});
}

tl::unexpected<Failure> fail_with(const Error& error) {
  return fail_with(error.message);
}

tl::unexpected<Failure> fail_with(std::string_view subject, const variable::EfiError& error) {
  std::string message = fmt::format("{}: {}", subject, to_string(error.status));
  if (!error.reason.empty()) message += ": " + error.reason;
  return fail_with(std::move(message));
}

void print_message(std::string_view program, std::string_view message) {
  // One call, so that the line stays whole between those of other processes.
  const std::string line = fmt::format("{}: {}\n", program, escape(message, EscapeStyle::line));
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace efistore::tools
