// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "support/faulty_device.hpp"

#include <algorithm>
#include <string>

namespace efistore::test {

void FaultyDevice::arm(Fault fault) {
  fault_ = fault;
}

std::optional<std::uint64_t> FaultyDevice::take_fault(FlashOperation operation) {
  if (!fault_ || fault_->operation != operation) return std::nullopt;
  if (fault_->nth > 1) {
    --fault_->nth;
    return std::nullopt;
  }
  ++faults_;
  code_ = fault_->code;
  const std::uint64_t bytes_done = fault_->bytes_done;
  if (fault_->lasting) {
    fault_->bytes_done = 0;
  } else {
    fault_.reset();
  }
  return bytes_done;
}

Status FaultyDevice::failure(std::string_view operation) const {
  return fail(code_, name() + ": injected fault in " + std::string(operation));
}

Status FaultyDevice::read(std::uint64_t offset, std::span<std::byte> out) {
  if (auto status = check_read(*this, offset, out.size()); !status) return status;
  const auto bytes_done = take_fault(FlashOperation::read);
  if (!bytes_done) return below().read(offset, out);
  const auto done = std::min<std::uint64_t>(*bytes_done, out.size());
  if (auto status = below().read(offset, out.first(static_cast<std::size_t>(done))); !status) {
    return status;
  }
  return failure("read");
}

Status FaultyDevice::program(std::uint64_t offset, std::span<const std::byte> data) {
  if (auto status = check_program(*this, offset, data.size()); !status) return status;
  const auto bytes_done = take_fault(FlashOperation::program);
  if (!bytes_done) return below().program(offset, data);
  auto done = std::min<std::uint64_t>(*bytes_done, data.size());
  done -= done % geometry().write_unit_bytes;
  if (auto status = below().program(offset, data.first(static_cast<std::size_t>(done))); !status) {
    return status;
  }
  return failure("program");
}

Status FaultyDevice::erase(flash::Range blocks) {
  if (auto status = check_erase(*this, blocks); !status) return status;
  const auto bytes_done = take_fault(FlashOperation::erase);
  if (!bytes_done) return below().erase(blocks);
  auto done = std::min(*bytes_done, blocks.size);
  done -= done % geometry().erase_block_size_bytes;
  if (auto status = below().erase({.offset = blocks.offset, .size = done}); !status) return status;
  return failure("erase");
}

Status FaultyDevice::sync() {
  const auto bytes_done = take_fault(FlashOperation::sync);
  if (!bytes_done) return below().sync();
  return failure("sync");
}

}  // namespace efistore::test
