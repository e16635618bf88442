// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Variable names are CHAR16 strings, which firmware treats as UCS-2: a surrogate without its
// partner is a name like any other, and must come back as it was.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace efistore {

/// Generalised UTF-8 (WTF-8): pairs of surrogates become one four-byte sequence, a lone surrogate
/// its own three bytes. Lossless: from_utf8() gives the same name back.
std::string to_utf8(std::u16string_view text);

/// The inverse of to_utf8(); none if `text` is not (generalised) UTF-8: overlong, truncated or
/// above U+10FFFF.
std::optional<std::u16string> from_utf8(std::string_view text);

/// True if `text` holds a surrogate without its partner, so that to_utf8() is not valid UTF-8.
bool has_lone_surrogate(std::u16string_view text) noexcept;

}  // namespace efistore
