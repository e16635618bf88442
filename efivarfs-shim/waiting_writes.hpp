// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Writes that were asked for and are over their vendor's budget. Who asked sleeps in write(2) until
// they are carried out.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <optional>
#include <span>
#include <vector>

#include "efistore/base/guid.hpp"

#include "inode_table.hpp"

struct fuse_req;

namespace efistore::shim {

/// What waits is in memory, however many threads write.
inline constexpr std::size_t max_waiting_writes = 1024;
inline constexpr std::size_t max_waiting_bytes = std::size_t{8} << 20;

struct WaitingWrite {
  fuse_req* request = nullptr;  ///< to be answered
  InodeNumber number = 0;
  Guid vendor;
  std::vector<std::byte> bytes;
};

/// In order of arrival; of a vendor's writes none overtakes another.
class WaitingWrites {
 public:
  /// How long a vendor has to wait.
  using Wait = std::function<std::chrono::milliseconds(const Guid& vendor)>;

  bool empty() const noexcept { return writes_.empty(); }
  bool has(const Guid& vendor) const noexcept;

  /// False if there is no room for it.
  bool add(fuse_req* request, InodeNumber number, const Guid& vendor,
           std::span<const std::byte> bytes);
  /// Takes the write out that `request` asked for. False if it does not wait.
  bool remove(const fuse_req* request) noexcept;

  /// The first one that need not wait any more. If there is none, shortest_wait() tells when there
  /// may be.
  std::optional<WaitingWrite> take_due(const Wait& wait);
  std::chrono::milliseconds shortest_wait() const noexcept { return shortest_wait_; }
  /// The first one, due or not.
  std::optional<WaitingWrite> take_first();

 private:
  WaitingWrite take(std::list<WaitingWrite>::iterator write);

  std::list<WaitingWrite> writes_;
  std::size_t bytes_ = 0;  ///< of all writes
  std::chrono::milliseconds shortest_wait_{0};
};

}  // namespace efistore::shim
