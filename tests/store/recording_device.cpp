// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "store/recording_device.hpp"

#include <fmt/format.h>

#include "efistore/base/bytes.hpp"

namespace efistore::test {

Status RecordingDevice::read(std::uint64_t offset, std::span<std::byte> out) {
  return below().read(offset, out);
}

Status RecordingDevice::program(std::uint64_t offset, std::span<const std::byte> data) {
  log_.push_back(fmt::format("P {:x} {}", offset, to_hex(data)));
  return below().program(offset, data);
}

Status RecordingDevice::erase(flash::Range blocks) {
  log_.push_back(fmt::format("E {:x} {:x}", blocks.offset, blocks.size));
  return below().erase(blocks);
}

}  // namespace efistore::test
