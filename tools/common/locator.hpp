// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Which store a command works on, and opening it.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "efistore/flash/device.hpp"
#include "efistore/flash/image_file.hpp"
#include "efistore/store/variable_store.hpp"
#include "efistore/variable/services.hpp"

#include "common/outcome.hpp"

namespace efistore::tools {

inline constexpr std::string_view kernel_module_node = "/dev/efistore";
inline constexpr std::string_view daemon_socket = "/run/efistore/efistored.sock";

/// What the choice of a store depends on.
struct LocatorSources {
  std::optional<std::string> option;                         ///< --store, where it is given
  std::optional<std::string> environment;                    ///< $EFISTORE, where it is set
  std::function<bool(const std::filesystem::path&)> exists;  ///< for the default
};

/// The sources of this process.
LocatorSources process_sources(std::optional<std::string> option);

/// The store's locator: the option, else the environment's unless it is empty, else the kernel
/// module's node or the daemon's socket, whichever exists first.
/// Fails, naming all of these, if there is none; an empty option is wrong usage.
Outcome<std::string> choose_locator(const LocatorSources& sources);

/// Fails if the file at `path`, which is to be written, is the store itself: it would be replaced
/// by what was read from it.
Outcome<void> check_output(const std::string& locator, const std::string& path);

/// Opens the flash that `locator` names. Errors: flash::open_device()'s; unsupported for a daemon's
/// socket and the kernel module, behind which somebody else has the flash.
Result<std::unique_ptr<flash::Device>> open_locator(const std::string& locator,
                                                    flash::OpenMode mode);

/// The line for a store, or the flash it lies on, that could not be opened: it names `locator`, and
/// the next step where there is one.
std::string describe_open_error(const std::string& locator, const Error& error);

/// The same as open_locator(), with that line for a failure.
Outcome<std::unique_ptr<flash::Device>> open_flash(const std::string& locator,
                                                   flash::OpenMode mode);

/// Opens the store on the flash that `locator` names. Damage is no failure here: see report().
Outcome<store::VariableStore> open_store(const std::string& locator, flash::OpenMode mode);

/// Opens the variable services over the store, in the boot phase unless `options` say otherwise;
/// for changes with the policies that are kept beside it (policies.hpp), and not without them.
Outcome<variable::Services> open_services(const std::string& locator, flash::OpenMode mode,
                                          variable::Options options = {});

/// The same on a device that is open already; `locator` is for messages.
Outcome<store::VariableStore> open_store_on(const std::string& locator,
                                            std::unique_ptr<flash::Device> device,
                                            flash::OpenMode mode);
Outcome<variable::Services> open_services_on(const std::string& locator,
                                             std::unique_ptr<flash::Device> device,
                                             flash::OpenMode mode, variable::Options options = {});

}  // namespace efistore::tools
