// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "backing.hpp"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>

#include "efistore/flash/memory_device.hpp"
#include "efistore/flash/open.hpp"
#include "efistore/update/updater.hpp"
#include "efistore/variable/limits.hpp"

#include "common/file_io.hpp"
#include "common/firmware_boot.hpp"
#include "common/locator.hpp"
#include "common/policies.hpp"

namespace efistore::daemon {

using variable::Services;

namespace {

/// What the flash holds now, as a device that nobody else changes.
Result<std::unique_ptr<flash::Device>> copy_of(flash::Device& device) {
  const flash::Geometry& geometry = device.geometry();
  std::vector<std::byte> content(geometry.size_bytes);
  if (auto done = device.read(0, content); !done) return forward(std::move(done));
  return std::make_unique<flash::MemoryDevice>(std::move(content), geometry.erase_block_size_bytes,
                                               device.name());
}

/// Those beside the store, and others. One that is among both is no trouble.
Result<std::vector<variable::Policy>> merged(std::vector<variable::Policy> kept,
                                             const std::vector<variable::Policy>& others) {
  variable::PolicyTable table;
  for (variable::Policy& policy : kept) {
    if (const auto done = table.register_policy(std::move(policy)); !done) {
      return fail(Errc::damaged, done.error().reason);
    }
  }
  for (const variable::Policy& policy : others) {
    if (std::ranges::find(table.policies(), policy) != table.policies().end()) continue;
    const auto done = table.register_policy(policy);
    if (done) continue;
    return fail(Errc::invalid_argument, done.status() == EfiStatus::already_started
                                            ? "there is another policy for " + to_string(policy)
                                            : done.error().reason);
  }
  return std::vector(table.policies().begin(), table.policies().end());
}

}  // namespace

tools::Outcome<std::vector<variable::Policy>> read_policy_entries(const std::string& file) {
  const auto bytes = tools::read_input(file, variable::max_policy_table_size_bytes);
  if (!bytes) return tl::unexpected(bytes.error());
  auto entries = variable::read_policies(*bytes);
  if (!entries) return tools::fail_with(file + ": " + entries.error().message);
  if (entries->empty()) return tools::fail_with(file + ": no bytes, expected a policy's entry");
  return std::move(*entries);
}

Result<std::unique_ptr<Backing>> Backing::open(const BackingOptions& options) {
  std::unique_ptr<Backing> backing(new Backing(options));
  const auto mode = options.read_only ? flash::OpenMode::read_only : flash::OpenMode::read_write;
  auto device = tools::open_locator(options.store, mode);
  if (!device) return forward(std::move(device));
  backing->policy_file_ = tools::policy_path(options.store, **device);
  auto kept = tools::policies_of(options.store, **device);
  if (!kept) return forward(std::move(kept));
  auto policies = merged(std::move(*kept), options.policies);
  if (!policies) return forward(std::move(policies));
  backing->policies_ = std::move(*policies);
  auto copy = copy_of(**device);
  if (!copy) return forward(std::move(copy));
  auto store = store::VariableStore::open(std::move(*copy), {.read_only = true});
  if (!store) return forward(std::move(store));
  auto services = backing->make_services(std::move(*store), false);
  if (!services) return forward(std::move(services));
  // Nothing is written to the copy: what firmware shows of secure boot is in memory.
  static_cast<void>(services->start_secure_boot());
  update::ServicesVariables variables(*services);
  backing->esrt_ = update::Updater({.resources = backing->options_.resources,
                                    .variables = variables,
                                    .state_folder = {},
                                    .open_device = flash::open_device,
                                    .now = {}})
                       .esrt();
  if (!options.boot_phase) services->exit_boot_services();
  backing->services_.emplace(std::move(*services));
  backing->device_ = std::move(*device);
  return backing;
}

Backing::~Backing() {
  if (recovery_.joinable()) recovery_.join();
}

Result<Services> Backing::make_services(store::VariableStore store, bool writable) const {
  auto limits = variable::Limits::for_layout(store.layout());
  if (options_.max_variable_size_bytes) {
    limits.max_variable_size = *options_.max_variable_size_bytes;
    limits.max_authenticated_size = *options_.max_variable_size_bytes;
  }
  if (options_.hardware_error_storage_bytes) {
    limits.hardware_error_storage_size = *options_.hardware_error_storage_bytes;
  }
  return Services::create(std::move(store), {.limits = limits,
                                             .phase = variable::Phase::boot_early,
                                             .write_ready = writable,
                                             .policies = policies_});
}

Result<Services> Backing::recover(std::string& remark) {
  auto store = store::VariableStore::open(std::move(device_), {.read_only = options_.read_only});
  if (!store) return forward(std::move(store));
  if (!store->report().not_written_because.empty()) remark = store->report().not_written_because;
  if (store->report().damaged) {
    remark = "the store is damaged and is only read; `efistore check` has the details";
  }
  auto services = make_services(std::move(*store), true);
  if (!services) return services;
  const auto booted = tools::boot_firmware(*services, options_.boot_phase);
  if (!booted && remark.empty()) {
    remark = fmt::format("what firmware sets at boot is out of date: {}: {}",
                         to_string(booted.status()), booted.error().reason);
  }
  return services;
}

Result<int> Backing::start_recovery() {
  recovery_done_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
  if (!recovery_done_) return fail_errno(errno, "eventfd");
  recovery_ = std::thread([this] {
    try {
      recovered_.emplace(recover(remark_));
    } catch (const std::exception& error) {  // out of memory, in effect
      recovered_.emplace(fail(Errc::io, error.what()));
    }
    const std::uint64_t one = 1;
    static_cast<void>(::write(recovery_done_.get(), &one, sizeof(one)));
  });
  return recovery_done_.get();
}

Result<std::string> Backing::finish_recovery() {
  recovery_.join();
  if (!*recovered_) return forward(std::move(*recovered_));
  services_.emplace(std::move(**recovered_));
  recovered_.reset();
  return remark_;
}

variable::EfiResult<void> Backing::keep(const variable::PolicyTable& policies) {
  variable::PolicyFile file;
  file.policies.assign(policies.policies().begin(), policies.policies().end());
  const auto boot = tools::read_boot_id();
  if (policies.locked() && boot) file.locked_in_boot = *boot;
  const auto saved = tools::save_policy_file(policy_file_, file);
  if (saved) return {};
  return variable::refuse(EfiStatus::device_error,
                          fmt::format("the policy counts until the daemon ends, and could not be "
                                      "kept: {}",
                                      saved.error().message));
}

}  // namespace efistore::daemon
