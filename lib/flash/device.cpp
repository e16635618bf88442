// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/flash/device.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace efistore::flash {

namespace {

Status check_range(const Device& device, std::uint64_t offset, std::uint64_t size,
                   std::string_view operation) {
  const std::uint64_t device_size = device.geometry().size_bytes;
  if (size <= device_size && offset <= device_size - size) return {};
  return fail(Errc::out_of_range,
              fmt::format("{}: {} of {:#x} bytes at {:#x} reaches beyond the end at {:#x}",
                          device.name(), operation, size, offset, device_size));
}

Status check_writable(const Device& device) {
  if (!device.read_only()) return {};
  return fail(Errc::read_only, device.name() + " is open for reading only");
}

Status check_alignment(const Device& device, std::uint64_t offset, std::uint64_t size,
                       std::uint64_t unit, std::string_view operation) {
  if (offset % unit == 0 && size % unit == 0) return {};
  return fail(Errc::invalid_argument,
              fmt::format("{}: {} of {:#x} bytes at {:#x} is not in whole units of {:#x} bytes",
                          device.name(), operation, size, offset, unit));
}

}  // namespace

Status check_read(const Device& device, std::uint64_t offset, std::size_t size) {
  return check_range(device, offset, size, "read");
}

Status check_program(const Device& device, std::uint64_t offset, std::size_t size) {
  if (auto status = check_writable(device); !status) return status;
  if (auto status = check_range(device, offset, size, "program"); !status) return status;
  return check_alignment(device, offset, size, device.geometry().write_unit_bytes, "program");
}

Status check_erase(const Device& device, Range blocks) {
  if (auto status = check_writable(device); !status) return status;
  if (auto status = check_range(device, blocks.offset, blocks.size, "erase"); !status) {
    return status;
  }
  return check_alignment(device, blocks.offset, blocks.size,
                         device.geometry().erase_block_size_bytes, "erase");
}

Status check_no_bit_set(const Device& device, std::uint64_t offset,
                        std::span<const std::byte> current, std::span<const std::byte> data) {
  const auto index = first_bit_set(current, data);
  if (!index) return {};
  return fail(
      Errc::bit_set,
      fmt::format("{}: program at {:#x} would set a bit: {:#04x} is there, {:#04x} asked",
                  device.name(), offset + *index, std::to_integer<unsigned>(current[*index]),
                  std::to_integer<unsigned>(data[*index])));
}

std::optional<std::size_t> first_bit_set(std::span<const std::byte> current,
                                         std::span<const std::byte> data) noexcept {
  const std::size_t size = std::min(current.size(), data.size());
  std::size_t begin = 0;
  // Whole blocks without a branch in them, of which compilers make vector instructions.
  constexpr std::size_t block = 64;
  for (; begin + block <= size; begin += block) {
    std::byte set{0};
    for (std::size_t i = begin; i < begin + block; ++i) set |= data[i] & ~current[i];
    if (set != std::byte{0}) break;
  }
  for (std::size_t i = begin; i < size; ++i) {
    if ((data[i] & ~current[i]) != std::byte{0}) return i;
  }
  return std::nullopt;
}

}  // namespace efistore::flash
