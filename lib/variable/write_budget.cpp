// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/variable/write_budget.hpp"

#include <algorithm>

namespace efistore::variable {

namespace {

using std::chrono::milliseconds;

constexpr std::int64_t units_per_byte = milliseconds(std::chrono::hours(1)).count();
/// More than any write costs. A debt ends there, so that no sum overflows.
constexpr std::uint64_t max_debt_bytes = std::uint64_t{1} << 40;
constexpr std::int64_t lowest_level = -static_cast<std::int64_t>(max_debt_bytes) * units_per_byte;

}  // namespace

void WriteBudget::Bucket::fill(Time now) noexcept {
  if (now < filled) {
    filled = now;
    return;
  }
  // Whole milliseconds only; the rest of one is counted the next time.
  const auto elapsed = std::chrono::floor<milliseconds>(now - filled);
  filled += elapsed;
  const std::int64_t missing = full - level;
  level = elapsed.count() > missing / units_per_ms ? full : level + elapsed.count() * units_per_ms;
}

void WriteBudget::Bucket::take(std::uint64_t bytes) noexcept {
  const auto units = static_cast<std::int64_t>(std::min(bytes, max_debt_bytes)) * units_per_byte;
  level = std::max(level - units, lowest_level);
}

milliseconds WriteBudget::Bucket::wait(std::uint64_t bytes) const noexcept {
  const auto wanted = static_cast<std::int64_t>(std::min(bytes, max_debt_bytes)) * units_per_byte;
  if (level >= wanted) return milliseconds(0);
  return milliseconds((wanted - level + units_per_ms - 1) / units_per_ms);
}

Result<WriteBudget> WriteBudget::create(const WriteBudgetOptions& options) {
  if (options.bytes_per_hour == 0) {
    return fail(Errc::invalid_argument, "a write budget of 0 bytes an hour lets nobody write");
  }
  return WriteBudget(options);
}

WriteBudget::WriteBudget(const WriteBudgetOptions& options)
    : options_(options), rest_(make_bucket(1)), all_(make_bucket(budget_shares)) {}

WriteBudget::Bucket WriteBudget::make_bucket(std::uint32_t shares) const noexcept {
  const std::int64_t full = std::int64_t{options_.burst_bytes} * shares * units_per_byte;
  return {.full = full,
          .units_per_ms = std::int64_t{options_.bytes_per_hour} * shares,
          .level = full,
          .filled = {}};
}

void WriteBudget::fill(Time now) {
  rest_.fill(now);
  all_.fill(now);
  for (Vendor& vendor : vendors_) vendor.bucket.fill(now);
  std::erase_if(vendors_,
                [](const Vendor& vendor) { return vendor.bucket.level == vendor.bucket.full; });
}

/// The vendor's own bucket, the shared one where no more can be remembered, or nullptr for one that
/// has its burst.
WriteBudget::Bucket* WriteBudget::find(const Guid& vendor) noexcept {
  const auto known = std::ranges::find(vendors_, vendor, &Vendor::guid);
  if (known != vendors_.end()) return &known->bucket;
  return vendors_.size() < max_budget_vendors ? nullptr : &rest_;
}

milliseconds WriteBudget::wait(const Guid& vendor, Time now, std::uint64_t bytes) {
  fill(now);
  const Bucket* bucket = find(vendor);
  return std::max(all_.wait(), bucket == nullptr ? milliseconds(0) : bucket->wait(bytes));
}

void WriteBudget::charge(const Guid& vendor, std::uint64_t bytes, Time now) {
  if (bytes == 0) return;
  fill(now);
  Bucket* bucket = find(vendor);
  if (bucket == nullptr) {
    bucket = &vendors_.emplace_back(Vendor{vendor, make_bucket(1)}).bucket;
    bucket->filled = now;
  }
  bucket->take(bytes);
  const std::int64_t lowest_of_all =
      std::min(all_.level, -std::int64_t{options_.burst_bytes} * units_per_byte);
  all_.take(bytes);
  if (options_.own_debts) all_.level = std::max(all_.level, lowest_of_all);
}

std::uint64_t wear_cost(std::uint64_t record_bytes, const store::Usage& usage) noexcept {
  const std::uint64_t room = usage.capacity - usage.live;
  // A record that a reclaim wins no room for brings a reclaim of its own.
  if (record_bytes >= room) return std::max<std::uint64_t>(record_bytes, usage.capacity);
  return record_bytes * usage.capacity / room;
}

EfiResult<void> set_and_charge(Services& services, const SetRequest& request, WriteBudget& budget,
                               WriteBudget::Time now) {
  const std::uint64_t before = services.store().written_record_bytes();
  auto done = services.set(request);
  const std::uint64_t written = services.store().written_record_bytes() - before;
  if (written != 0) budget.charge(request.guid, wear_cost(written, services.store().usage()), now);
  return done;
}

}  // namespace efistore::variable
