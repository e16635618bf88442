// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// How messages and documents speak of names.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "efistore/base/guid.hpp"

namespace efistore::exchange {

/// Valid UTF-8 for any name: to_utf8() with U+FFFD for each lone surrogate.
std::string readable_name(std::u16string_view name);

/// `text`, which may be any bytes, for a message: control characters and malformed UTF-8 as '?',
/// and what goes beyond `max_size_bytes` as an ellipsis.
std::string printable(std::string_view text, std::size_t max_size_bytes = 64);

/// "Boot0000-8be4df61-93ca-11d2-aa0d-00e098032b8c", fit for a message whatever the name.
std::string label(std::u16string_view name, const Guid& guid);

/// What keeps `name` from being a variable's name, as the end of a sentence; empty if nothing does.
std::string_view name_problem(std::u16string_view name) noexcept;

}  // namespace efistore::exchange
