// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// EDK2's variable policy: who may change which variables when, in which sizes and with which
// attributes (MdeModulePkg's VariablePolicyLib). lib/SPEC.md has the entry's bytes and every rule.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"
#include "efistore/variable/efi_result.hpp"

namespace efistore::variable {

/// LockPolicyType: when a variable can be neither changed nor deleted.
enum class PolicyLock : std::uint8_t {
  none = 0,
  now = 1,
  on_create = 2,     ///< while it exists
  on_var_state = 3,  ///< while another variable has a value
};

/// Of a lock on_var_state: the variable, of one byte, and the value with which it locks.
struct PolicyState {
  std::u16string name;
  Guid guid;
  std::uint8_t value = 0;
  std::uint8_t padding = 0;  ///< as it came, so that a dump has the same bytes

  friend bool operator==(const PolicyState&, const PolicyState&) = default;
};

/// A VARIABLE_POLICY_ENTRY.
struct Policy {
  static constexpr std::uint32_t no_max_size = 0xffffffff;

  /// Each '#' stands for one hexadecimal digit. None: every variable of the namespace that has no
  /// policy of its own.
  std::optional<std::u16string> name{};
  Guid guid;
  std::uint32_t min_size_bytes = 0;
  std::uint32_t max_size_bytes = no_max_size;
  std::uint32_t attributes_must_have = 0;
  std::uint32_t attributes_cant_have = 0;
  PolicyLock lock = PolicyLock::none;
  std::optional<PolicyState> state{};   ///< with PolicyLock::on_var_state, and with it only
  std::array<std::byte, 3> reserved{};  ///< as they came

  friend bool operator==(const Policy&, const Policy&) = default;
};

/// "Boot####-8be4df61-…", with "*" in the name's place for a whole namespace.
std::string to_string(const Policy& policy);

/// Takes one entry, of which its Size tells the end.
/// Errors: invalid_argument; the message names field, offset and what was expected.
Result<Policy> read_policy(ByteReader& reader);

/// Takes entries back to back, as a dump has them.
/// Errors: invalid_argument, also for more than max_policies.
Result<std::vector<Policy>> read_policies(std::span<const std::byte> bytes);

/// The inverse of read_policy().
/// Errors: invalid_argument (a NUL in a name, more than 255 '#', a maximum size of 0, a lock and a
/// state that do not go together, an entry of more than 65535 bytes).
Result<std::vector<std::byte>> encode_policy(const Policy& policy);

/// What a table may hold. EDK2 has no limit but memory.
inline constexpr std::size_t max_policies = 1024;
inline constexpr std::size_t max_policy_table_size_bytes = 256U << 10;

/// What SetVariable is asked, as far as policies are concerned; the size is that of the payload
/// without authentication data.
struct PolicyRequest {
  std::u16string_view name;
  Guid guid;
  std::uint32_t attributes = 0;
  std::size_t data_size = 0;
};

/// GetVariable, as the caller of SetVariable would get it: the data, or none.
using PolicyLookup =
    std::function<std::optional<std::span<const std::byte>>(std::u16string_view, const Guid&)>;

/// The policies and the interface that manages them: what stands behind the commands 1 to 7 of
/// EDK2's variable-policy MMI.
class PolicyTable {
 public:
  /// `disable_allowed`: PcdAllowVariablePolicyEnforcementDisable.
  explicit PolicyTable(bool disable_allowed = false) noexcept : disable_allowed_(disable_allowed) {}

  /// Command 1: nothing is enforced any more until the next boot.
  /// Errors: already_started, write_protected (locked, or not allowed).
  EfiResult<void> disable();
  /// Command 2.
  bool enabled() const noexcept { return enabled_; }
  /// Command 3. Bytes behind the entry's Size are not looked at.
  /// Errors: write_protected (locked), invalid_parameter (malformed), already_started (there is a
  /// policy of that GUID and name), out_of_resources.
  EfiResult<void> register_entry(std::span<const std::byte> entry);
  EfiResult<void> register_policy(Policy policy);
  /// Command 4: all entries, back to back, in the order of their registration.
  std::vector<std::byte> dump() const;
  /// Command 5: nothing is registered or disabled any more until the next boot. What is registered
  /// stays enforced. Errors: write_protected (locked already).
  EfiResult<void> lock();
  bool locked() const noexcept { return locked_; }
  /// Command 6: the policy that applies to a variable; never a null pointer, and valid until the
  /// next registration. Errors: not_found.
  EfiResult<const Policy*> info(std::u16string_view name, const Guid& guid) const;
  /// Command 7: the state that locks it. Errors: not_found (also where another lock applies).
  EfiResult<const PolicyState*> lock_state_info(std::u16string_view name, const Guid& guid) const;

  /// Errors: invalid_parameter (size or attributes; a deletion has neither), write_protected.
  EfiResult<void> check(const PolicyRequest& request, const PolicyLookup& lookup) const;

  std::span<const Policy> policies() const noexcept { return policies_; }

 private:
  const Policy* find_best(std::u16string_view name, const Guid& guid) const noexcept;

  std::vector<Policy> policies_;
  std::size_t size_bytes_ = 0;
  bool disable_allowed_;
  bool enabled_ = true;
  bool locked_ = false;
};

}  // namespace efistore::variable
