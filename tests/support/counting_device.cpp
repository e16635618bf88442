// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "support/counting_device.hpp"

namespace efistore::test {

Status CountingDevice::read(std::uint64_t offset, std::span<std::byte> out) {
  auto status = below().read(offset, out);
  if (status) {
    ++counts_.reads;
    counts_.bytes_read += out.size();
  }
  return status;
}

Status CountingDevice::program(std::uint64_t offset, std::span<const std::byte> data) {
  auto status = below().program(offset, data);
  if (status) {
    ++counts_.programs;
    counts_.bytes_programmed += data.size();
  }
  return status;
}

Status CountingDevice::erase(flash::Range blocks) {
  auto status = below().erase(blocks);
  if (status) {
    ++counts_.erases;
    counts_.blocks_erased += blocks.size / geometry().erase_block_size_bytes;
  }
  return status;
}

Status CountingDevice::sync() {
  auto status = below().sync();
  if (status) ++counts_.syncs;
  return status;
}

}  // namespace efistore::test
