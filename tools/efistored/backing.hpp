// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The store behind the daemon, in two steps: what the flash holds can be read at once, also while a
// write that was cut is being finished, which erases blocks and takes its time; written once that
// is done.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "efistore/base/unique_fd.hpp"
#include "efistore/capsule/report.hpp"
#include "efistore/flash/device.hpp"
#include "efistore/mm/dispatcher.hpp"
#include "efistore/update/resource.hpp"
#include "efistore/variable/services.hpp"

#include "common/outcome.hpp"

namespace efistore::daemon {

struct BackingOptions {
  std::string store{};
  bool read_only = false;
  /// Stays before ExitBootServices until somebody with the right to signal events says otherwise.
  bool boot_phase = false;
  std::optional<std::uint32_t> max_variable_size_bytes{};
  std::optional<std::uint32_t> hardware_error_storage_bytes{};
  /// Registered before EndOfDxe besides those beside the store, as firmware's drivers do.
  std::vector<variable::Policy> policies{};
  /// Whose versions and last attempts are told by esrt().
  std::vector<update::Resource> resources{};
};

/// A file with EDK2's entries, back to back, at least one. Fails with the file's name.
tools::Outcome<std::vector<variable::Policy>> read_policy_entries(const std::string& file);

class Backing final : public mm::PolicyKeeper {
 public:
  /// Opens the flash and reads it. Errors: those of flash::open_device(), VariableStore::open() and
  /// Services::create(); what the policies beside the store, or in a file, are broken by.
  static Result<std::unique_ptr<Backing>> open(const BackingOptions& options);
  ~Backing() override;

  /// What answers now.
  variable::Services& services() noexcept { return *services_; }
  /// The resources, as the store knew them before ExitBootServices; their variables cannot be seen
  /// afterwards. Errors: those of update::Updater::esrt().
  const Result<std::vector<capsule::EsrtEntry>>& esrt() const noexcept { return esrt_; }
  /// Where files beside the store are kept.
  std::filesystem::path folder() const { return policy_file_.parent_path(); }

  /// Starts what makes the flash writable, in a thread; `done` can be read when it is over.
  /// Errors: io.
  Result<int> start_recovery();
  /// Takes its outcome. services() are others from then on. Gives what is to be told of it; empty
  /// if all is well. Errors: the store cannot be had at all any more.
  Result<std::string> finish_recovery();

  variable::EfiResult<void> keep(const variable::PolicyTable& policies) override;

 private:
  explicit Backing(BackingOptions options) : options_(std::move(options)) {}

  Result<variable::Services> make_services(store::VariableStore store, bool writable) const;
  Result<variable::Services> recover(std::string& remark);

  BackingOptions options_;
  std::filesystem::path policy_file_;
  std::vector<variable::Policy> policies_;
  Result<std::vector<capsule::EsrtEntry>> esrt_;
  std::unique_ptr<flash::Device> device_;  ///< until the recovery takes it
  std::optional<variable::Services> services_;
  std::optional<Result<variable::Services>> recovered_;
  std::string remark_;
  UniqueFd recovery_done_;
  std::thread recovery_;
};

}  // namespace efistore::daemon
