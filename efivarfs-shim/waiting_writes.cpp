// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "waiting_writes.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace efistore::shim {

bool WaitingWrites::has(const Guid& vendor) const noexcept {
  return std::ranges::find(writes_, vendor, &WaitingWrite::vendor) != writes_.end();
}

bool WaitingWrites::add(fuse_req* request, InodeNumber number, const Guid& vendor,
                        std::span<const std::byte> bytes) {
  if (writes_.size() >= max_waiting_writes || bytes.size() > max_waiting_bytes - bytes_) {
    return false;
  }
  writes_.push_back({request, number, vendor, {bytes.begin(), bytes.end()}});
  bytes_ += bytes.size();
  return true;
}

WaitingWrite WaitingWrites::take(std::list<WaitingWrite>::iterator write) {
  WaitingWrite taken = std::move(*write);
  bytes_ -= taken.bytes.size();
  writes_.erase(write);
  return taken;
}

bool WaitingWrites::remove(const fuse_req* request) noexcept {
  const auto write = std::ranges::find(writes_, request, &WaitingWrite::request);
  if (write == writes_.end()) return false;
  take(write);
  return true;
}

std::optional<WaitingWrite> WaitingWrites::take_due(const Wait& wait) {
  // Time goes on while this looks: a vendor whose first write is not due yet has no later one that
  // is, whatever it would be told by then.
  std::set<Guid> not_due;
  shortest_wait_ = std::chrono::milliseconds::max();
  for (auto write = writes_.begin(); write != writes_.end(); ++write) {
    if (not_due.contains(write->vendor)) continue;
    const auto left = wait(write->vendor);
    if (left.count() == 0) return take(write);
    shortest_wait_ = std::min(shortest_wait_, left);
    not_due.insert(write->vendor);
  }
  return std::nullopt;
}

std::optional<WaitingWrite> WaitingWrites::take_first() {
  if (writes_.empty()) return std::nullopt;
  return take(writes_.begin());
}

}  // namespace efistore::shim
