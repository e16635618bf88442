// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// SetVariable, in EDK2's order.
#include <fmt/format.h>

#include "efistore/base/attributes.hpp"

#include "state.hpp"
#include "var_check.hpp"

namespace efistore::variable {

EfiResult<void> set_variable(Services::State& state, const SetRequest& request) {
  if (auto valid = check_request(state, request); !valid) return valid;
  auto carried_out = check_memory_overwrite(state, request);
  if (!carried_out) return tl::unexpected(std::move(carried_out).error());
  if (*carried_out) return {};
  if (auto allowed = check_variable(state, request); !allowed) return allowed;
  std::uint32_t stored = 0;
  if (const Existing existing = state.find(request.name, request.guid)) {
    stored = existing.record->attributes;
    if (!state.shows(*existing.record)) {
      return refuse(EfiStatus::write_protected,
                    "a boot-only variable cannot be changed at runtime");
    }
    if (request.attributes != 0 && (request.attributes & ~attributes::append_write) != stored) {
      return refuse(
          EfiStatus::invalid_parameter,
          fmt::format("the variable has the attributes {}, the request {}",
                      attributes_to_string(stored), attributes_to_string(request.attributes)));
    }
  }
  if (!is_language_variable(request.name, request.guid)) {
    return process_variable(state, request, stored);
  }
  // The request may point into the store, where the other language's update can move everything.
  const std::u16string name(request.name);
  const std::vector<std::byte> data(request.data.begin(), request.data.end());
  const SetRequest copied{
      .name = name, .guid = request.guid, .attributes = request.attributes, .data = data};
  if (auto done = update_languages(state, copied); !done) return done;
  return process_variable(state, copied, stored);
}

}  // namespace efistore::variable
