// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/flash/partition.hpp"

#include <fmt/format.h>

#include <utility>

namespace efistore::flash {

Result<std::unique_ptr<Partition>> Partition::create(std::unique_ptr<Device> whole, Range range) {
  const Geometry& geometry = whole->geometry();
  const auto describe = [&] {
    return fmt::format("{}: partition of {:#x} bytes at {:#x}", whole->name(), range.size,
                       range.offset);
  };
  if (range.size > geometry.size_bytes || range.offset > geometry.size_bytes - range.size) {
    return fail(Errc::out_of_range,
                fmt::format("{} reaches beyond the end at {:#x}", describe(), geometry.size_bytes));
  }
  const std::uint32_t block_size = geometry.erase_block_size_bytes;
  if (range.size == 0 || range.offset % block_size != 0 || range.size % block_size != 0) {
    return fail(Errc::invalid_argument, fmt::format("{} is not made of whole blocks of {:#x} bytes",
                                                    describe(), block_size));
  }
  return std::unique_ptr<Partition>(new Partition(std::move(whole), range));
}

Partition::Partition(std::unique_ptr<Device> whole, Range range)
    : whole_(std::move(whole)),
      offset_(range.offset),
      geometry_(whole_->geometry()),
      name_(fmt::format("{} [{:#x}, {:#x})", whole_->name(), range.offset, range.end())) {
  geometry_.size_bytes = range.size;
}

Status Partition::read(std::uint64_t offset, std::span<std::byte> out) {
  if (auto status = check_read(*this, offset, out.size()); !status) return status;
  return whole_->read(offset_ + offset, out);
}

Status Partition::program(std::uint64_t offset, std::span<const std::byte> data) {
  if (auto status = check_program(*this, offset, data.size()); !status) return status;
  return whole_->program(offset_ + offset, data);
}

Status Partition::erase(Range blocks) {
  if (auto status = check_erase(*this, blocks); !status) return status;
  return whole_->erase({.offset = offset_ + blocks.offset, .size = blocks.size});
}

}  // namespace efistore::flash
