// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "common/locator.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <system_error>
#include <utility>

#include "efistore/flash/open.hpp"

#include "common/policies.hpp"

namespace efistore::tools {

namespace {

tl::unexpected<Failure> fail_open(const std::string& locator, const Error& error) {
  return fail_with(describe_open_error(locator, error));
}

}  // namespace

LocatorSources process_sources(std::optional<std::string> option) {
  LocatorSources sources;
  sources.option = std::move(option);
  if (const char* value = std::getenv("EFISTORE")) sources.environment = value;
  sources.exists = [](const std::filesystem::path& path) {
    std::error_code ignored;
    return std::filesystem::exists(path, ignored);
  };
  return sources;
}

Outcome<std::string> choose_locator(const LocatorSources& sources) {
  if (sources.option) {
    if (sources.option->empty())
      return fail_usage("--store: the name of a store must not be empty");
    return *sources.option;
  }
  if (sources.environment && !sources.environment->empty()) return *sources.environment;
  if (sources.exists(kernel_module_node)) return std::string(kernel_module_node);
  if (sources.exists(daemon_socket)) return fmt::format("unix:{}", daemon_socket);
  return fail_with(fmt::format("no store: give --store or set $EFISTORE; neither {} nor {} exists",
                               kernel_module_node, daemon_socket));
}

Outcome<void> check_output(const std::string& locator, const std::string& path) {
  std::error_code missing;
  if (!std::filesystem::equivalent(locator, path, missing) || missing) return {};
  return fail_with(fmt::format("{} is the store itself; name another file for the output", path));
}

Result<std::unique_ptr<flash::Device>> open_locator(const std::string& locator,
                                                    flash::OpenMode mode) {
  if (locator == kernel_module_node || locator.starts_with("unix:")) {
    return fail(
        Errc::unsupported,
        fmt::format("{}: this works on the flash itself, which a daemon has: end it, and name the "
                    "image file or the MTD device",
                    locator));
  }
  return flash::open_device(locator, mode);
}

std::string describe_open_error(const std::string& locator, const Error& error) {
  // The store's own errors speak of places in the volume, not of the file it lies in.
  std::string message = error.message;
  if (message.find(locator) == std::string::npos) message = locator + ": " + message;
  if (error.code == Errc::blank) message += "; `efistore create` makes a store there";
  if (error.code == Errc::damaged) message += "; `efistore check` has the details";
  return message;
}

Outcome<std::unique_ptr<flash::Device>> open_flash(const std::string& locator,
                                                   flash::OpenMode mode) {
  auto device = open_locator(locator, mode);
  if (!device) return fail_open(locator, device.error());
  return std::move(*device);
}

Outcome<store::VariableStore> open_store_on(const std::string& locator,
                                            std::unique_ptr<flash::Device> device,
                                            flash::OpenMode mode) {
  auto opened = store::VariableStore::open(std::move(device),
                                           {.read_only = mode == flash::OpenMode::read_only});
  if (!opened) return fail_open(locator, opened.error());
  return std::move(*opened);
}

Outcome<store::VariableStore> open_store(const std::string& locator, flash::OpenMode mode) {
  auto device = open_flash(locator, mode);
  if (!device) return tl::unexpected(std::move(device).error());
  return open_store_on(locator, std::move(*device), mode);
}

Outcome<variable::Services> open_services_on(const std::string& locator,
                                             std::unique_ptr<flash::Device> device,
                                             flash::OpenMode mode, variable::Options options) {
  if (mode == flash::OpenMode::read_write) {
    auto policies = policies_of(locator, *device);
    if (!policies) return fail_with(policies.error());
    options.policies = std::move(*policies);
  }
  auto opened = open_store_on(locator, std::move(device), mode);
  if (!opened) return tl::unexpected(std::move(opened).error());
  auto services = variable::Services::create(std::move(*opened), options);
  if (!services) return fail_open(locator, services.error());
  return std::move(*services);
}

Outcome<variable::Services> open_services(const std::string& locator, flash::OpenMode mode,
                                          variable::Options options) {
  auto device = open_flash(locator, mode);
  if (!device) return tl::unexpected(std::move(device).error());
  return open_services_on(locator, std::move(*device), mode, std::move(options));
}

}  // namespace efistore::tools
