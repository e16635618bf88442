// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The stores that the benchmarks run over: OVMF's 4 MiB layout, authenticated format, in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "efistore/base/guid.hpp"
#include "efistore/flash/device.hpp"
#include "efistore/variable/services.hpp"

namespace efistore::bench {

/// A variable's name as a caller holds it.
struct Key {
  std::u16string name;
  Guid guid;
};

/// What a store is filled with.
struct Workload {
  std::size_t variable_count = 0;
  std::size_t data_size_bytes = 64;
  /// Records that were replaced fill the store up to 99 %, and the live ones lie behind them.
  bool full_of_dead_records = false;

  friend auto operator<=>(const Workload&, const Workload&) = default;
};

/// "500", or "500_full" for a store full of dead records.
std::string label_of(const Workload& workload);

/// 10, 100 and 500 variables, each in a store of their own and in one full of dead
/// records.
std::vector<Workload> all_workloads(std::size_t data_size_bytes);

/// Names of 12 characters over 8 GUIDs.
std::vector<Key> make_keys(std::size_t count);
/// Names of the same shape that no workload has.
std::vector<Key> make_absent_keys(std::size_t count);

/// How many of the workload's variables, from the first on, have data of its size and are updated;
/// the others, where the store could not hold all of them at that size, have 64 bytes.
std::size_t updated_count(const Workload& workload);

/// Data that differs for every `serial`, so that no write is elided as identical.
std::span<const std::byte> make_data(std::vector<std::byte>& buffer, std::uint64_t serial);

/// Pseudo-random numbers below `limit`, the same in every run.
std::vector<std::size_t> make_order(std::size_t count, std::size_t limit);

/// A volume with the workload's variables; made once for each workload.
const std::vector<std::byte>& image_of(const Workload& workload);

/// A device in memory that holds `image`.
std::unique_ptr<flash::Device> make_device(std::vector<std::byte> image);

/// The services over `device`, in the phase after EndOfDxe. Gives up if they cannot be had.
variable::Services open_services(std::unique_ptr<flash::Device> device);

/// Throws a std::runtime_error: a benchmark whose operations fail has no figures.
[[noreturn]] void give_up(const std::string& message);

/// What main() returns: what `body` does, or 1, with a message, if it gives up.
int run_guarded(const std::function<int()>& body);

/// SetVariable with the attributes nv,bs,rt; it must succeed.
void must_set(variable::Services& services, const Key& key, std::span<const std::byte> data);

}  // namespace efistore::bench
