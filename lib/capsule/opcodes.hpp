// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Opcodes of dependency expressions (UEFI 2.10, 23.2.2.4), and the walk over them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "efistore/base/guid.hpp"
#include "efistore/capsule/dependency.hpp"

namespace efistore::capsule {

enum class Opcode : std::uint8_t {
  push_guid = 0x00,
  push_version = 0x01,
  version_string = 0x02,
  logical_and = 0x03,
  logical_or = 0x04,
  logical_not = 0x05,
  push_true = 0x06,
  push_false = 0x07,
  equal = 0x08,
  greater = 0x09,
  greater_or_equal = 0x0a,
  less = 0x0b,
  less_or_equal = 0x0c,
  end = 0x0d,
  declare_length = 0x0e,
};

struct Instruction {
  Opcode opcode = Opcode::end;
  std::size_t offset = 0;
  Guid guid;                ///< of push_guid
  std::uint32_t value = 0;  ///< of push_version and declare_length
  std::string_view text;    ///< of version_string, without its NUL
};

/// The instructions of an expression, one after the other.
class InstructionReader {
 public:
  explicit InstructionReader(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

  /// The next one; END is the last that may be asked for.
  tl::expected<Instruction, DependencyError> next();
  /// Behind the last one that was read.
  std::size_t position() const noexcept { return position_; }

 private:
  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
};

}  // namespace efistore::capsule
