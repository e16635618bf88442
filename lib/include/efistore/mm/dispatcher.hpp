// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The MM side: answers communicate frames with the variable services, as EDK2's SmmVariableHandler
// and VarCheckPolicyLib do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "efistore/mm/caller.hpp"
#include "efistore/variable/efi_result.hpp"
#include "efistore/variable/services.hpp"

namespace efistore::mm {

/// Takes capsules in, one a session at a time, in pieces that follow one another.
class CapsuleReceiver {
 public:
  virtual ~CapsuleReceiver() = default;
  /// A capsule of so many bytes comes; one that was under way is dropped.
  /// Errors: invalid_parameter, out_of_resources, unsupported, device_error.
  virtual variable::EfiResult<void> begin(std::uint64_t session, std::uint64_t size_bytes) = 0;
  /// Errors: invalid_parameter (not the next piece), out_of_resources, device_error.
  virtual variable::EfiResult<void> data(std::uint64_t session, std::uint64_t offset,
                                         std::span<const std::byte> piece) = 0;
  /// It is complete. With success it is kept across a power loss.
  /// Errors: invalid_parameter, security_violation, out_of_resources, device_error.
  virtual variable::EfiResult<void> commit(std::uint64_t session) = 0;
  /// Drops what came so far, if anything did.
  virtual void cancel(std::uint64_t session) noexcept = 0;
};

/// Keeps what the variable policies have become, so that it outlives the process.
class PolicyKeeper {
 public:
  virtual ~PolicyKeeper() = default;
  /// Errors: device_error; what was changed counts until the process ends.
  virtual variable::EfiResult<void> keep(const variable::PolicyTable& policies) = 0;
};

/// Bounds what users write, so that none of them wears the flash out.
class WriteLimiter {
 public:
  virtual ~WriteLimiter() = default;
  /// Whether the user may write now what costs that much, as far as that is known before.
  /// Errors: out_of_resources (not yet), access_denied (never).
  virtual variable::EfiResult<void> admit(std::uint32_t user, std::uint64_t cost) = 0;
  /// It has written what costs that much (variable::wear_cost()).
  virtual void charge(std::uint32_t user, std::uint64_t cost) = 0;
};

/// What a dispatcher needs besides the services. Who is pointed to may be missing, and outlives the
/// dispatcher.
struct Backends {
  CapsuleReceiver* capsules = nullptr;
  PolicyKeeper* policies = nullptr;
  WriteLimiter* limiter = nullptr;
  /// What a payload may have at least, where variables are small: for lists and transactions.
  std::size_t min_payload_size = 64U << 10;
  /// The number behind which changes are counted. Of a daemon a random one: who asks for what is
  /// behind a number of the one before it learns that something is lost.
  std::uint64_t first_change = 0;
};

/// One request at a time. A request is copied into buffer(), out of reach of whoever sent it,
/// served there, and the reply copied from there: nothing looks at the sender's bytes twice, and
/// every byte of a reply is one that the sender wrote or one that was written here.
///
/// Every request gets a reply with a status. Where EDK2 leaves a malformed one with the status that
/// the caller put there, it is EFI_INVALID_PARAMETER here (lib/SPEC.md lists the differences).
class Dispatcher {
 public:
  struct State;

  /// `services` must outlive the dispatcher, or be replaced before they go.
  explicit Dispatcher(variable::Services& services, const Backends& backends = {});
  Dispatcher(Dispatcher&&) noexcept;
  Dispatcher& operator=(Dispatcher&&) noexcept;
  ~Dispatcher();

  /// From now on other services answer, those of the same variables. Until `writable`, whatever
  /// changes something gets EFI_NOT_AVAILABLE_YET.
  void serve_with(variable::Services& services, bool writable);

  /// Where a request has to be put, at its begin, before serve(): as large as the largest frame
  /// that is taken.
  std::span<std::byte> buffer() noexcept;
  /// Answers the request of `request_size` bytes in place. Of one that is larger than buffer()
  /// there is the begin, and it is refused with EFI_INVALID_PARAMETER. Gives the size of the reply,
  /// which fits buffer().
  std::size_t serve(std::size_t request_size, const Caller& caller);

  /// A session has ended: its upload is dropped.
  void end_session(std::uint64_t session) noexcept;

  /// The number of the latest change of a variable.
  std::uint64_t changes() const noexcept;
  /// Ready, as bits.
  std::uint32_t ready() const noexcept;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace efistore::mm
