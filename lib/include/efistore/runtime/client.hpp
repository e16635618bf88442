// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The UEFI runtime services for variables (UEFI 2.10, 8.2) and the events around them, as a client
// of the MM side: EDK2's VariableSmmRuntimeDxe. The same over every transport.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/base/efi_time.hpp"
#include "efistore/base/guid.hpp"
#include "efistore/mm/caller.hpp"
#include "efistore/mm/frame.hpp"
#include "efistore/mm/protocol.hpp"
#include "efistore/runtime/transport.hpp"
#include "efistore/variable/efi_result.hpp"
#include "efistore/variable/services.hpp"
#include "efistore/variable/variable_id.hpp"

namespace efistore::runtime {

using variable::EfiResult;

/// A variable as it was when it was read.
struct Variable {
  std::uint32_t attributes = 0;
  std::vector<std::byte> data{};
  EfiTime time{};  ///< zero unless time-based authenticated
};

/// One of list().
struct ListEntry {
  variable::VariableId id;
  std::uint32_t attributes = 0;
  std::uint64_t data_size = 0;
};

/// What GetVariable gives besides the data. With buffer_too_small it is all there is.
struct VariableSize {
  EfiStatus status = EfiStatus::success;
  std::uint32_t attributes = 0;
  std::size_t data_size = 0;  ///< of the variable, which may be more than the buffer had
};

struct MmState {
  std::uint32_t ready = 0;  ///< mm::Ready
  variable::Phase phase = variable::Phase::boot;
  mm::Rights rights = mm::Rights::none;
  std::uint64_t changes = 0;         ///< the number of the latest
  std::uint64_t max_frame_size = 0;  ///< bytes
  variable::SecureBootMode secure_boot_mode = variable::SecureBootMode::setup;
  bool authenticated = true;
  bool writable = true;  ///< ready for it, and the store neither read-only nor damaged
  bool policies_locked = false;
};

struct Changes {
  std::vector<variable::VariableId> ids{};
  std::uint64_t latest = 0;  ///< to be asked from next
  bool lost = false;         ///< there were others, which nobody remembers
};

/// One of VARIABLE_INFO_ENTRY.
struct AccessCounts {
  variable::VariableId id;
  std::uint32_t attributes = 0;
  std::uint32_t reads = 0;
  std::uint32_t writes = 0;
  std::uint32_t deletions = 0;
};

struct CacheInfo {
  std::uint64_t hob_size = 0;
  std::uint64_t non_volatile_size = 0;
  std::uint64_t volatile_size = 0;
  bool authenticated = false;
};

/// Space for non-volatile records, in bytes.
struct StoreInfo {
  std::uint64_t volume_size = 0;
  std::uint32_t block_size = 0;
  std::uint32_t capacity = 0;
  std::uint32_t used = 0;
  std::uint32_t live = 0;
  std::uint32_t live_records = 0;
  std::uint32_t dead_records = 0;
  std::uint32_t max_variable_size = 0;
  std::uint32_t max_authenticated_size = 0;
  bool damaged = false;
  bool read_only = false;
};

/// Every call can also fail with not_ready (nobody answers, or the MM side went before it did: a
/// change may have been made), timeout, access_denied (the caller may not do this) and device_error
/// (the reply is malformed). A reason comes with every refusal but EFI_NOT_FOUND, which says it
/// all.
class Client {
 public:
  /// Learns how large payloads may be. Errors: those of Transport::communicate().
  static Result<Client> create(std::unique_ptr<Transport> transport,
                               mm::HeaderVersion version = mm::HeaderVersion::v1);

  /// GetVariable. Errors: not_found, also for an empty name.
  EfiResult<VariableSize> get_variable(std::u16string_view name, const Guid& guid,
                                       std::span<std::byte> data);
  /// GetNextVariableName: the variable after `id`, whose name is empty for the first.
  /// Errors: not_found (the end), invalid_parameter (there is no such variable).
  EfiResult<variable::VariableId> get_next_variable_name(const variable::VariableId& id);
  /// SetVariable. Errors: those of Services::set(); invalid_parameter also for what does not fit
  /// the buffer.
  EfiResult<void> set_variable(const variable::SetRequest& request);
  /// QueryVariableInfo. Errors: invalid_parameter (also for attributes of 0), unsupported.
  EfiResult<variable::VariableInfo> query_variable_info(std::uint32_t attributes);

  /// The events. Errors: those of Services.
  EfiResult<void> ready_to_boot();
  EfiResult<void> exit_boot_services();

