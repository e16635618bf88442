// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// VarErrorFlag tells the next boot that a variable was refused for lack of space. Its one byte is
// updated in place, by clearing bits: there may be no room for another record.
#include "efistore/base/attributes.hpp"

#include "state.hpp"

namespace efistore::variable {

using namespace literals;

namespace {

constexpr std::u16string_view flag_name = u"VarErrorFlag";
constexpr Guid flag_guid = "04b37fe8-f6ae-480b-bdd5-37d98c5e89aa"_guid;

}  // namespace

void record_error(Services::State& state, std::byte flag) {
  state.error_flag &= flag;
  const store::Record* const record = state.nv.find(flag_name, flag_guid);
  if (state.phase == Phase::boot_early || record == nullptr || record->data.size() != 1) return;
  // A failure to note a failure has nobody to be told to; the value in memory stays.
  if (state.nv.clear_data_bits(*record, 0, flag)) state.changes.note(flag_name, flag_guid);
}

EfiResult<void> initialize_error_flag(Services::State& state) {
  const store::Record* const record = state.nv.find(flag_name, flag_guid);
  if (record != nullptr && record->data.size() == 1 && record->data[0] == state.error_flag) {
    return {};
  }
  return update_variable(state, {.name = flag_name,
                                 .guid = flag_guid,
                                 .attributes = attributes::default_new,
                                 .data = std::span(&state.error_flag, 1)});
}

}  // namespace efistore::variable
