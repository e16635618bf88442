// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Dependency expressions as people write them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>

#include "efistore/base/bytes.hpp"
#include "efistore/capsule/dependency.hpp"

#include "opcodes.hpp"

namespace efistore::capsule {

namespace {

struct Operator {
  std::string_view text;
  Opcode opcode;
};

/// The longer ones first: a shorter one begins some of them.
constexpr std::array comparisons{
    Operator{"==", Opcode::equal},         Operator{">=", Opcode::greater_or_equal},
    Operator{"<=", Opcode::less_or_equal}, Operator{">", Opcode::greater},
    Operator{"<", Opcode::less},
};

std::optional<std::string_view> comparison_text(Opcode opcode) {
  const auto found = std::ranges::find(comparisons, opcode, &Operator::opcode);
  if (found == comparisons.end()) return std::nullopt;
  return found->text;
}

/// Recursive descent over
///   or:      and { "||" and }
///   and:     not { "&&" not }
///   not:     "~" not | primary
///   primary: "(" or ")" | "TRUE" | "FALSE" | GUID comparison VERSION [ "DECLARE" STRING ]
class Compiler {
 public:
  explicit Compiler(std::string_view text) noexcept : text_(text) {}

  Result<std::vector<std::byte>> compile() {
    if (Status parsed = parse_or(); !parsed) return forward(std::move(parsed));
    if (skip_space(); position_ != text_.size()) return forward(expected("&&, || or the end"));
    emit(Opcode::end);
    if (code_.size() > max_dependency_size_bytes) {
      return fail(Errc::invalid_argument,
                  fmt::format("the dependency takes {} bytes, expected at most {}", code_.size(),
                              max_dependency_size_bytes));
    }
    return std::move(code_);
  }

 private:
  Status expected(std::string_view what) const {
    return fail(Errc::invalid_argument, fmt::format("dependency \"{}\": at column {} expected {}",
                                                    text_, position_ + 1, what));
  }

