// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/flash/memory_device.hpp"
#include "efistore/store/variable_store.hpp"

namespace efistore::test {

inline constexpr Guid vendor = *Guid::parse("11223344-5566-7788-99aa-bbccddeeff00");

using Bytes = std::vector<std::byte>;

inline Bytes bytes_of(std::string_view text) {
  const auto raw = as_bytes(text);
  return {raw.begin(), raw.end()};
}

/// A volume of three blocks of 4 KiB.
inline store::Layout small_layout(store::RecordFormat format = store::RecordFormat::authenticated) {
  return store::Layout::custom({.size_bytes = 0x3000, .format = format}).value();
}

/// A formatted image of `layout`.
inline Bytes blank_image(const store::Layout& layout) {
  flash::MemoryDevice device(
      {.size_bytes = layout.volume_size_bytes, .erase_block_size_bytes = layout.block_size_bytes});
  EXPECT_TRUE(store::VariableStore::format(device, layout));
  return {device.content().begin(), device.content().end()};
}

inline std::unique_ptr<flash::MemoryDevice> device_of(Bytes image) {
  return std::make_unique<flash::MemoryDevice>(std::move(image), 0x1000);
}

/// What the device holds now.
inline Bytes image_of(const flash::MemoryDevice& device) {
  return {device.content().begin(), device.content().end()};
}

/// The variables area of an image of small_layout(), without the fault-tolerant areas behind it.
inline Bytes variables_of(const Bytes& image) {
  return {image.begin(), image.begin() + 0x1000};
}

/// Offset of the first record of a fresh volume.
inline constexpr std::uint32_t first_record = 0x64;

/// Puts the bytes of a record with the given state at `at`; gives the offset behind it.
inline std::uint32_t plant(Bytes& image, std::uint32_t at, std::u16string_view name,
                           std::string_view data, std::uint8_t state,
                           store::RecordFormat format = store::RecordFormat::authenticated) {
  const auto record = store::encode_record(format, {name, vendor, 7, as_bytes(data)},
                                           static_cast<store::RecordState>(state));
  std::copy(record.begin(), record.end(), image.begin() + at);
  return static_cast<std::uint32_t>(store::align_record(at + record.size()));
}

/// "A=1 B=2": names and data of the live records in order.
inline std::string contents(const store::VariableStore& opened) {
  std::string text;
  for (const auto* r = opened.first(); r != nullptr; r = opened.next(*r)) {
    if (!text.empty()) text += ' ';
    for (const char16_t c : r->name) text += static_cast<char>(c);
    text += '=';
    for (const std::byte b : r->data) text += static_cast<char>(b);
  }
  return text;
}

}  // namespace efistore::test
