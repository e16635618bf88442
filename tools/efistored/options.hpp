// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The daemon's command line and its configuration file, which has the same options.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "common/outcome.hpp"
#include "permissions.hpp"

namespace efistore::daemon {

inline constexpr const char* default_module_node = "/dev/efistore-mm";
inline constexpr const char* default_firmware_folder = "/etc/efistore/firmware.d";

struct Options {
  std::string store;
  std::optional<std::string> socket{};  ///< none: the default
  bool kmod = false;
  std::string module_node = default_module_node;
  std::string firmware_folder = default_firmware_folder;
  bool read_only = false;
  bool boot_phase = false;
  std::vector<Permission> permissions{};
  std::optional<std::string> user{};
  std::optional<std::string> capture{};
  std::optional<std::string> capsule_folder{};
  std::optional<std::uint32_t> max_variable_size_bytes{};
  std::optional<std::uint32_t> hardware_error_storage_bytes{};
  std::uint32_t budget_bytes_per_hour = 0;     ///< of a user; 0: no limit
  std::optional<std::uint32_t> burst_bytes{};  ///< none: an hour's
  std::vector<std::string> policy_files{};
  std::uint32_t idle_seconds = 30;
  std::optional<std::string> config{};  ///< the configuration file, where there is one
};

/// Why there is nothing to do but to print `text` and leave.
struct EarlyExit {
  tools::ExitCode code;
  std::string text;
};

tl::expected<Options, EarlyExit> parse_command_line(int argc, const char* const* argv);

}  // namespace efistore::daemon
