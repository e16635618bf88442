// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace efistore::flash {

/// `text`, which others wrote, made safe for a message: bytes outside printable ASCII become '?',
/// and what is longer than `limit` is cut and ends in "...".
std::string printable(std::string_view text, std::size_t limit);

}  // namespace efistore::flash
