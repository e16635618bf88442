// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "variable_access.hpp"

#include <algorithm>
#include <string>

#include "efistore/base/attributes.hpp"

namespace efistore::shim {

namespace {

using variable::EfiResult;
using variable::VariableView;

/// More variables than the largest store has room for. GetNextVariableName ends by itself; a
/// service that went round in circles would end here.
constexpr std::size_t max_variables = std::size_t{1} << 21;

constexpr std::size_t max_own_changes = 64;

Space space_of(const variable::VariableInfo& info) noexcept {
  return {.total = info.maximum_storage_size, .free = info.remaining_storage_size};
}

class LocalAccess final : public VariableAccess {
 public:
  LocalAccess(variable::Services services, std::optional<BudgetPolicy> policy)
      : services_(std::move(services)), policy_(std::move(policy)) {}

  EfiResult<VariableView> get(std::u16string_view name, const Guid& guid) override {
    return services_.get(name, guid);
  }

  bool for_each(const std::function<void(const ListedVariable&)>& visit) override {
    auto variable = services_.get_next({}, {});
    for (std::size_t i = 0; variable && i < max_variables; ++i) {
      visit({.name = variable->name, .guid = variable->guid, .data_size = variable->data.size()});
      variable = services_.get_next(variable->name, variable->guid);
    }
    return true;
  }

  std::chrono::milliseconds write_wait(const Guid& vendor) override {
    return policy_ ? policy_->budget.wait(vendor, policy_->clock()) : std::chrono::milliseconds(0);
  }

  EfiResult<void> set(const variable::SetRequest& request) override {
    if (!policy_) return services_.set(request);
    return variable::set_and_charge(services_, request, policy_->budget, policy_->clock());
  }

  EfiResult<bool> reclaim_when_idle() override { return services_.reclaim_when_idle(); }

  EfiResult<Space> space() override {
    const auto info = services_.query(attributes::default_new);
    if (!info) return tl::unexpected(info.error());
    return space_of(*info);
  }

  runtime::ChangeWatch* watch() override { return nullptr; }
  bool may_have_missed_changes() const noexcept override { return false; }
  ForeignChanges take_foreign_changes() override { return {}; }

 private:
  variable::Services services_;
  std::optional<BudgetPolicy> policy_;
};

/// Nobody who answers is a device that fails, and who may not do something gets what the kernel
/// says of files: the statuses of a local store have other meanings.
template <typename T>
EfiResult<T> as_of_a_device(EfiResult<T> result) {
  if (result) return result;
  const EfiStatus status = result.status();
  if (status == EfiStatus::not_ready || status == EfiStatus::timeout ||
      status == EfiStatus::not_available_yet) {
    result.error().status = EfiStatus::device_error;
  }
  if (status == EfiStatus::access_denied) result.error().status = EfiStatus::security_violation;
  return result;
}

class RemoteAccess final : public VariableAccess {
 public:
  explicit RemoteAccess(runtime::Client client) : client_(std::move(client)) {
    client_.leave_reasons_out();  // statuses become error numbers, and nobody sees more
  }

  EfiResult<VariableView> get(std::u16string_view name, const Guid& guid) override {
    auto found = as_of_a_device(client_.read(name, guid));
    if (!found) return tl::unexpected(std::move(found).error());
    read_ = std::move(*found);
    return VariableView{.name = name,
                        .guid = guid,
                        .attributes = read_.attributes,
                        .data = read_.data,
                        .time = read_.time};
  }

  bool for_each(const std::function<void(const ListedVariable&)>& visit) override {
    const auto all = client_.list();
    if (!all) return false;
    for (const runtime::ListEntry& entry : *all) {
      visit({.name = entry.id.name, .guid = entry.id.guid, .data_size = entry.data_size});
    }
    return true;
  }

  /// Budgets are the daemon's affair, and so is when to compact.
  std::chrono::milliseconds write_wait(const Guid&) override { return {}; }
  EfiResult<bool> reclaim_when_idle() override { return false; }

  EfiResult<void> set(const variable::SetRequest& request) override {
    auto done = as_of_a_device(client_.set_variable(request));
    // The daemon will tell of it as of any other change.
    if (done && own_changes_.size() < max_own_changes) {
      own_changes_.push_back({std::u16string(request.name), request.guid});
    }
    return done;
  }

  EfiResult<Space> space() override {
    const auto info = as_of_a_device(client_.query_variable_info(attributes::default_new));
    if (!info) return tl::unexpected(info.error());
    return space_of(*info);
  }

  bool may_have_missed_changes() const noexcept override { return missed_; }

  runtime::ChangeWatch* watch() override {
    if (watch_) return watch_.get();
    auto watch = client_.transport().watch();
    if (!watch) return nullptr;
    watch_ = std::move(*watch);
    // What happened until now is not told of.
    missed_ = true;
    return watch_.get();
  }

  ForeignChanges take_foreign_changes() override {
    if (watch_ && !watch_->acknowledge()) watch_.reset();
    auto changes = client_.changes(latest_);
    if (!changes) return {};
    latest_ = changes->latest;
    const bool any = std::exchange(missed_, false) || changes->lost || !changes->ids.empty();
    std::erase_if(changes->ids, [this](const variable::VariableId& id) {
      const auto own = std::ranges::find(own_changes_, id);
      if (own == own_changes_.end()) return false;
      own_changes_.erase(own);
      return true;
    });
    // All that was made here until now has been told of.
    own_changes_.clear();
    return {.ids = std::move(changes->ids), .any = any};
  }

 private:
  runtime::Client client_;
  runtime::Variable read_;  ///< what the last view shows
  std::unique_ptr<runtime::ChangeWatch> watch_;
  std::uint64_t latest_ = 0;
  std::vector<variable::VariableId> own_changes_;  ///< that were not told of yet
  bool missed_ = false;
};

}  // namespace

std::unique_ptr<VariableAccess> make_local_access(variable::Services services,
                                                  std::optional<BudgetPolicy> policy) {
  return std::make_unique<LocalAccess>(std::move(services), std::move(policy));
}

std::unique_ptr<VariableAccess> make_remote_access(runtime::Client client) {
  return std::make_unique<RemoteAccess>(std::move(client));
}

}  // namespace efistore::shim
