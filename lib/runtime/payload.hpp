// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The parts of payloads, as the client writes and reads them.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "efistore/base/bytes.hpp"
#include "efistore/variable/efi_result.hpp"

namespace efistore::runtime {

inline std::size_t name_size_of(std::u16string_view name) noexcept {
  return (name.size() + 1) * sizeof(char16_t);
}

inline void write_name(ByteWriter& writer, std::u16string_view name) noexcept {
  for (const char16_t c : name) writer.u16(static_cast<std::uint16_t>(c));
  writer.u16(0);
}

/// The next `size` bytes, which are a name that ends in its only NUL; none for anything else.
std::optional<std::u16string> take_name(ByteReader& reader, std::uint64_t size);

/// What a reply that breaks the protocol becomes.
tl::unexpected<variable::EfiError> malformed_reply(std::string_view what);

}  // namespace efistore::runtime
