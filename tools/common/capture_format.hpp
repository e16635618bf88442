// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Captures of communicate frames: pcapng (draft-ietf-opsawg-pcapng) with the link type USER0. The
// packet is a pseudo-header, which efistore-formats(5) describes, and the frame.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/outcome.hpp"

namespace efistore::tools {

/// LINKTYPE_USER0.
inline constexpr std::uint16_t capture_link_type = 147;
inline constexpr std::uint64_t max_capture_size_bytes = std::uint64_t{1} << 30;
/// Of a block its type and, twice, its size.
inline constexpr std::size_t min_capture_block_size = 12;

enum class FrameDirection : std::uint8_t { request = 1, reply = 2 };
enum class FrameTransport : std::uint8_t { socket = 1, kernel_module = 2 };

struct CapturedFrame {
  std::uint64_t time_ns = 0;  ///< since 1970
  FrameDirection direction = FrameDirection::request;
  FrameTransport transport = FrameTransport::socket;
  std::uint32_t rights = 0;  ///< mm::Rights of who asked
  std::uint32_t uid = 0;
  std::uint64_t session = 0;
  std::size_t section = 0;  ///< of the capture: each is of another daemon; the first is 0
  std::span<const std::byte> frame{};
};

/// What a capture begins with: a section header and an interface description. Behind other blocks
/// they begin another section, of a daemon that goes on with the file; its sessions are others.
std::vector<std::byte> capture_file_header();
/// An enhanced packet block.
std::vector<std::byte> encode_captured_frame(const CapturedFrame& frame);

/// The frames of a capture, in both byte orders and whatever program wrote it; `bytes` must outlive
/// them. Blocks of other kinds are passed over. A last block that is cut is left out.
/// Fails for what is no pcapng, has another link type, or breaks the format, with the offset.
Outcome<std::vector<CapturedFrame>> parse_capture(std::span<const std::byte> bytes);

}  // namespace efistore::tools
