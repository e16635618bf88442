// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// EDK2's VarCheckLib: the properties that were registered for variables, and what SetVariable asks
// of the properties, of the specification's own variables and of the policies, in this order.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string_view>

#include "efistore/variable/efi_result.hpp"
#include "efistore/variable/services.hpp"
#include "efistore/variable/var_check.hpp"
#include "efistore/variable/variable_id.hpp"

namespace efistore::variable {

/// What a table may hold. EDK2 has no limit but memory.
inline constexpr std::size_t max_properties = 1024;
inline constexpr std::size_t max_property_names_size_bytes = 64U << 10;

/// The properties that were registered; they go before those that are built in.
class PropertyTable {
 public:
  /// Sets the property of a variable, in the place of one that it has. "Boot####" and the other
  /// names of the specification that end so stand for all of their variables, as in EDK2; in any
  /// other name a '#' is one.
  /// Errors: invalid_parameter (empty name, unknown revision), out_of_resources.
  EfiResult<void> set(std::u16string_view name, const Guid& guid, const VarCheckProperty& property);
  /// The property of a variable, or nullptr.
  const VarCheckProperty* find(std::u16string_view name, const Guid& guid) const;

 private:
  std::map<VariableId, VarCheckProperty> properties_;
  std::size_t names_size_bytes_ = 0;
};

/// The property of a variable, registered or built in.
std::optional<VarCheckProperty> property_of(const Services::State& state, std::u16string_view name,
                                            const Guid& guid);

/// Whether a quota of user variables counts it: those without a property.
bool is_user_name(const Services::State& state, std::u16string_view name, const Guid& guid);

/// VarCheckLibSetVariableCheck: nothing before EndOfDxe; then properties, the specification's
/// contents and names, policies.
/// Errors: write_protected, invalid_parameter.
EfiResult<void> check_variable(const Services::State& state, const SetRequest& request);

/// Registers what `options` say, and locks the interface if EndOfDxe is over.
/// Errors: invalid_argument (a policy that the table does not take).
Status start_policies(Services::State& state, const Options& options);

}  // namespace efistore::variable