  void skip_space() {
    while (position_ < text_.size() &&
           (text_[position_] == ' ' || text_[position_] == '\t' || text_[position_] == '\n')) {
      ++position_;
    }
  }
  bool take(std::string_view token) {
    skip_space();
    if (!text_.substr(position_).starts_with(token)) return false;
    position_ += token.size();
    return true;
  }
  /// Letters, digits and dashes.
  std::string_view peek_word() {
    skip_space();
    const auto rest = text_.substr(position_);
    const auto end = std::ranges::find_if_not(
        rest, [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_'; });
    return rest.substr(0, static_cast<std::size_t>(end - rest.begin()));
  }
  bool take_word(std::string_view word) {
    if (peek_word() != word) return false;
    position_ += word.size();
    return true;
  }

  void emit(Opcode opcode) { code_.push_back(static_cast<std::byte>(opcode)); }
  void emit(std::span<const std::byte> operand) {
    code_.insert(code_.end(), operand.begin(), operand.end());
  }

  Status parse_or();
  Status parse_and();
  Status parse_not();
  Status parse_primary();
  Status parse_comparison();
  Status parse_declaration();
  Result<std::uint32_t> parse_version();

  std::string_view text_;
  std::size_t position_ = 0;
  int depth_ = 0;
  std::vector<std::byte> code_;
};

Status Compiler::parse_or() {
  if (Status first = parse_and(); !first) return first;
  while (take("||")) {
    if (Status next = parse_and(); !next) return next;
    emit(Opcode::logical_or);
  }
  return {};
}

Status Compiler::parse_and() {
  if (Status first = parse_not(); !first) return first;
  while (take("&&")) {
    if (Status next = parse_not(); !next) return next;
    emit(Opcode::logical_and);
  }
  return {};
}

Status Compiler::parse_not() {
  std::size_t count = 0;
  while (take("~")) ++count;
  if (Status parsed = parse_primary(); !parsed) return parsed;
  for (; count > 0; --count) emit(Opcode::logical_not);
  return {};
}

Status Compiler::parse_primary() {
  if (take("(")) {
    if (++depth_ > max_expression_depth) {
      return expected(fmt::format("at most {} parentheses in one another", max_expression_depth));
    }
    if (Status inner = parse_or(); !inner) return inner;
    if (!take(")")) return expected("&&, || or )");
    --depth_;
    return {};
  }
  if (take_word("TRUE")) {
    emit(Opcode::push_true);
    return {};
  }
  if (take_word("FALSE")) {
    emit(Opcode::push_false);
    return {};
  }
  return parse_comparison();
}

Status Compiler::parse_comparison() {
  const std::string_view word = peek_word();
  const auto guid = Guid::parse(word);
  if (!guid) return expected("an image type's GUID, TRUE, FALSE, ~ or (");
  position_ += word.size();
  const auto found =
      std::ranges::find_if(comparisons, [this](const Operator& op) { return take(op.text); });
  if (found == comparisons.end()) return expected("==, >, >=, < or <=");
  const auto version = parse_version();
  if (!version) return tl::unexpected(version.error());
  // The operand that is compared is on top of the stack, so it comes second.
  std::array<std::byte, 4> operand;
  ByteWriter(operand).u32(*version);
  emit(Opcode::push_version);
  emit(operand);
  if (Status declared = parse_declaration(); !declared) return declared;
  emit(Opcode::push_guid);
  emit(guid->bytes);
  emit(found->opcode);
  return {};
}

Result<std::uint32_t> Compiler::parse_version() {
  std::string_view word = peek_word();
  const std::size_t size = word.size();
  if (word.starts_with("0x") || word.starts_with("0X")) word.remove_prefix(2);
  std::uint32_t version = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), version, 16);
  if (error != std::errc() || end != word.data() + word.size()) {
    return forward(expected("a version: up to eight hexadecimal digits"));
  }
  position_ += size;
  return version;
}

Status Compiler::parse_declaration() {
  if (!take_word("DECLARE")) return {};
  if (!take("\"")) return expected("a text in quotation marks");
  const std::size_t end = text_.find('"', position_);
  const auto text = text_.substr(position_, end - position_);
  if (end == std::string_view::npos || text.find('\0') != std::string_view::npos) {
    return expected("a text in quotation marks");
  }
  position_ = end + 1;
  emit(Opcode::version_string);
  emit(as_bytes(text));
  code_.push_back(std::byte{0});
  return {};
}

/// What one opcode after the other makes of the text.
struct Piece {
  enum class Kind { version, guid, truth } kind;
  std::string text;
  /// An operator that binds looser than its neighbour wants parentheses.
  int precedence = 3;
};

/// Of expressions that are shown infix: its text is copied once for each opcode.
constexpr std::size_t max_infix_size_bytes = 4096;

constexpr int precedence_of_or = 1;
constexpr int precedence_of_and = 2;
constexpr int precedence_of_primary = 3;

std::string parenthesised(const Piece& piece, int least) {
  return piece.precedence < least ? "(" + piece.text + ")" : piece.text;
}

/// False if the stack does not hold what the opcode takes, or not in the order of the text.
bool apply(const Instruction& instruction, std::vector<Piece>& stack) {
  const auto top_is = [&](std::size_t depth, Piece::Kind kind) {
    return stack.size() > depth && stack[stack.size() - 1 - depth].kind == kind;
  };
  switch (instruction.opcode) {
    case Opcode::push_guid:
      stack.push_back({Piece::Kind::guid, to_string(instruction.guid)});
      return true;
    case Opcode::push_version:
      stack.push_back({Piece::Kind::version, fmt::format("{:#x}", instruction.value)});
      return true;
    case Opcode::version_string:
      if (!top_is(0, Piece::Kind::version) ||
          instruction.text.find_first_of("\"\n") != std::string_view::npos) {
        return false;
      }
      stack.back().text += fmt::format(" DECLARE \"{}\"", instruction.text);
      return true;
    case Opcode::push_true:
      stack.push_back({Piece::Kind::truth, "TRUE"});
      return true;
    case Opcode::push_false:
      stack.push_back({Piece::Kind::truth, "FALSE"});
      return true;
    case Opcode::logical_not:
      if (!top_is(0, Piece::Kind::truth)) return false;
      stack.back().text = "~" + parenthesised(stack.back(), precedence_of_primary);
      stack.back().precedence = precedence_of_primary;
      return true;
    case Opcode::logical_and:
    case Opcode::logical_or: {
      if (!top_is(0, Piece::Kind::truth) || !top_is(1, Piece::Kind::truth)) return false;
      const bool is_and = instruction.opcode == Opcode::logical_and;
      const int own = is_and ? precedence_of_and : precedence_of_or;
      const Piece right = std::move(stack.back());
      stack.pop_back();
      // The right one is grouped also where it binds as close, so that the same opcodes come back.
      stack.back().text = fmt::format("{} {} {}", parenthesised(stack.back(), own),
                                      is_and ? "&&" : "||", parenthesised(right, own + 1));
      stack.back().precedence = own;
      return true;
    }
    default:
      break;
  }
  const auto comparison = comparison_text(instruction.opcode);
  if (!comparison || !top_is(0, Piece::Kind::guid) || !top_is(1, Piece::Kind::version)) {
    return false;
  }
  const Piece guid = std::move(stack.back());
  stack.pop_back();
  stack.back() = {Piece::Kind::truth,
                  fmt::format("{} {} {}", guid.text, *comparison, stack.back().text),
                  precedence_of_primary};
  return true;
}

std::string opcode_text(const Instruction& instruction) {
  switch (instruction.opcode) {
    case Opcode::push_guid:
      return "PUSH_GUID " + to_string(instruction.guid);
    case Opcode::push_version:
      return fmt::format("PUSH_VERSION {:#x}", instruction.value);
    case Opcode::version_string:
      return fmt::format("VERSION_STRING ({} bytes)", instruction.text.size());
    case Opcode::logical_and:
      return "AND";
    case Opcode::logical_or:
      return "OR";
    case Opcode::logical_not:
      return "NOT";
    case Opcode::push_true:
      return "TRUE";
    case Opcode::push_false:
      return "FALSE";
    case Opcode::equal:
      return "EQ";
    case Opcode::greater:
      return "GT";
    case Opcode::greater_or_equal:
      return "GTE";
    case Opcode::less:
      return "LT";
    case Opcode::less_or_equal:
      return "LTE";
    case Opcode::end:
      return "END";
    case Opcode::declare_length:
      return fmt::format("DECLARE_LENGTH {}", instruction.value);
  }
  return "";
}

}  // namespace

Result<std::vector<std::byte>> compile_dependency(std::string_view text) {
  return Compiler(text).compile();
}

Result<std::string> dependency_text(std::span<const std::byte> expression) {
  const auto size = dependency_size(expression);
  if (!size) return fail(Errc::invalid_argument, size.error().message);
  InstructionReader reader(expression);
  std::string opcodes;
  std::vector<Piece> stack;
  bool infix = *size <= max_infix_size_bytes;
  while (reader.position() < *size) {
    const auto instruction = reader.next();
    if (!instruction) return fail(Errc::invalid_argument, instruction.error().message);
    opcodes += (opcodes.empty() ? "" : ", ") + opcode_text(*instruction);
    if (instruction->opcode == Opcode::end || !infix) continue;
    infix = apply(*instruction, stack);
  }
  return infix && stack.size() == 1 && stack[0].kind == Piece::Kind::truth ? stack[0].text
                                                                           : opcodes;
}

}  // namespace efistore::capsule
