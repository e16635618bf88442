// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// EFI_MM_COMMUNICATE_HEADER (PI 1.8, volume 4, 5.7.5; version 3: EDK2's MmCommunication3.h). A
// frame is such a header and a message, which begins where the header ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"

namespace efistore::mm {

enum class HeaderVersion { v1, v3 };

constexpr std::size_t header_size(HeaderVersion version) noexcept {
  return version == HeaderVersion::v1 ? 24 : 56;
}

/// The shortest thing that can be a frame, and the longest header.
inline constexpr std::size_t min_frame_size = header_size(HeaderVersion::v1);
inline constexpr std::size_t max_header_size = header_size(HeaderVersion::v3);

struct FrameHeader {
  HeaderVersion version = HeaderVersion::v1;
  Guid protocol;
  std::size_t message_size = 0;

  std::size_t frame_size() const noexcept { return header_size(version) + message_size; }

  friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

/// Takes the header at the begin of `bytes`. Bytes behind the message are not looked at.
/// Errors: invalid_argument (field, offset and what was expected).
Result<FrameHeader> parse_frame_header(std::span<const std::byte> bytes);
/// The same of a frame of `frame_size` bytes, of which only the first are at hand.
Result<FrameHeader> parse_frame_header(std::span<const std::byte> bytes, std::size_t frame_size);

/// A frame with a message of zeros.
std::vector<std::byte> make_frame(const FrameHeader& header);
/// Writes the header to the begin of `frame`, which has room for it.
void write_frame_header(std::span<std::byte> frame, const FrameHeader& header) noexcept;

}  // namespace efistore::mm
