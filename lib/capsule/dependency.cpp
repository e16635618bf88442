// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/capsule/dependency.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "efistore/base/bytes.hpp"

#include "opcodes.hpp"

namespace efistore::capsule {

namespace {

/// What lies on the stack: the outcome of a comparison, or a version.
using Value = std::variant<bool, std::uint32_t>;

tl::unexpected<DependencyError> broken(LastAttemptStatus status, std::string message) {
  return tl::unexpected<DependencyError>(
      DependencyError{status, "dependency: " + std::move(message)});
}

class Machine {
 public:
  explicit Machine(const InstalledVersion& installed) noexcept : installed_(installed) {}

  tl::expected<void, DependencyError> run(const Instruction& instruction);
  /// Whether END finds true.
  tl::expected<bool, DependencyError> result(const Instruction& end) { return pop<bool>(end); }

 private:
  template <typename T>
  tl::expected<T, DependencyError> pop(const Instruction& instruction);
  template <typename T, typename Operation>
  tl::expected<void, DependencyError> binary(const Instruction& instruction, Operation operation);

  const InstalledVersion& installed_;
  /// No deeper than the expression is long.
  std::vector<Value> stack_;
};

template <typename T>
tl::expected<T, DependencyError> Machine::pop(const Instruction& instruction) {
  constexpr std::string_view wanted = std::is_same_v<T, bool> ? "a truth value" : "a version";
  if (stack_.empty() || !std::holds_alternative<T>(stack_.back())) {
    return broken(
        LastAttemptStatus::dependency_pop,
        fmt::format("the opcode at byte {} finds {} on the stack, expected {}", instruction.offset,
                    stack_.empty() ? "nothing" : "the other kind", wanted));
  }
  const T value = std::get<T>(stack_.back());
  stack_.pop_back();
  return value;
}

/// `operation` takes the value on top of the stack first, as the specification compares.
template <typename T, typename Operation>
tl::expected<void, DependencyError> Machine::binary(const Instruction& instruction,
                                                    Operation operation) {
  const auto first = pop<T>(instruction);
  if (!first) return tl::unexpected(first.error());
  const auto second = pop<T>(instruction);
  if (!second) return tl::unexpected(second.error());
  stack_.emplace_back(bool{operation(*first, *second)});
  return {};
}

tl::expected<void, DependencyError> Machine::run(const Instruction& instruction) {
  switch (instruction.opcode) {
    case Opcode::push_guid: {
      const auto version = installed_(instruction.guid);
      if (!version) {
        return broken(LastAttemptStatus::dependency_fmp_not_found,
                      fmt::format("no firmware of type {} is installed, which byte {} asks for",
                                  to_string(instruction.guid), instruction.offset));
      }
      stack_.emplace_back(*version);
      return {};
    }
    case Opcode::push_version:
      stack_.emplace_back(instruction.value);
      return {};
    case Opcode::push_true:
      stack_.emplace_back(true);
      return {};
    case Opcode::push_false:
      stack_.emplace_back(false);
      return {};
    case Opcode::logical_and:
      return binary<bool>(instruction, std::logical_and{});
    case Opcode::logical_or:
      return binary<bool>(instruction, std::logical_or{});
    case Opcode::logical_not: {
      const auto value = pop<bool>(instruction);
      if (!value) return tl::unexpected(value.error());
      stack_.emplace_back(!*value);
      return {};
    }
    case Opcode::equal:
      return binary<std::uint32_t>(instruction, std::equal_to{});
    case Opcode::greater:
      return binary<std::uint32_t>(instruction, std::greater{});
    case Opcode::greater_or_equal:
      return binary<std::uint32_t>(instruction, std::greater_equal{});
    case Opcode::less:
      return binary<std::uint32_t>(instruction, std::less{});
    case Opcode::less_or_equal:
      return binary<std::uint32_t>(instruction, std::less_equal{});
    case Opcode::version_string:
    case Opcode::declare_length:
    case Opcode::end:
      return {};
  }
  return {};
}

}  // namespace

tl::expected<Instruction, DependencyError> InstructionReader::next() {
  ByteReader reader(bytes_.subspan(position_));
  Instruction instruction;
  instruction.offset = position_;
  const std::uint8_t code = reader.u8();
  if (!reader.ok()) {
    return broken(LastAttemptStatus::dependency_no_end,
                  fmt::format("no END (0x0d) stands in its {} bytes", bytes_.size()));
  }
  if (code > static_cast<std::uint8_t>(Opcode::declare_length)) {
    return broken(
        LastAttemptStatus::dependency_opcode,
        fmt::format("the opcode at byte {} is {:#04x}, expected 0x00 to 0x0e", position_, code));
  }
  instruction.opcode = Opcode{code};
  const auto truncated = [&](LastAttemptStatus status, std::string_view operand) {
    return broken(status, fmt::format("the {} at byte {} is cut off by the end, {}", operand,
                                      position_, bytes_.size()));
  };
  if (instruction.opcode == Opcode::push_guid) {
    const auto guid = reader.take(16);
    if (!reader.ok()) return truncated(LastAttemptStatus::dependency_guid, "GUID");
    instruction.guid = Guid::from_bytes(guid);
  } else if (instruction.opcode == Opcode::push_version) {
    instruction.value = reader.u32();
    if (!reader.ok()) return truncated(LastAttemptStatus::dependency_version, "version");
  } else if (instruction.opcode == Opcode::version_string) {
    const auto rest = bytes_.subspan(position_ + 1);
    const auto nul = std::ranges::find(rest, std::byte{0});
    if (nul == rest.end()) {
      return truncated(LastAttemptStatus::dependency_version_string, "version string");
    }
    const auto text = reader.take(static_cast<std::size_t>(nul - rest.begin()) + 1);
    instruction.text = {reinterpret_cast<const char*>(text.data()), text.size() - 1};
  } else if (instruction.opcode == Opcode::declare_length) {
    instruction.value = reader.u32();
    if (position_ != 0) {
      return broken(LastAttemptStatus::dependency_declare_not_first,
                    fmt::format("DECLARE_LENGTH at byte {}, expected it first", position_));
    }
    if (!reader.ok() || instruction.value > bytes_.size()) {
      return broken(LastAttemptStatus::dependency_declare_too_long,
                    fmt::format("DECLARE_LENGTH reaches beyond the end, {}", bytes_.size()));
    }
  }
  position_ += reader.position();
  return instruction;
}

tl::expected<std::size_t, DependencyError> dependency_size(std::span<const std::byte> bytes) {
  InstructionReader reader(bytes.first(std::min(bytes.size(), max_dependency_size_bytes)));
  std::optional<std::uint32_t> declared;
  while (true) {
    const auto instruction = reader.next();
    if (!instruction) return tl::unexpected(instruction.error());
    if (instruction->opcode == Opcode::declare_length) declared = instruction->value;
    if (instruction->opcode == Opcode::end) break;
  }
  if (declared && *declared != reader.position()) {
    return broken(
        LastAttemptStatus::dependency_declare_wrong,
        fmt::format("DECLARE_LENGTH at byte 0 is {}, expected {}", *declared, reader.position()));
  }
  return reader.position();
}

tl::expected<void, DependencyError> evaluate_dependency(std::span<const std::byte> expression,
                                                        const InstalledVersion& installed) {
  const auto size = dependency_size(expression);
  if (!size) return tl::unexpected(size.error());
  InstructionReader reader(expression);
  Machine machine(installed);
  while (true) {
    const auto instruction = reader.next();
    if (!instruction) return tl::unexpected(instruction.error());
    if (instruction->opcode == Opcode::end) {
      const auto result = machine.result(*instruction);
      if (!result) return tl::unexpected(result.error());
      if (*result) return {};
      return broken(LastAttemptStatus::unsatisfied_dependencies,
                    "the installed versions do not satisfy it");
    }
    if (auto ran = machine.run(*instruction); !ran) return ran;
  }
}

}  // namespace efistore::capsule
