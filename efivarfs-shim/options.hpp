// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The command line, in the program's own form and in mount(8)'s.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "common/outcome.hpp"

namespace efistore::shim {

using tools::ExitCode;

struct Options {
  std::string store;
  std::string mount_point;
  bool foreground = false;
  bool debug = false;  ///< libfuse shows every request on standard error
  bool replace = false;
  bool read_only = false;
  bool strict_runtime = false;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<std::uint32_t> reserve_bytes;
  std::optional<std::uint32_t> hardware_error_storage_bytes;
  std::optional<std::uint32_t> max_variable_size_bytes;
  std::optional<std::uint32_t> idle_seconds;
  /// For each vendor; without it, or with 0, everybody may write as much as they like.
  std::optional<std::uint32_t> budget_bytes_per_hour;
  std::optional<std::uint32_t> burst_bytes;  ///< without it, an hour's bytes
  /// Mount options that are libfuse's and the kernel's, in their order.
  std::vector<std::string> mount_options;

  bool has_mount_option(std::string_view key) const noexcept;
};

/// Why there is nothing to do but to print `text` and leave: on standard output for success (help
/// and version), else on standard error as one line.
struct EarlyExit {
  ExitCode code;
  std::string text;
};

/// `environment_store` is $EFISTORE, or nullptr.
tl::expected<Options, EarlyExit> parse_command_line(int argc, const char* const* argv,
                                                    const char* environment_store);

/// The parts of a mount option list. "\," does not part and, as every escape, stays as it is.
std::vector<std::string> split_mount_options(std::string_view list);

/// `value` as one mount option's value: ',' and '\' get a '\' in front.
std::string escape_mount_option(std::string_view value);

}  // namespace efistore::shim
