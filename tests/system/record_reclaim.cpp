// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// usage: record_reclaim IMAGE
//
// Compacts the store of IMAGE in memory and prints what that programs and erases, one operation a
// line, as RecordingDevice writes it down. The file is not changed.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

#include "efistore/flash/memory_device.hpp"
#include "efistore/store/variable_store.hpp"

#include "store/recording_device.hpp"

int main(int argc, char** argv) {
  using namespace efistore;
  if (argc != 2) {
    fmt::print(stderr, "usage: record_reclaim IMAGE\n");
    return 2;
  }
  std::ifstream file(argv[1], std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto raw = std::as_bytes(std::span(text));
  constexpr std::uint32_t block = 0x1000;
  auto recording = std::make_unique<test::RecordingDevice>(
      std::make_unique<flash::MemoryDevice>(std::vector(raw.begin(), raw.end()), block));
  auto* const log = recording.get();
  auto store = store::VariableStore::open(std::move(recording));
  const auto done = store ? store->reclaim() : Status(forward(std::move(store)));
  if (!done) {
    fmt::print(stderr, "record_reclaim: {}\n", done.error().message);
    return 1;
  }
  for (const std::string& line : log->take()) fmt::print("{}\n", line);
  return 0;
}
