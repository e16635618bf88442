// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// How much a vendor may write: a writer that runs away is slowed down, so that it does not wear the
// flash out. Nothing is refused; a caller asks how long to wait before a SetVariable.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"
#include "efistore/store/variable_store.hpp"
#include "efistore/variable/services.hpp"

namespace efistore::variable {

/// Vendors whose debts are kept apart at a time; those above it share one bucket.
inline constexpr std::size_t max_budget_vendors = 64;
/// All vendors together have that many times what one has. It bounds what can be had with made-up
/// GUIDs, and leaves room for others beside three that run away.
inline constexpr std::uint32_t budget_shares = 4;

struct WriteBudgetOptions {
  std::uint32_t bytes_per_hour = 0;  ///< what a vendor may write for good; must not be 0
  std::uint32_t burst_bytes = 0;     ///< what it may write at once before that
  /// What all draw on is overdrawn by one burst at most, and who overdraws pays for the rest alone.
  /// Only for who asks with the cost of a write before it: else the flash is hardly protected.
  bool own_debts = false;
};

/// A token bucket for each vendor, and one that all of them draw on as well. A write may be carried
/// out while neither is overdrawn, and can overdraw them by what it costs: a vendor never gets more
/// than the burst, its hours' bytes and one write.
///
/// A vendor that has its burst back is forgotten, as it is like one that was never seen. The clock
/// is the caller's; where it goes backwards, nothing is won and nothing is lost.
class WriteBudget {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// Everybody starts with the burst. Errors: invalid_argument (0 bytes an hour).
  static Result<WriteBudget> create(const WriteBudgetOptions& options);

  /// How long a write of the vendor has to wait from `now` on; 0 if it need not. To be asked again
  /// then: others may have written meanwhile. With `bytes`, up to the burst, until the vendor has
  /// so many left.
  std::chrono::milliseconds wait(const Guid& vendor, Time now, std::uint64_t bytes = 0);
  /// Takes `bytes` from what the vendor, and everybody, may write.
  void charge(const Guid& vendor, std::uint64_t bytes, Time now);

  std::size_t remembered_vendors() const noexcept { return vendors_.size(); }
  const WriteBudgetOptions& options() const noexcept { return options_; }

 private:
  /// Levels are exact: in units of a byte divided by the milliseconds of an hour.
  struct Bucket {
    std::int64_t full = 0;  ///< the level of who has not written
    std::int64_t units_per_ms = 0;
    std::int64_t level = 0;  ///< negative while overdrawn
    Time filled{};           ///< when the level was as it is

    void fill(Time now) noexcept;
    void take(std::uint64_t bytes) noexcept;
    std::chrono::milliseconds wait(std::uint64_t bytes = 0) const noexcept;
  };
  struct Vendor {
    Guid guid;
    Bucket bucket;
  };

  explicit WriteBudget(const WriteBudgetOptions& options);

  Bucket make_bucket(std::uint32_t shares) const noexcept;
  void fill(Time now);
  Bucket* find(const Guid& vendor) noexcept;

  WriteBudgetOptions options_;
  std::vector<Vendor> vendors_;
  Bucket rest_;  ///< of the vendors that are not remembered
  Bucket all_;
};

/// What records of `record_bytes`, written to a store that now has `usage`, cost: they take a share
/// of the room that a reclaim wins back, and so they are due for that share of the next reclaim,
/// which erases and writes all of the store. In a store without live records that is their own
/// size; the fuller it is, the more. Writing `usage.capacity` of cost brings one reclaim.
std::uint64_t wear_cost(std::uint64_t record_bytes, const store::Usage& usage) noexcept;

/// Services::set() at once, charged to the request's vendor with wear_cost() of what it wrote; a
/// deletion and what changes nothing is free. Errors: those of Services::set().
EfiResult<void> set_and_charge(Services& services, const SetRequest& request, WriteBudget& budget,
                               WriteBudget::Time now);

}  // namespace efistore::variable
