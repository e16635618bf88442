// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "common/capture_format.hpp"

#include <fmt/format.h>

#include <optional>

#include "efistore/base/bytes.hpp"

namespace efistore::tools {

namespace {

constexpr std::uint32_t section_header = 0x0a0d0d0a;
constexpr std::uint32_t interface_description = 1;
constexpr std::uint32_t enhanced_packet = 6;
constexpr std::uint32_t byte_order_magic = 0x1a2b3c4d;
constexpr std::uint16_t option_timestamp_resolution = 9;
constexpr std::uint16_t option_flags = 2;
constexpr std::size_t pseudo_header_size = 24;
constexpr std::size_t block_overhead = min_capture_block_size;
constexpr std::size_t packet_fields = 20;

constexpr std::size_t padded(std::size_t size) noexcept {
  return (size + 3) & ~std::size_t{3};
}

/// A cursor in the byte order of the section.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, bool swapped) noexcept
      : reader_(bytes), swapped_(swapped) {}

  std::uint16_t u16() noexcept {
    const std::uint16_t v = reader_.u16();
    return swapped_ ? __builtin_bswap16(v) : v;
  }
  std::uint32_t u32() noexcept {
    const std::uint32_t v = reader_.u32();
    return swapped_ ? __builtin_bswap32(v) : v;
  }
  std::span<const std::byte> take(std::size_t size) noexcept { return reader_.take(size); }
  std::size_t remaining() const noexcept { return reader_.remaining(); }
  bool ok() const noexcept { return reader_.ok(); }

 private:
  ByteReader reader_;
  bool swapped_;
};

/// Nanoseconds in a unit of an interface's time stamps.
struct Resolution {
  std::uint64_t multiplier = 1000;
  std::uint64_t divisor = 1;
};

std::optional<Resolution> read_resolution(Reader options) {
  Resolution resolution;
  while (options.remaining() >= 4) {
    const std::uint16_t code = options.u16();
    const std::uint16_t size = options.u16();
    const auto value = options.take(padded(size));
    if (code == 0 || !options.ok()) break;
    if (code != option_timestamp_resolution || size != 1) continue;
    const auto exponent = static_cast<unsigned>(value[0]);
    // Powers of ten from a second to a nanosecond.
    if (exponent > 9) return std::nullopt;
    resolution.multiplier = 1;
    for (unsigned i = exponent; i < 9; ++i) resolution.multiplier *= 10;
  }
  return resolution;
}

std::optional<CapturedFrame> read_packet(Reader& body, const Resolution& resolution) {
  const std::uint64_t high = body.u32();
  const std::uint64_t units = (high << 32) | body.u32();
  const std::uint32_t captured = body.u32();
  const std::uint32_t original = body.u32();
  const auto packet = body.take(captured);
  if (!body.ok() || captured != original || captured < pseudo_header_size) return std::nullopt;
  ByteReader reader(packet);
  CapturedFrame frame;
  frame.time_ns = units * resolution.multiplier;
  const std::uint8_t version = reader.u8();
  frame.direction = static_cast<FrameDirection>(reader.u8());
  frame.transport = static_cast<FrameTransport>(reader.u8());
  const std::uint8_t reserved = reader.u8();
  frame.rights = reader.u32();
  frame.uid = reader.u32();
  const std::uint32_t reserved_too = reader.u32();
  frame.session = reader.u64();
  frame.frame = packet.subspan(pseudo_header_size);
  const bool directed =
      frame.direction == FrameDirection::request || frame.direction == FrameDirection::reply;
  const bool carried =
      frame.transport == FrameTransport::socket || frame.transport == FrameTransport::kernel_module;
  if (version != 1 || reserved != 0 || reserved_too != 0 || !directed || !carried) {
    return std::nullopt;
  }
  return frame;
}

}  // namespace

std::vector<std::byte> capture_file_header() {
  constexpr std::uint32_t section_size = 28;
  constexpr std::uint32_t interface_size = 32;
  std::vector<std::byte> header(section_size + interface_size);
  ByteWriter writer(header);
  writer.u32(section_header);
  writer.u32(section_size);
  writer.u32(byte_order_magic);
  writer.u16(1);
  writer.u16(0);
  writer.u64(UINT64_MAX);  // the section's length is not known
  writer.u32(section_size);
  writer.u32(interface_description);
  writer.u32(interface_size);
  writer.u16(capture_link_type);
  writer.u16(0);
  writer.u32(0);  // no limit on a packet's size
  writer.u16(option_timestamp_resolution);
  writer.u16(1);
  writer.u32(9);  // nanoseconds, and padding
  writer.u32(0);  // no more options
  writer.u32(interface_size);
  return header;
}

