// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "json_document.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "efistore/base/bytes.hpp"
#include "efistore/base/ucs2.hpp"

#include "collector.hpp"
#include "naming.hpp"

namespace efistore::exchange {

Entry::Entry(const JsonSchema& schema, std::string place)
    : schema_(schema), place_(std::move(place)), values_(schema.keys.size()) {}

bool Entry::has(std::size_t key) const noexcept {
  return !std::holds_alternative<std::monostate>(values_[key]);
}

std::string_view Entry::text(std::size_t key) {
  if (const auto* text = std::get_if<std::string>(&values_[key])) return *text;
  fail(key, has(key) ? "expected a string" : "missing");
  return {};
}

std::uint64_t Entry::number(std::size_t key, std::uint64_t maximum) {
  const auto* number = std::get_if<std::uint64_t>(&values_[key]);
  if (number != nullptr && *number <= maximum) return *number;
  fail(key, has(key) ? fmt::format("expected an integer from 0 to {}", maximum) : "missing");
  return 0;
}

std::vector<std::byte> Entry::hex(std::size_t key) {
  auto bytes = from_hex(text(key));
  if (!bytes) {
    fail(key, "expected hexadecimal digits, two a byte");
    return {};
  }
  return *std::move(bytes);
}

Guid Entry::guid(std::size_t key) {
  const auto guid = Guid::parse(text(key));
  if (!guid) fail(key, "expected a GUID such as 8be4df61-93ca-11d2-aa0d-00e098032b8c");
  return guid.value_or(Guid{});
}

EfiTime Entry::time(std::size_t key) {
  const std::vector<std::byte> raw = hex(key);
  if (raw.size() == EfiTime{}.bytes.size()) return EfiTime::from_bytes(raw);
  fail(key, "expected an EFI_TIME in 32 hexadecimal digits");
  return {};
}

std::u16string Entry::name(std::size_t key) {
  auto name = from_utf8(text(key));
  if (!name) {
    fail(key, "expected UTF-8");
    return {};
  }
  return *std::move(name);
}

void Entry::fail(std::size_t key, std::string_view message) {
  if (problem_.empty()) problem_ = fmt::format("{}.{}: {}", place_, schema_.keys[key], message);
}

Status Entry::status() const {
  if (problem_.empty()) return {};
  return efistore::fail(Errc::invalid_argument, problem_);
}

/// Receives the parser's events. The functions with the parser's names return false to end the
/// parse, after they have set problem_.
class JsonDocumentReader {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  JsonDocumentReader(const JsonSchema& schema, Losses& losses,
                     const std::function<Status(Entry&)>& take)
      : schema_(schema), losses_(losses), take_(take) {}

  Status read(std::span<const std::byte> bytes) {
    const auto* begin = reinterpret_cast<const char*>(bytes.data());
    const bool complete = nlohmann::json::sax_parse(begin, begin + bytes.size(), this);
    if (complete && !has_version_) problem_ = fmt::format("{}: missing", schema_.version_key);
    if (complete && !has_variables_) problem_ = "variables: missing";
    if (problem_.empty()) return {};
    return fail(Errc::invalid_argument, problem_);
  }

  bool null() { return skipping() || unexpected("null"); }
  bool boolean(bool) { return skipping() || unexpected("a truth value"); }
  bool number_float(number_float_t, const string_t&) {
    return skipping() || unexpected("a fraction, or a number beyond 64 bits");
  }
  bool binary(binary_t&) { return unexpected("binary data"); }  // the text format has none
  bool number_integer(number_integer_t value) {
    if (skipping()) return true;
    // The parser takes "-0" for a negative number.
    return value == 0 ? number_unsigned(0) : unexpected("a negative number");
  }

  bool number_unsigned(number_unsigned_t value) {
    if (skipping()) return true;
    if (level_ == Level::entry) return store(std::uint64_t{value});
    if (level_ != Level::document || key_ != schema_.version_key) return unexpected("a number");
    has_version_ = true;
    if (value == schema_.version) return true;
    return stop(fmt::format("{}: {}, expected {}", key_, value, schema_.version));
  }

  bool string(string_t& value) {
    if (skipping()) return true;
    return level_ == Level::entry ? store(std::move(value)) : unexpected("a string");
  }

  bool start_object(std::size_t) {
    if (skipping()) return descend();
    if (level_ == Level::outside) {
      level_ = Level::document;
      return true;
    }
    if (level_ != Level::variables) return unexpected("an object");
    if (count_ == max_variables) {
      return stop(fmt::format("variables: expected at most {}", max_variables));
    }
    level_ = Level::entry;
    entry_.emplace(schema_, fmt::format("variables[{}]", count_));
    ++count_;
    return true;
  }

