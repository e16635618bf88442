// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Variables' data as people read it.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace efistore::tools {

/// Lines of offset, 16 bytes in hexadecimal and the same in ASCII; empty for no data.
std::string hex_dump(std::span<const std::byte> data);

/// `data` as text: UTF-8 or, if it is not that, UTF-16 (little-endian); a NUL at the end is left
/// out. None if it is neither, or holds another NUL. The result is not escaped.
std::optional<std::string> data_as_text(std::span<const std::byte> data);

/// `text` in UTF-16, little-endian, with a NUL at the end, as firmware keeps strings. None if
/// `text` is no UTF-8.
std::optional<std::vector<std::byte>> text_as_utf16(std::string_view text);

}  // namespace efistore::tools
