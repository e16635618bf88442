// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "file_system.hpp"

namespace efistore::shim {

namespace {

constexpr const char* description =
    "Mounts a UEFI variable store (an image file, an MTD device, or that of a daemon) as the "
    "kernel's efivarfs would show it.";

constexpr const char* footer = R"(Mount options (-o), besides those of mount(8) and fuse(8):
  ro                          open the store for reading only
  uid=N, gid=N                owner of all files (the caller)
  replace                     as --replace
  reserve=BYTES               space that writes must leave free (5120)
  idle=SECONDS                compact after that long without a request (30; 0: never)
  strict_runtime              never compact the store, as EDK2 does at runtime
  hardware_error_storage=BYTES
                              space for hardware error records (0: none)
  max_variable_size=BYTES     largest variable, its header and name included
  budget=BYTES                what each vendor may write an hour; more is slowed (0: no limit)
  burst=BYTES                 what each may write at once before that (an hour's bytes)

Examples:
  efivarfs-shim --store vars.fd /mnt
  efivarfs-shim --store mtd:uefi-vars -o uid=1000,gid=1000 /mnt
  mount -t fuse.efivarfs-shim vars.fd /mnt -o ro
  EFIVARFS_PATH=/mnt/ efibootmgr -v
  fusermount3 -u /mnt)";

tl::unexpected<EarlyExit> wrong_usage(std::string text) {
  return tl::unexpected<EarlyExit>({ExitCode::usage, std::move(text)});
}

std::optional<std::uint32_t> parse_number(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// An option of ours whose value is a number, and the largest that makes sense.
struct NumericOption {
  std::string_view key;
  std::uint32_t largest;
  std::optional<std::uint32_t>* value;
};

/// Sets what `option` says, or hands it on. Gives a complaint, empty if there is none.
std::string take_mount_option(const std::string& option, Options& options) {
  const std::size_t equals = option.find('=');
  const std::string_view key = std::string_view(option).substr(0, equals);
  // (uid_t)-1 means "nobody in particular" to the kernel.
  constexpr std::uint32_t largest_id = std::numeric_limits<std::uint32_t>::max() - 1;
  constexpr std::uint32_t largest_size = std::numeric_limits<std::uint32_t>::max();
  constexpr std::uint32_t largest_idle = 24 * 60 * 60;
  const std::array<NumericOption, 8> numeric{{
      {"uid", largest_id, &options.uid},
      {"gid", largest_id, &options.gid},
      {"reserve", largest_size, &options.reserve_bytes},
      {"hardware_error_storage", largest_size, &options.hardware_error_storage_bytes},
      {"max_variable_size", max_variable_write_bytes, &options.max_variable_size_bytes},
      {"idle", largest_idle, &options.idle_seconds},
      {"budget", largest_size, &options.budget_bytes_per_hour},
      {"burst", largest_size, &options.burst_bytes},
  }};
  for (const NumericOption& one : numeric) {
    if (key != one.key) continue;
    const auto number = equals == std::string::npos
                            ? std::nullopt
                            : parse_number(std::string_view(option).substr(equals + 1));
    if (!number || *number > one.largest) {
      return fmt::format("-o {}: expected {}=N with N from 0 to {}", option, key, one.largest);
    }
    *one.value = *number;
    return {};
  }
  if (key == "max_read") {
    // libfuse would end the session at the kernel's first request.
    return fmt::format("-o {}: reads are not limited here", option);
  }
  if (option == "replace") {
    options.replace = true;
  } else if (option == "strict_runtime") {
    options.strict_runtime = true;
  } else {
    if (option == "ro") options.read_only = true;
    if (option == "rw") options.read_only = false;
    options.mount_options.push_back(option);
  }
  return {};
}

}  // namespace

bool Options::has_mount_option(std::string_view key) const noexcept {
  return std::any_of(mount_options.begin(), mount_options.end(), [key](const std::string& option) {
    return option == key || (option.starts_with(key) && option[key.size()] == '=');
  });
}

std::vector<std::string> split_mount_options(std::string_view list) {
  std::vector<std::string> parts;
  std::string part;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i] == ',') {
      if (!part.empty()) parts.push_back(std::exchange(part, {}));
      continue;
    }
    part.push_back(list[i]);
    if (list[i] == '\\' && i + 1 < list.size()) part.push_back(list[++i]);
  }
  if (!part.empty()) parts.push_back(std::move(part));
  return parts;
}

std::string escape_mount_option(std::string_view value) {
  std::string escaped;
  for (const char c : value) {
    if (c == ',' || c == '\\') escaped.push_back('\\');
    escaped.push_back(c);
  }
  return escaped;
}

tl::expected<Options, EarlyExit> parse_command_line(int argc, const char* const* argv,
                                                    const char* environment_store) {
  Options options;
  std::vector<std::string> positional;
  std::vector<std::string> lists;
  std::string store;

  CLI::App app(description, "efivarfs-shim");
  app.footer(footer);
  app.set_version_flag("--version", "efivarfs-shim " EFISTORE_VERSION);
  const CLI::Option* store_option = app.add_option(
      "--store", store,
      "Image file, MTD character device, mtd:NAME, or unix:PATH and /dev/efistore for "
      "that of a daemon; without it, the first of two positional arguments, or "
      "$EFISTORE");
  app.add_option("paths", positional, "[STORE] MOUNTPOINT")->type_name("");
  app.add_flag("-f,--foreground", options.foreground, "Stay in the foreground");
  app.add_flag("-d,--debug", options.debug, "Show every request; implies -f");
  app.add_flag("--replace", options.replace,
               "Unmount what an efivarfs-shim that died has left at the mount point");
  app.add_option("-o", lists, "Mount options, separated by commas")
      ->type_name("OPTIONS")
      ->allow_extra_args(false);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return tl::unexpected<EarlyExit>({ExitCode::success, app.help()});
  } catch (const CLI::CallForVersion&) {
    return tl::unexpected<EarlyExit>({ExitCode::success, app.version() + "\n"});
  } catch (const CLI::ParseError& error) {
    return wrong_usage(error.what());
  }

  if (positional.empty()) return wrong_usage("no mount point was given");
  if (positional.size() > 2) return wrong_usage("more than a store and a mount point were given");
  options.mount_point = positional.back();
  if (positional.size() == 2) {
    if (*store_option) return wrong_usage("two stores were given");
    options.store = positional.front();
  } else if (*store_option) {
    options.store = store;
  } else if (environment_store != nullptr) {
    options.store = environment_store;
  }
  if (options.store.empty()) return wrong_usage("no store was given: use --store or $EFISTORE");
  if (options.mount_point.empty()) return wrong_usage("the mount point is empty");
  if (options.debug) options.foreground = true;

  for (const std::string& list : lists) {
    for (const std::string& option : split_mount_options(list)) {
      if (std::string complaint = take_mount_option(option, options); !complaint.empty()) {
        return wrong_usage(std::move(complaint));
      }
    }
  }
  if (options.burst_bytes && !options.budget_bytes_per_hour) {
    return wrong_usage(
        fmt::format("-o burst={}: it needs a budget, -o budget=BYTES", *options.burst_bytes));
  }
  return options;
}

}  // namespace efistore::shim