  bool end_object() {
    if (skip_depth_ != 0) return ascend();
    if (level_ == Level::document) {
      level_ = Level::outside;
      return true;
    }
    level_ = Level::variables;
    const Status taken = take_(*entry_);
    entry_.reset();
    return taken ? true : stop(taken.error().message);
  }

  bool start_array(std::size_t) {
    if (skipping()) return descend();
    if (level_ != Level::document || key_ != "variables") return unexpected("an array");
    has_variables_ = true;
    level_ = Level::variables;
    return true;
  }

  bool end_array() {
    if (skip_depth_ != 0) return ascend();
    level_ = Level::document;
    return true;
  }

  bool key(string_t& key) {
    if (skip_depth_ != 0) return true;
    return level_ == Level::entry ? entry_key(key) : document_key(key);
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception& error) {
    // The parser's own text begins with the exception's number and may quote the input at length.
    std::string_view detail = error.what();
    if (const auto line = detail.find("line "); line != std::string_view::npos) {
      detail.remove_prefix(line);
    }
    return stop(fmt::format("byte {}: no JSON: {}", position, printable(detail, 200)));
  }

 private:
  enum class Level { outside, document, variables, entry };

  bool stop(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }

  /// The value that has just begun belongs to a key that nobody knows.
  bool skipping() const noexcept { return skip_depth_ != 0 || skip_value_; }

  bool descend() {
    // The levels above what is skipped: the document, and in a variable the array and the object.
    const std::size_t above = level_ == Level::entry ? 3 : 1;
    skip_value_ = false;
    if (++skip_depth_ + above <= max_json_depth) return true;
    return stop(fmt::format("{}: expected at most {} objects and arrays inside one another",
                            place_of_key(), max_json_depth));
  }

  bool ascend() noexcept {
    --skip_depth_;
    return true;
  }

  std::string place_of_key() const {
    switch (level_) {
      case Level::outside:
        return "document";
      case Level::document:
        return printable(key_);
      case Level::variables:
        return fmt::format("variables[{}]", count_);
      case Level::entry:
        break;
    }
    return fmt::format("{}.{}", entry_->place(), printable(key_));
  }

  std::string_view expected() const noexcept {
    if (level_ == Level::outside || level_ == Level::variables) return "an object";
    if (level_ == Level::document) return key_ == "variables" ? "an array" : "an integer";
    return "a string or an integer from 0 to 18446744073709551615";
  }

  bool unexpected(std::string_view found) {
    return stop(fmt::format("{}: {}, expected {}", place_of_key(), found, expected()));
  }

  bool store(Entry::Value value) {
    entry_->values_[key_place_] = std::move(value);
    return true;
  }

  bool unknown_key() {
    if (!schema_.tolerates_unknown_keys) return stop(place_of_key() + ": unknown key");
    losses_.parts.add([this] { return place_of_key() + ": unknown key, left out"; });
    skip_value_ = true;
    return true;
  }

  bool document_key(string_t& key) {
    key_ = std::move(key);
    skip_value_ = false;
    const bool is_version = key_ == schema_.version_key;
    if (!is_version && key_ != "variables") return unknown_key();
    if (is_version ? has_version_ : has_variables_) {
      return stop(fmt::format("{}: given twice", key_));
    }
    return true;
  }

  bool entry_key(string_t& key) {
    key_ = std::move(key);
    skip_value_ = false;
    const auto known = std::ranges::find(schema_.keys, key_);
    if (known == schema_.keys.end()) return unknown_key();
    key_place_ = static_cast<std::size_t>(known - schema_.keys.begin());
    if (entry_->has(key_place_)) return stop(fmt::format("{}: given twice", place_of_key()));
    return true;
  }

  const JsonSchema& schema_;
  Losses& losses_;
  const std::function<Status(Entry&)>& take_;

  Level level_ = Level::outside;
  std::string key_;  ///< the last key that was not skipped
  std::size_t key_place_ = 0;
  bool skip_value_ = false;     ///< the next value is that of an unknown key
  std::size_t skip_depth_ = 0;  ///< objects and arrays open inside it
  bool has_version_ = false;
  bool has_variables_ = false;
  std::size_t count_ = 0;
  std::optional<Entry> entry_;
  std::string problem_;
};

Status read_json_document(std::span<const std::byte> bytes, const JsonSchema& schema,
                          Losses& losses, const std::function<Status(Entry&)>& take) {
  if (auto size = check_input_size(bytes); !size) return size;
  // The parser would take a NUL for the end of the input.
  if (const auto nul = std::ranges::find(bytes, std::byte{0}); nul != bytes.end()) {
    return fail(Errc::invalid_argument,
                fmt::format("byte {}: no JSON: a NUL", nul - bytes.begin()));
  }
  return JsonDocumentReader(schema, losses, take).read(bytes);
}

}  // namespace efistore::exchange
