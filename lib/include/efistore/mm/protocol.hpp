// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The messages between callers and the MM side: EDK2's variable and variable-policy protocols, and
// the management protocol of this project. lib/SPEC.md has the bytes of each ("Messages").
#pragma once

#include <cstddef>
#include <cstdint>

#include "efistore/base/guid.hpp"
#include "efistore/mm/frame.hpp"

namespace efistore::mm {

namespace guids {
using namespace efistore::literals;
/// gEfiSmmVariableProtocolGuid
inline constexpr Guid variable_protocol = "ed32d533-99e6-4209-9cc0-2d72cdd998a7"_guid;
/// gVarCheckPolicyLibMmiHandlerGuid
inline constexpr Guid policy_protocol = "da1b0d11-d1a7-46c4-9dc9-f3714875c6eb"_guid;
inline constexpr Guid management_protocol = "bbd2eb22-7753-4234-8395-fd83f157d3c2"_guid;
/// gEdkiiCommunicateHeaderV3Guid: in the place of a protocol's in EFI_MM_COMMUNICATE_HEADER_V3.
inline constexpr Guid communicate_header_v3 = "68e8c853-2ba9-4dd7-9ac0-91e16155c935"_guid;
}  // namespace guids

/// SMM_VARIABLE_FUNCTION_*.
enum class VariableFunction : std::uint64_t {
  get_variable = 1,
  get_next_variable_name = 2,
  set_variable = 3,
  query_variable_info = 4,
  ready_to_boot = 5,
  exit_boot_services = 6,
  get_statistics = 7,
  lock_variable = 8,
  var_check_property_set = 9,
  var_check_property_get = 10,
  get_payload_size = 11,
  init_runtime_cache_context = 12,
  sync_runtime_cache = 13,
  get_runtime_cache_info = 14,
};

/// VAR_CHECK_POLICY_COMMAND_*.
enum class PolicyCommand : std::uint32_t {
  disable = 1,
  is_enabled = 2,
  register_policy = 3,
  dump = 4,
  lock = 5,
  get_info = 6,
  get_lock_state_info = 7,
};

/// The management protocol.
enum class ManagementFunction : std::uint64_t {
  malformed = 0,    ///< of a reply: the request's header could not be read
  get_state = 1,    ///< what the MM side is ready for, and what the caller may do
  last_reason = 2,  ///< in words, why the session's last request was refused
  list = 3,         ///< names, attributes and sizes, many at once
  read = 4,         ///< part of a variable of any size, with its time stamp
  set_all = 5,      ///< several SetVariables, all or none
  reclaim = 6,      ///< compacts the non-volatile store
  changes = 7,      ///< which variables changed since
  store_info = 8,   ///< how full the store is
  subscribe = 9,    ///< this connection is to be told of changes
  changed = 10,     ///< what a subscriber is told
  capsule_begin = 32,
  capsule_data = 33,
  capsule_commit = 34,
  capsule_cancel = 35,
};

/// Function and ReturnStatus, in front of the payload of the variable and the management protocol.
inline constexpr std::size_t function_header_size = 16;
/// VAR_CHECK_POLICY_COMM_HEADER, packed.
inline constexpr std::size_t policy_header_size = 20;
inline constexpr std::uint32_t policy_signature = 0x43504356;  // "VCPC"
inline constexpr std::uint32_t policy_revision = 1;
/// VAR_CHECK_POLICY_MM_COMM_BUFFER_SIZE: a whole frame with a header of version 1.
inline constexpr std::size_t policy_frame_size = 0x4000;
/// VAR_CHECK_POLICY_COMM_DUMP_PARAMS, and VAR_CHECK_POLICY_MM_DUMP_BUFFER_SIZE.
inline constexpr std::size_t policy_dump_header_size = 13;
inline constexpr std::size_t policy_dump_page_size = policy_frame_size -
                                                     header_size(HeaderVersion::v1) -
                                                     policy_header_size - policy_dump_header_size;
/// VAR_CHECK_POLICY_COMM_GET_INFO_PARAMS.
inline constexpr std::size_t policy_info_entry_offset = 24;
inline constexpr std::size_t policy_info_entry_size = 44;
inline constexpr std::size_t policy_info_names_offset =
    policy_info_entry_offset + policy_info_entry_size;

/// Where the fields of payloads stand (SMM_VARIABLE_COMMUNICATE_*, with UINTN of 8 bytes).
namespace offsets {
inline constexpr std::size_t access_name = 36;
inline constexpr std::size_t next_name = 24;
inline constexpr std::size_t lock_name = 24;
inline constexpr std::size_t property_name = 48;
}  // namespace offsets
inline constexpr std::size_t query_info_size = 32;
inline constexpr std::size_t statistics_entry_size = 56;  // VARIABLE_INFO_ENTRY
inline constexpr std::size_t cache_context_size = 48;
inline constexpr std::size_t cache_info_size = 32;

/// Of ManagementFunction::get_state.
inline constexpr std::uint32_t management_revision = 1;
inline constexpr std::size_t state_size = 48;
/// Of ManagementFunction::store_info.
inline constexpr std::size_t store_info_size = 64;
/// In front of each entry of ManagementFunction::list, set_all and changes.
inline constexpr std::size_t list_entry_size = 32;
inline constexpr std::size_t set_entry_size = 32;
inline constexpr std::size_t change_entry_size = 24;
inline constexpr std::size_t read_request_size = 32;
inline constexpr std::size_t read_reply_size = 32;
/// The longest name that a message can carry, in bytes with its NUL.
inline constexpr std::size_t max_name_size = 4096;

/// What the MM side is ready for (the variable, and the variable-write, architectural protocol).
enum Ready : std::uint32_t {
  ready_read = 1,
  ready_write = 2,
};

}  // namespace efistore::mm
