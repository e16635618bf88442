// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/base/efi_time.hpp"
#include "efistore/base/guid.hpp"
#include "efistore/store/layout.hpp"

namespace efistore::store {

/// A record's state byte: bits only ever get cleared (SPEC.md, "State").
enum class RecordState : std::uint8_t {
  header_only = 0xff,            ///< record not committed
  header_valid = 0x7f,           ///< written by EDK2 before 2023 only
  added = 0x3f,                  ///< live
  in_deleted_transition = 0x3e,  ///< live, unless a record of the same name is `added`
  deleted = 0x3d,
  superseded = 0x3c,  ///< deleted after a transition
};

/// A variable with its own memory.
struct Variable {
  std::u16string name;  ///< without the terminating NUL
  Guid guid;
  std::uint32_t attributes = 0;
  std::vector<std::byte> data{};
  /// The authenticated format's fields, zero in the normal one.
  EfiTime time{};
  std::uint64_t monotonic_count = 0;
  std::uint32_t public_key_index = 0;

  friend bool operator==(const Variable&, const Variable&) = default;
};

struct Record;

/// What is to be written, in the caller's memory.
struct RecordContent {
  std::u16string_view name;
  Guid guid;
  std::uint32_t attributes = 0;
  std::span<const std::byte> data;
  EfiTime time{};
  std::uint64_t monotonic_count = 0;
  std::uint32_t public_key_index = 0;

  RecordContent(std::u16string_view record_name, const Guid& record_guid,
                std::uint32_t record_attributes, std::span<const std::byte> record_data)
      : name(record_name), guid(record_guid), attributes(record_attributes), data(record_data) {}
  /// Views `variable`, which must outlive this.
  explicit RecordContent(const Variable& variable);
  /// Views `record`, which must outlive this.
  explicit RecordContent(const Record& record);
};

/// A live record in the index. Valid until the next change of the store it came from.
struct Record {
  std::u16string name;
  Guid guid;
  std::uint32_t attributes = 0;
  std::span<const std::byte> data;
  EfiTime time{};
  std::uint64_t monotonic_count = 0;
  std::uint32_t public_key_index = 0;
  RecordState state = RecordState::added;
  std::uint32_t offset = 0;  ///< of the header, in bytes from the start of the record area
  std::uint32_t size = 0;    ///< header, name and data, in bytes, without the padding

  Variable to_variable() const;
};

/// Bytes of a record header.
constexpr std::uint32_t record_header_size(RecordFormat format) noexcept {
  return format == RecordFormat::authenticated ? 60 : 32;
}

/// Bytes of a whole record without its padding: header, name with NUL, data.
std::size_t record_size(RecordFormat format, const RecordContent& content) noexcept;

/// Records begin at multiples of 4.
constexpr std::size_t align_record(std::size_t offset) noexcept {
  return (offset + 3) & ~std::size_t{3};
}

/// The record's bytes, without padding, with the given state.
std::vector<std::byte> encode_record(RecordFormat format, const RecordContent& content,
                                     RecordState state);

}  // namespace efistore::store
