// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <string>
#include <string_view>

namespace efistore::tools {

enum class EscapeStyle {
  line,  ///< the result is one line
  text,  ///< line feeds and tabs stay
};

/// `text` made safe for a terminal, as valid UTF-8: control characters, characters that reorder or
/// break lines or cannot be seen and lone surrogates become "\u{1b}", bytes that are no UTF-8
/// "\xff". Backslashes are left alone, so the result is for reading and not for parsing.
std::string escape(std::string_view text, EscapeStyle style);

/// True if a terminal might take some of `text` as a command, or it is no UTF-8.
bool needs_escape(std::string_view text, EscapeStyle style);

}  // namespace efistore::tools
