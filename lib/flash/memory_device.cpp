// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/flash/memory_device.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace efistore::flash {

MemoryDevice::MemoryDevice(Geometry geometry, std::string name)
    : geometry_(geometry),
      content_(static_cast<std::size_t>(geometry.size_bytes), std::byte{0xff}),
      name_(std::move(name)) {
  assert(geometry.size_bytes % geometry.erase_block_size_bytes == 0);
}

MemoryDevice::MemoryDevice(std::vector<std::byte> content, std::uint32_t erase_block_size_bytes,
                           std::string name)
    : geometry_{.size_bytes = content.size(), .erase_block_size_bytes = erase_block_size_bytes},
      content_(std::move(content)),
      name_(std::move(name)) {
  assert(content_.size() % erase_block_size_bytes == 0);
}

Status MemoryDevice::read(std::uint64_t offset, std::span<std::byte> out) {
  if (auto status = check_read(*this, offset, out.size()); !status) return status;
  std::ranges::copy(std::span(content_).subspan(static_cast<std::size_t>(offset), out.size()),
                    out.begin());
  return {};
}

Status MemoryDevice::program(std::uint64_t offset, std::span<const std::byte> data) {
  if (auto status = check_program(*this, offset, data.size()); !status) return status;
  const auto place = std::span(content_).subspan(static_cast<std::size_t>(offset), data.size());
  if (auto status = check_no_bit_set(*this, offset, place, data); !status) return status;
  std::ranges::copy(data, place.begin());
  return {};
}

Status MemoryDevice::erase(Range blocks) {
  if (auto status = check_erase(*this, blocks); !status) return status;
  std::ranges::fill(std::span(content_).subspan(static_cast<std::size_t>(blocks.offset),
                                                static_cast<std::size_t>(blocks.size)),
                    std::byte{0xff});
  return {};
}

}  // namespace efistore::flash
