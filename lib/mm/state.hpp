// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What the dispatcher keeps between requests, and the pieces that its handlers share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/mm/dispatcher.hpp"
#include "efistore/mm/payload.hpp"
#include "efistore/mm/protocol.hpp"
#include "efistore/variable/efi_result.hpp"
#include "efistore/variable/services.hpp"

#include "change_history.hpp"
#include "statistics.hpp"

namespace efistore::mm {

/// Why a request was refused, for whoever made it to ask.
struct Reason {
  std::uint64_t session = 0;
  EfiStatus status = EfiStatus::success;
  std::string text{};
};

struct Dispatcher::State {
  variable::Services* services;
  Backends backends;
  bool writable = true;
  std::vector<std::byte> buffer{};
  std::u16string name{};  ///< of the variable that the request is about
  AccessStatistics statistics{};
  ChangeHistory history{backends.first_change};
  /// EDK2's pagination cache: what page 0 of a policy dump found, for the pages behind it.
  std::vector<std::byte> policy_dump{};
  std::uint64_t policy_dump_session = 0;  ///< for whom
  Reason reason{};
};

/// One request. `payload` is what follows the function header, in the dispatcher's own memory, and
/// becomes the reply's, up to `reply_size`. That may reach beyond it into `room`, where others left
/// what is none of the caller's business: who makes a reply longer writes all of it.
struct Call {
  Dispatcher::State& state;
  const Caller& caller;
  std::span<std::byte> payload;
  std::span<std::byte> room;
  std::size_t reply_size;

  variable::Services& services() const noexcept { return *state.services; }
  /// The reply has that size, as far as there is room; what is not the request's is zero.
  void resize_reply(std::size_t size) noexcept;
};

/// What a function needs of its caller and of its payload before its handler sees either.
struct Function {
  std::uint64_t number;
  Rights right;
  bool changes;  ///< needs the flash to be writable
  std::size_t min_payload_size;
  variable::EfiResult<void> (*handle)(Call& call);
};

using variable::EfiResult;
using variable::refuse;

/// The tables of the two protocols that share a function header.
std::span<const Function> variable_functions() noexcept;
std::span<const Function> management_functions() noexcept;

/// Looks the function up in its table, checks right, readiness and size, and calls its handler.
EfiResult<void> call_function(std::span<const Function> functions, std::uint64_t number,
                              Call& call);

/// Carries out what writes to the flash: within what the caller may write, and at its expense.
/// `cost` is what it will cost, as far as that is known before.
EfiResult<void> write_within_limits(Call& call, std::uint64_t cost,
                                    const std::function<EfiResult<void>()>& write);

/// A message of the policy protocol, header included; the result is in it afterwards.
EfiResult<void> serve_policy(Dispatcher::State& state, const Caller& caller,
                             std::span<std::byte> message);

/// SMM_VARIABLE_FUNCTION_GET_PAYLOAD_SIZE: what the payload of a variable function may have.
std::size_t variable_payload_limit(const variable::Services& services) noexcept;

/// The name in `bytes`, which end in its NUL; what follows an earlier NUL does not count.
/// Errors: access_denied.
EfiResult<std::u16string> read_name(std::span<const std::byte> bytes);
/// The same, in `place`, of which the memory is used again.
EfiResult<std::u16string_view> read_name(std::span<const std::byte> bytes, std::u16string& place);
template <typename T>
void put(std::span<std::byte> payload, std::size_t offset, T value) noexcept {
  ByteWriter(payload.subspan(offset)).write(value);
}
inline void put(std::span<std::byte> payload, std::size_t offset, const Guid& guid) noexcept {
  ByteWriter(payload.subspan(offset)).bytes(guid.bytes);
}
inline void put_name(std::span<std::byte> payload, std::size_t offset,
                     std::u16string_view name) noexcept {
  ByteWriter writer(payload.subspan(offset));
  write_name(writer, name);
}

}  // namespace efistore::mm
