// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What the services keep between calls, and the pieces that set() is made of.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "efistore/base/attributes.hpp"
#include "efistore/store/record_area.hpp"
#include "efistore/store/variable_store.hpp"
#include "efistore/variable/services.hpp"

#include "var_check.hpp"

namespace efistore::variable {

/// The live record of a name, and which of the two stores has it.
struct Existing {
  const store::Record* record = nullptr;
  bool is_volatile = false;

  explicit operator bool() const noexcept { return record != nullptr; }
};

/// EDK2's TcgMorLockSmm: whether, and with which key, memory-overwrite requests are locked.
struct MemoryOverwriteLock {
  using Key = std::array<std::byte, 8>;
  bool locked = false;
  std::optional<Key> key;  ///< none: locked until reset
};

/// What this boot knows of secure boot besides what is in the store.
struct SecureBootFlags {
  /// CustomMode could not be taken back when this boot started.
  bool custom_mode_of_earlier_boot = false;
  /// The volatile variables that show all this exist.
  bool shown = false;
};

/// The state but for the two stores: what a transaction copies, and takes back where it succeeds.
struct Conditions {
  Limits limits;
  Phase phase;
  bool strict_runtime;
  unsigned idle_reclaim_percent;
  bool write_ready;
  bool physically_present;
  bool require_self_signed_pk;
  bool ready_to_boot_done = false;
  /// Bytes of records, the dead included, of variables that no property describes.
  std::uint32_t user_used = 0;
  /// VarErrorFlag's value as long as no variable holds it.
  std::byte error_flag{0xff};
  MemoryOverwriteLock memory_overwrite{};
  SecureBootFlags secure_boot{};
  PolicyTable policies;
  PropertyTable properties{};
  std::string platform_lang_codes{};
  std::string lang_codes{};
  ChangeLog changes{};
};

struct Services::State : Conditions {
  State(store::VariableStore opened, const Limits& size_limits, const Options& options);
  State(const Conditions& conditions, store::VariableStore non_volatile,
        store::RecordArea volatile_records);

  Existing find(std::u16string_view name, const Guid& guid) const noexcept;
  bool at_runtime() const noexcept { return phase == Phase::runtime; }
  /// Boot-only variables vanish from view when runtime begins.
  bool shows(const store::Record& record) const noexcept {
    return !at_runtime() || (record.attributes & attributes::runtime_access) != 0;
  }
  bool auth_supported() const noexcept { return nv.format() == store::RecordFormat::authenticated; }
  std::uint32_t header_size() const noexcept { return store::record_header_size(nv.format()); }

  /// Space for records without, and with, the hardware-error attribute; EDK2's names in limits.hpp.
  std::uint32_t common_space() const noexcept;
  std::uint32_t runtime_space() const noexcept;
  std::uint32_t user_space() const noexcept;
  /// Without a quota of their own, user variables are like all others.
  bool has_user_quota() const noexcept { return user_space() < common_space(); }
  /// Bytes in use by other than hardware-error records, the dead included.
  std::uint32_t common_used() const noexcept;
  /// Counts again what user variables take.
  void recount_user();
  /// At EndOfDxe, whether it was locked before or not.
  void lock_policies() { static_cast<void>(policies.lock()); }

  store::VariableStore nv;
  store::RecordArea volatile_area;
};

/// SetVariable's checks of the request alone, in EDK2's order.
EfiResult<void> check_request(const Services::State& state, const SetRequest& request);

/// What is left of the request's data when an AUTH_2 descriptor is taken off. check_request() has
/// found the descriptor's sizes in order.
std::span<const std::byte> payload_of(const SetRequest& request) noexcept;

/// True if SetVariable with these would delete.
bool is_deletion(std::uint32_t attributes, std::size_t data_size) noexcept;

/// The memory-overwrite variables (TCG PC Client Platform Reset Attack Mitigation 1.10). True if
/// the request was carried out here and nothing is left to do.
EfiResult<bool> check_memory_overwrite(Services::State& state, const SetRequest& request);
/// A lock lasts until reset: makes a lock variable that an earlier boot left behind say so.
EfiResult<void> initialize_memory_overwrite_lock(Services::State& state);

/// Lang, PlatformLang and the lists of codes for them.
bool is_language_variable(std::u16string_view name, const Guid& guid) noexcept;

/// Setting PlatformLang sets Lang too, and the reverse, once both lists of codes are known.
/// `request` is for a language variable and does not point into the store: a reclaim can move
/// everything there.
EfiResult<void> update_languages(Services::State& state, const SetRequest& request);

/// EDK2's UpdateVariable: creates, replaces, appends to or deletes a variable whose request has
/// passed all checks. With a time stamp, `request.data` is what is behind the descriptor, and what
/// is stored is the time given, or of an append the later one.
EfiResult<void> update_variable(Services::State& state, const SetRequest& request,
                                const std::optional<EfiTime>& time = std::nullopt);

/// Deletes a variable that is there, whoever asks.
EfiResult<void> remove_variable(Services::State& state, const Existing& existing);

/// Puts a volatile variable, whoever asks.
EfiResult<void> write_volatile(Services::State& state, const store::RecordContent& content);

/// SetVariable, from the first check to the flash.
EfiResult<void> set_variable(Services::State& state, const SetRequest& request);

/// Makes the changes that `make` makes all or none, in flash too. `make` works on a copy of the
/// state, whose stores reach no flash; a failure of it, or of the flash, leaves `state` as it was.
EfiResult<void> transact(Services::State& state,
                         const std::function<EfiResult<void>(Services::State&)>& make);

/// EDK2's AuthVariableLibProcessVariable: sees who asks, and makes the change. `stored_attributes`
/// are those of the variable as it is, 0 if it is not there.
EfiResult<void> process_variable(Services::State& state, const SetRequest& request,
                                 std::uint32_t stored_attributes);

/// Notes in VarErrorFlag that a write failed for lack of space. VAR_ERROR_FLAG_SYSTEM_ERROR clears
/// bit 4, VAR_ERROR_FLAG_USER_ERROR bit 0.
inline constexpr std::byte system_error_flag{0xef};
inline constexpr std::byte user_error_flag{0xfe};
void record_error(Services::State& state, std::byte flag);
/// Makes VarErrorFlag show what happened so far.
EfiResult<void> initialize_error_flag(Services::State& state);

/// The status that stands for a store's error.
EfiStatus status_of(const Error& error) noexcept;
EfiResult<void> to_efi(Status status);

}  // namespace efistore::variable
