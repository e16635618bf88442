// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What the importers, and what the exporters to foreign formats, have in common.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "efistore/base/attributes.hpp"
#include "efistore/base/result.hpp"
#include "efistore/exchange/exchange.hpp"

#include "losses.hpp"

namespace efistore::exchange {

/// The attributes that a store keeps: APPEND_WRITE is a request, no property, and EDK2 has no
/// enhanced authentication.
inline constexpr std::uint32_t stored_attributes =
    attributes::supported & ~attributes::append_write;

/// Gathers the variables of one import.
class Collector {
 public:
  /// Takes `variable`, read at `place`, as it is.
  /// Errors: invalid_argument (name_problem(), a second variable of that name, max_variables).
  Status add(std::string_view place, store::Variable variable);

  /// The same for a foreign format, where volatile variables are left out, and attributes outside
  /// stored_attributes and times without their attribute become losses.
  Status add_foreign(std::string_view place, store::Variable variable);

  Losses& losses() noexcept { return losses_; }
  /// What was gathered; the collector is empty afterwards.
  Imported take();

 private:
  std::vector<store::Variable> variables_;
  std::set<std::pair<std::u16string, Guid>> seen_;
  Losses losses_;
};

/// Refuses input above max_input_size_bytes.
Status check_input_size(std::span<const std::byte> bytes);

/// False, with the reason in `left_out`, for a variable that no foreign format carries.
bool fits_foreign(const store::Variable& variable, Sentences& left_out);

/// Lists what of a variable no foreign format carries.
void list_lost_fields(const store::Variable& variable, Sentences& lost);

/// The attribute without which a time has no meaning.
constexpr bool has_time_attribute(const store::Variable& variable) noexcept {
  return (variable.attributes & attributes::time_based_authenticated_write_access) != 0;
}

}  // namespace efistore::exchange
