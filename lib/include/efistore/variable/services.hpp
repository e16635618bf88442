// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The variable services with EDK2's rules (UEFI 2.10, 8.2; lib/SPEC.md lists every rule with its
// status and its test).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "efistore/base/attributes.hpp"
#include "efistore/base/guid.hpp"
#include "efistore/store/variable_store.hpp"
#include "efistore/variable/efi_result.hpp"
#include "efistore/variable/limits.hpp"
#include "efistore/variable/policy.hpp"
#include "efistore/variable/var_check.hpp"
#include "efistore/variable/variable_id.hpp"

namespace efistore::variable {

enum class Phase {
  boot_early,  ///< before EndOfDxe: nothing checks what a variable contains
  boot,        ///< after EndOfDxe
  runtime,     ///< after ExitBootServices
};

struct Options {
  /// Without any, those that Limits::for_layout() gives for the store.
  std::optional<Limits> limits = std::nullopt;
  Phase phase = Phase::boot;
  /// At runtime EDK2 never reclaims: a write that lacks space fails although dead records hold it,
  /// until the next boot. Set this to have it so here; by default a reclaim makes room.
  bool strict_runtime = false;
  /// How much dead records must hold for reclaim_when_idle() to compact, in percent of the space
  /// for records.
  unsigned idle_reclaim_percent = 50;
  /// Whether whoever calls is at the machine, as the user of a firmware's setup screen is: may set
  /// CustomMode and SecureBootEnable, delete authenticated variables, leave deployed mode and, in
  /// custom mode, change keys without a signature (EDK2's UserPhysicalPresent()).
  bool physically_present = false;
  /// Whether a platform key that is enrolled in setup mode has to be signed with itself (UEFI 2.10,
  /// 32.3.1). EDK2 asks for it if PcdRequireSelfSignedPk is set.
  bool require_self_signed_pk = false;
  /// Whether the flash can be written from the start. If not, changes of non-volatile variables get
  /// EFI_NOT_AVAILABLE_YET until write_ready() is called.
  bool write_ready = true;
  /// Registered at creation, before anything else, also where EndOfDxe is over already.
  std::vector<Policy> policies{};
  /// Whether enforcing policies can be disabled (PcdAllowVariablePolicyEnforcementDisable).
  bool policy_disable_allowed = false;
};

/// A variable as GetVariable shows it; `data` is valid until the next change.
struct VariableView {
  std::u16string_view name;
  Guid guid;
  std::uint32_t attributes = 0;
  std::span<const std::byte> data;
  EfiTime time;  ///< zero unless time-based authenticated
};

/// QueryVariableInfo's three figures, in bytes.
struct VariableInfo {
  std::uint64_t maximum_storage_size = 0;
  std::uint64_t remaining_storage_size = 0;
  std::uint64_t maximum_variable_size = 0;
};

/// What SetVariable is asked.
struct SetRequest {
  std::u16string_view name;
  Guid guid;
  std::uint32_t attributes = 0;
  std::span<const std::byte> data;
};

/// UEFI 2.10, 32.3: who may change the keys.
enum class SecureBootMode {
  setup,     ///< no platform key: nobody's signature is asked for
  user,      ///< keys change by signature
  audit,     ///< as setup; images are not refused but recorded
  deployed,  ///< as user, and not left but by somebody at the machine
};

/// Which variables have changed, whoever was asked to change what, in the order of the changes; of
/// more than `max_ids`, only that there were more.
struct ChangeLog {
  static constexpr std::size_t max_ids = 256;

  std::vector<VariableId> ids{};
  bool incomplete = false;

  void note(std::u16string_view name, const Guid& guid);
};

class Services {
 public:
  struct State;

  /// Takes the store over. Errors: invalid_argument (limits that the store cannot hold, policies
  /// that are malformed, twice there or too many).
  static Result<Services> create(store::VariableStore store, const Options& options = {});

  Services(Services&&) noexcept;
  Services& operator=(Services&&) noexcept;
  ~Services();

  /// GetVariable. Errors: not_found (absent, or boot-only at runtime, or an empty name).
  EfiResult<VariableView> get(std::u16string_view name, const Guid& guid) const;

