// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "workload.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <random>
#include <stdexcept>

#include "efistore/flash/memory_device.hpp"
#include "efistore/store/record.hpp"
#include "efistore/store/variable_store.hpp"

namespace efistore::bench {

using namespace literals;

namespace {

constexpr std::array guids{
    "0f1e6c1a-5b5e-4f0e-9d2b-0c6a1d3f7e01"_guid, "2a9d3b74-8c61-4e5a-a1f3-6b0e9c2d5f12"_guid,
    "4c7b5e2d-1f93-4a68-b7d4-8e2f0a6c1b23"_guid, "61e8f09c-d24a-4b37-8c5e-a93d7f1b2e34"_guid,
    "83d1a6b5-7e0f-4c92-95a8-c1b4e6f03d45"_guid, "a50c94e7-3b68-4d1f-aeb2-d7f52c819046"_guid,
    "c7f2386b-9a54-4e80-b3c9-e06d1f4a7b57"_guid, "e9463d0f-c817-4f6b-8ad5-f2b90e73c168"_guid};

/// With 1 KiB each, this many of 500 variables fit beside the others' 64 bytes and leave room.
constexpr std::size_t most_large_variables = 60;
constexpr std::size_t small_data_size_bytes = 64;

std::vector<Key> keys_with_prefix(std::string_view prefix, std::size_t count) {
  std::vector<Key> keys;
  keys.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string name = fmt::format("{}{:04}", prefix, i);
    keys.push_back({.name = {name.begin(), name.end()}, .guid = guids[i % guids.size()]});
  }
  return keys;
}

std::vector<std::byte> blank_image() {
  const store::Layout layout = store::Layout::ovmf_4m();
  flash::MemoryDevice device(flash::Geometry{.size_bytes = layout.volume_size_bytes,
                                             .erase_block_size_bytes = layout.block_size_bytes});
  if (auto done = store::VariableStore::format(device, layout); !done) {
    give_up(done.error().message);
  }
  return {device.content().begin(), device.content().end()};
}

std::vector<std::byte> make_image(const Workload& workload) {
  const store::Layout layout = store::Layout::ovmf_4m();
  auto device = std::make_unique<flash::MemoryDevice>(blank_image(), layout.block_size_bytes);
  const flash::MemoryDevice& memory = *device;
  variable::Services services = open_services(std::move(device));
  const auto keys = make_keys(workload.variable_count);
  const std::size_t large_count = updated_count(workload);
  std::vector<std::byte> large(workload.data_size_bytes);
  std::vector<std::byte> small(small_data_size_bytes);
  std::uint64_t serial = 0;
  auto set_all = [&](bool stop_when_full) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const store::Usage& usage = services.store().usage();
      if (stop_when_full && usage.used >= usage.capacity / 100 * 99) return false;
      must_set(services, keys[i], make_data(i < large_count ? large : small, serial++));
    }
    return true;
  };
  set_all(false);
  while (workload.full_of_dead_records && set_all(true)) {
  }
  return {memory.content().begin(), memory.content().end()};
}

}  // namespace

std::string label_of(const Workload& workload) {
  return fmt::format("{}{}", workload.variable_count, workload.full_of_dead_records ? "_full" : "");
}

std::vector<Workload> all_workloads(std::size_t data_size_bytes) {
  std::vector<Workload> workloads;
  for (const bool full : {false, true}) {
    for (const std::size_t count : {10U, 100U, 500U}) {
      workloads.push_back({.variable_count = count,
                           .data_size_bytes = data_size_bytes,
                           .full_of_dead_records = full});
    }
  }
  return workloads;
}

std::vector<Key> make_keys(std::size_t count) {
  return keys_with_prefix("BenchVar", count);
}

std::vector<Key> make_absent_keys(std::size_t count) {
  return keys_with_prefix("BenchNot", count);
}

std::size_t updated_count(const Workload& workload) {
  const store::Layout layout = store::Layout::ovmf_4m();
  const bool all_fit =
      workload.variable_count * workload.data_size_bytes < layout.variables.size / 2;
  return all_fit ? workload.variable_count : most_large_variables;
}

std::span<const std::byte> make_data(std::vector<std::byte>& buffer, std::uint64_t serial) {
  for (std::size_t i = 0; i < sizeof serial && i < buffer.size(); ++i) {
    buffer[i] = static_cast<std::byte>((serial >> (8 * i)) & 0xff);
  }
  return buffer;
}

std::vector<std::size_t> make_order(std::size_t count, std::size_t limit) {
  std::mt19937_64 generator;  // the default seed is the same everywhere
  std::vector<std::size_t> order(count);
  std::ranges::generate(order, [&] { return generator() % limit; });
  return order;
}

const std::vector<std::byte>& image_of(const Workload& workload) {
  static std::map<Workload, std::vector<std::byte>> images;
  const auto found = images.find(workload);
  if (found != images.end()) return found->second;
  return images.emplace(workload, make_image(workload)).first->second;
}

std::unique_ptr<flash::Device> make_device(std::vector<std::byte> image) {
  return std::make_unique<flash::MemoryDevice>(std::move(image),
                                               store::Layout::ovmf_4m().block_size_bytes);
}

variable::Services open_services(std::unique_ptr<flash::Device> device) {
  auto store = store::VariableStore::open(std::move(device));
  if (!store) give_up(store.error().message);
  auto services = variable::Services::create(std::move(*store));
  if (!services) give_up(services.error().message);
  return std::move(*services);
}

void give_up(const std::string& message) {
  throw std::runtime_error(message);
}

int run_guarded(const std::function<int()>& body) {
  try {
    return body();
  } catch (const std::exception& error) {
    fmt::print(stderr, "benchmark: {}\n", error.what());
    return 1;
  }
}

void must_set(variable::Services& services, const Key& key, std::span<const std::byte> data) {
  const auto done = services.set(
      {.name = key.name, .guid = key.guid, .attributes = attributes::default_new, .data = data});
  if (!done) give_up(fmt::format("{}: {}", to_string(done.status()), done.error().reason));
}

}  // namespace efistore::bench
