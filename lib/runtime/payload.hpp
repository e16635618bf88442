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
#include "efistore/mm/payload.hpp"
#include "efistore/variable/efi_result.hpp"

namespace efistore::runtime {

using mm::name_size_of;
using mm::write_name;

/// The next `size` bytes, which are a name that ends in its only NUL; none for anything else.
std::optional<std::u16string> take_name(ByteReader& reader, std::uint64_t size);

/// Whether it succeeded is all there is to a reply.
variable::EfiResult<void> status_only(const variable::EfiResult<std::span<std::byte>>& reply);

/// What a reply that breaks the protocol becomes.
tl::unexpected<variable::EfiError> malformed_reply(std::string_view what);

}  // namespace efistore::runtime