  /// GetNextVariableName. An empty name asks for the first variable. Volatile variables come first,
  /// then non-volatile ones in flash order; at runtime boot-only ones are left out.
  /// Errors: not_found (the end), invalid_parameter (there is no variable of that name).
  EfiResult<VariableView> get_next(std::u16string_view name, const Guid& guid) const;

  /// SetVariable.
  /// Errors: invalid_parameter, unsupported, security_violation, write_protected, not_found,
  /// out_of_resources, access_denied, device_error, volume_corrupted (the store is damaged and
  /// read-only), not_available_yet (before write_ready()).
  /// `request` may point into the store's own memory, that is into a VariableView.
  /// Power loss: the variable is old or new; after success it is new.
  EfiResult<void> set(const SetRequest& request);

  /// Several SetVariables, each checked with those in front of it made: all of them, or none.
  /// Errors: those of set(), with the number and the name of the change in front; unsupported if
  /// more than one record has to change and the store has no spare area. Power loss: all old or all
  /// new.
  EfiResult<void> set_all(std::span<const SetRequest> requests);

  /// QueryVariableInfo.
  /// Errors: invalid_parameter, unsupported.
  EfiResult<VariableInfo> query(std::uint32_t attributes) const;

  /// What set() checks from EndOfDxe on, behind all that the specification says, and the interface
  /// to it, which EndOfDxe locks.
  const PolicyTable& policies() const noexcept;
  PolicyTable& policies() noexcept;
  /// EDK2's variable-lock protocol: a policy that locks the variable from EndOfDxe on.
  /// Errors: access_denied (EndOfDxe is over), invalid_parameter (the name is empty),
  /// already_started (there is another policy for it), write_protected, out_of_resources.
  EfiResult<void> lock_variable(std::u16string_view name, const Guid& guid);
  /// EDK2's VarCheck protocol: sets what set() demands of a variable from EndOfDxe on, in the place
  /// of what it demanded before; content is checked all the same.
  /// Errors: access_denied (EndOfDxe is over), invalid_parameter (empty name, unknown revision),
  /// out_of_resources.
  EfiResult<void> register_property(std::u16string_view name, const Guid& guid,
                                    const VarCheckProperty& property);
  /// Errors: not_found, invalid_parameter (empty name).
  EfiResult<VarCheckProperty> get_property(std::u16string_view name, const Guid& guid) const;

  /// The flash can be written now (the variable-write architectural protocol).
  void write_ready() noexcept;
  /// Makes SetupMode, SecureBoot, AuditMode, DeployedMode, VendorKeys and SignatureSupport, as
  /// firmware does when it starts; custom mode ends, and certdb loses nodes whose variable is gone.
  /// Nothing for a store in the normal format. Errors: as set(); it can be repeated.
  EfiResult<void> start_secure_boot();
  SecureBootMode secure_boot_mode() const noexcept;
  /// The platform's driver phase has ended: from here on content is checked, and VarErrorFlag
  /// exists. Errors: as set(), if VarErrorFlag or the memory-overwrite lock cannot be written, in
  /// which case it can be repeated; at runtime unsupported.
  EfiResult<void> end_of_dxe();
  /// Makes room for the operating system, if there is less than the largest variable needs. Does
  /// the work of end_of_dxe() first where that was left out; at runtime unsupported.
  EfiResult<void> ready_to_boot();
  /// Runtime begins: boot-only variables vanish from view, volatile ones become read-only.
  void exit_boot_services();
  Phase phase() const noexcept;

  /// Compacts the non-volatile store now. Errors: as set().
  EfiResult<void> reclaim();
  /// Compacts it if dead records hold `Options::idle_reclaim_percent` of the space or more, and
  /// says whether it did: for a caller who has nothing else to do, so that no write has to wait for
  /// it. At strict runtime, and for a store that is not written, there is nothing to do. Errors: as
  /// reclaim().
  EfiResult<bool> reclaim_when_idle();

  /// What changed since this was last called, and not what a failure took back.
  ChangeLog take_changes();

  const store::VariableStore& store() const noexcept;
  const Limits& limits() const noexcept;

 private:
  explicit Services(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace efistore::variable
