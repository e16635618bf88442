// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What efistore's own JSON and QEMU's have in common: an object with a version and an array of flat
// objects called "variables". Read as a stream, so that memory stays in proportion to the variables
// and not to whatever else a document may hold.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "efistore/base/efi_time.hpp"
#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"

#include "losses.hpp"

namespace efistore::exchange {

/// Objects and arrays inside one another, at most; the variables themselves need three.
inline constexpr std::size_t max_json_depth = 16;

/// The shape of a document.
struct JsonSchema {
  std::string_view version_key;
  std::uint64_t version = 0;
  /// The keys of a variable; an Entry knows them by their places here.
  std::span<const std::string_view> keys;
  /// Keys that the schema does not have become losses instead of errors.
  bool tolerates_unknown_keys = false;
};

/// One object of the array "variables". The getters fail stickily: after the first failure they
/// return zeros, and status() has the place and what was expected.
class Entry {
 public:
  Entry(const JsonSchema& schema, std::string place);

  const std::string& place() const noexcept { return place_; }
  bool has(std::size_t key) const noexcept;

  /// The text of a key that must be there.
  std::string_view text(std::size_t key);
  /// The integer of a key that must be there.
  std::uint64_t number(std::size_t key, std::uint64_t maximum);
  /// Bytes of a key that must be there, from hex.
  std::vector<std::byte> hex(std::size_t key);
  Guid guid(std::size_t key);
  EfiTime time(std::size_t key);
  std::u16string name(std::size_t key);

  void fail(std::size_t key, std::string_view message);
  Status status() const;

 private:
  friend class JsonDocumentReader;
  using Value = std::variant<std::monostate, std::string, std::uint64_t>;

  const JsonSchema& schema_;
  std::string place_;
  std::vector<Value> values_;
  std::string problem_;
};

/// Reads a document and calls `take` for each variable, in their order; the first failure ends it.
/// Errors: invalid_argument, with the place.
Status read_json_document(std::span<const std::byte> bytes, const JsonSchema& schema,
                          Losses& losses, const std::function<Status(Entry&)>& take);

}  // namespace efistore::exchange