  EfiResult<void> lock_variable(std::u16string_view name, const Guid& guid);
  EfiResult<void> register_property(std::u16string_view name, const Guid& guid,
                                    const variable::VarCheckProperty& property);
  EfiResult<variable::VarCheckProperty> get_property(std::u16string_view name, const Guid& guid);
  /// How often the variable after `id` was accessed; a zero GUID asks for the first.
  /// Errors: not_found (the end).
  EfiResult<AccessCounts> get_statistics(const variable::VariableId& id);
  EfiResult<std::uint64_t> get_payload_size();
  EfiResult<CacheInfo> get_runtime_cache_info();

  /// EDK2's variable-policy protocol. Errors: those of variable::PolicyTable.
  EfiResult<void> disable_policies();
  EfiResult<bool> policies_enabled();
  EfiResult<void> register_policy(const variable::Policy& policy);
  EfiResult<std::vector<std::byte>> dump_policies();
  EfiResult<void> lock_policies();
  /// The entry that applies, as its bytes without the name, and the name.
  struct PolicyInfo {
    std::vector<std::byte> entry{};
    std::u16string name{};
  };
  EfiResult<PolicyInfo> policy_info(mm::PolicyCommand command, std::u16string_view name,
                                    const Guid& guid);

  EfiResult<MmState> state();
  EfiResult<StoreInfo> store_info();
  /// Every variable that can be seen, in the order of GetNextVariableName.
  EfiResult<std::vector<ListEntry>> list();
  /// A variable of any size, as it was at one time. Errors: not_found.
  EfiResult<Variable> read(std::u16string_view name, const Guid& guid);
  /// Services::set_all(); together they have to fit into one frame.
  EfiResult<void> set_all(std::span<const variable::SetRequest> requests);
  EfiResult<void> reclaim();
  /// The changes behind number `since`, which is that of state() or of earlier changes.
  EfiResult<Changes> changes(std::uint64_t since);
  /// Hands a capsule over. Errors: those of mm::CapsuleReceiver.
  EfiResult<void> submit_capsule(std::span<const std::byte> capsule);

  /// A refusal's reason takes a second request. Who only looks at statuses does without; one is
  /// asked for all the same where the status is EFI_DEVICE_ERROR, which is worth a line to anybody.
  void leave_reasons_out() noexcept { asks_for_reasons_ = false; }

  Transport& transport() noexcept { return *transport_; }

 private:
  Client(std::unique_ptr<Transport> transport, mm::HeaderVersion version)
      : transport_(std::move(transport)), version_(version) {}

  /// A reply: its ReturnStatus and what follows the function header, in the transport's buffer.
  struct Reply {
    EfiStatus status = EfiStatus::success;
    std::span<std::byte> payload;
  };

  /// Where the payload of a request of the variable or the management protocol is put; zeros, all
  /// of `size`. Errors: invalid_parameter (the buffer is smaller).
  EfiResult<std::span<std::byte>> make_payload(std::size_t size,
                                               std::size_t header = mm::function_header_size);
  std::size_t payload_room(std::size_t header = mm::function_header_size) const noexcept;
  /// Sends the message, of which the payload is in place.
  EfiResult<std::span<std::byte>> exchange(const Guid& protocol, std::size_t message_size);
  EfiResult<Reply> call(mm::VariableFunction function, std::size_t payload_size);
  EfiResult<Reply> call(mm::ManagementFunction function, std::size_t payload_size);
  EfiResult<Reply> call(const Guid& protocol, std::uint64_t function, std::size_t payload_size);
  EfiResult<Reply> call(mm::PolicyCommand command, std::size_t payload_size);
  /// The payload of a reply that says success and has `least` bytes or more.
  EfiResult<std::span<std::byte>> checked(EfiResult<Reply> reply, std::size_t least = 0);
  /// The status as an error, with the MM side's words for it.
  tl::unexpected<variable::EfiError> refused(EfiStatus status);
  EfiResult<std::vector<ListEntry>> list_once();
  /// With the number of parts that it took.
  EfiResult<Variable> read_once(std::u16string_view name, const Guid& guid, unsigned& parts);
  std::span<std::byte> message_room() const noexcept;

  std::unique_ptr<Transport> transport_;
  mm::HeaderVersion version_;
  std::size_t payload_limit_ = 0;  ///< of the variable protocol
  bool asks_for_reasons_ = true;
};

}  // namespace efistore::runtime