std::vector<std::byte> encode_captured_frame(const CapturedFrame& frame) {
  const std::size_t packet_size = pseudo_header_size + frame.frame.size();
  constexpr std::size_t options_size = 12;
  const std::size_t size = block_overhead + packet_fields + padded(packet_size) + options_size;
  std::vector<std::byte> block(size);
  ByteWriter writer(block);
  writer.u32(enhanced_packet);
  writer.u32(static_cast<std::uint32_t>(size));
  writer.u32(0);
  writer.u32(static_cast<std::uint32_t>(frame.time_ns >> 32));
  writer.u32(static_cast<std::uint32_t>(frame.time_ns & 0xffffffff));
  writer.u32(static_cast<std::uint32_t>(packet_size));
  writer.u32(static_cast<std::uint32_t>(packet_size));
  writer.u8(1);
  writer.u8(static_cast<std::uint8_t>(frame.direction));
  writer.u8(static_cast<std::uint8_t>(frame.transport));
  writer.u8(0);
  writer.u32(frame.rights);
  writer.u32(frame.uid);
  writer.u32(0);
  writer.u64(frame.session);
  writer.bytes(frame.frame);
  writer.fill(padded(packet_size) - packet_size, std::byte{0});
  // Inbound or outbound, so that programs show the direction.
  writer.u16(option_flags);
  writer.u16(sizeof(std::uint32_t));
  writer.u32(frame.direction == FrameDirection::request ? 1 : 2);
  writer.u32(0);
  writer.u32(static_cast<std::uint32_t>(size));
  return block;
}

Outcome<std::vector<CapturedFrame>> parse_capture(std::span<const std::byte> bytes) {
  std::vector<CapturedFrame> frames;
  std::vector<Resolution> interfaces;
  bool swapped = false;
  std::size_t sections = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto rest = bytes.subspan(at);
    const auto broken = [at](std::string_view what) {
      return fail_with(fmt::format("offset {}: {}", at, what));
    };
    // The section header's type is the same from both ends, so that its byte order can be read.
    ByteReader peek(rest);
    const bool section = peek.u32() == section_header;
    if (at == 0 && !section) return broken("expected a pcapng section header");
    if (section) {
      peek.skip(4);
      const std::uint32_t magic = peek.u32();
      if (!peek.ok()) break;
      swapped = magic == __builtin_bswap32(byte_order_magic);
      if (magic != byte_order_magic && !swapped) return broken("the byte-order magic is neither");
      interfaces.clear();
      ++sections;
    }
    Reader head(rest, swapped);
    const std::uint32_t type = head.u32();
    const std::uint32_t size = head.u32();
    if (!head.ok()) break;  // cut
    if (size % 4 != 0 || size < block_overhead) return broken("a block of an impossible size");
    if (size > rest.size()) break;  // cut
    if (Reader(rest.subspan(size - 4), swapped).u32() != size) {
      return broken("the block's two sizes differ");
    }
    Reader body(rest.subspan(8, size - block_overhead), swapped);
    if (type == interface_description) {
      const std::uint16_t link_type = body.u16();
      body.take(6);
      if (!body.ok()) return broken("the interface description is too short");
      if (link_type != capture_link_type) {
        return broken(
            fmt::format("link type {}: expected {} (USER0)", link_type, capture_link_type));
      }
      const auto resolution = read_resolution(Reader(body.take(body.remaining()), swapped));
      if (!resolution) return broken("time stamps of an unknown resolution");
      interfaces.push_back(*resolution);
    } else if (type == enhanced_packet) {
      const std::uint32_t interface = body.u32();
      if (interface >= interfaces.size()) return broken("a packet of an unknown interface");
      auto frame = read_packet(body, interfaces[interface]);
      if (!frame) return broken("a packet that is no captured frame");
      frame->section = sections - 1;
      frames.push_back(*frame);
    }
    at += size;
  }
  return frames;
}

}  // namespace efistore::tools
