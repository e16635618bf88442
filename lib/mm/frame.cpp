// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/mm/frame.hpp"

#include <fmt/format.h>

#include "efistore/base/bytes.hpp"
#include "efistore/mm/protocol.hpp"

namespace efistore::mm {

namespace {

Result<FrameHeader> parse_v3(std::span<const std::byte> bytes, std::size_t frame_size) {
  constexpr std::size_t size = header_size(HeaderVersion::v3);
  ByteReader reader(bytes);
  reader.skip(sizeof(Guid));
  const std::uint64_t buffer_size = reader.u64();
  const std::uint64_t reserved = reader.u64();
  const Guid protocol =
      reader.ok() && bytes.size() >= size ? Guid::from_bytes(reader.take(sizeof(Guid))) : Guid{};
  const std::uint64_t message_size = reader.u64();
  if (bytes.size() < size) {
    return fail(Errc::invalid_argument,
                fmt::format("a frame of {} bytes: its header has {}", bytes.size(), size));
  }
  if (buffer_size < size || buffer_size > frame_size) {
    return fail(Errc::invalid_argument,
                fmt::format("BufferSize at offset 16 is {}: expected {} to {}, the bytes there are",
                            buffer_size, size, frame_size));
  }
  if (reserved != 0) {
    return fail(Errc::invalid_argument,
                fmt::format("Reserved at offset 24 is {:#x}: expected 0", reserved));
  }
  if (message_size > buffer_size - size) {
    return fail(Errc::invalid_argument,
                fmt::format("MessageSize at offset 48 is {}: expected at most {}", message_size,
                            buffer_size - size));
  }
  return FrameHeader{HeaderVersion::v3, protocol, static_cast<std::size_t>(message_size)};
}

}  // namespace

Result<FrameHeader> parse_frame_header(std::span<const std::byte> bytes) {
  return parse_frame_header(bytes, bytes.size());
}

Result<FrameHeader> parse_frame_header(std::span<const std::byte> bytes, std::size_t frame_size) {
  if (bytes.size() < min_frame_size) {
    return fail(Errc::invalid_argument, fmt::format("a frame of {} bytes: its header has {}",
                                                    bytes.size(), min_frame_size));
  }
  ByteReader reader(bytes);
  const Guid protocol = Guid::from_bytes(reader.take(sizeof(Guid)));
  if (protocol == guids::communicate_header_v3) return parse_v3(bytes, frame_size);
  const std::uint64_t message_size = reader.u64();
  if (message_size > frame_size - min_frame_size) {
    return fail(Errc::invalid_argument,
                fmt::format("MessageLength at offset 16 is {}: expected at most {}, the bytes "
                            "behind the header",
                            message_size, frame_size - min_frame_size));
  }
  return FrameHeader{HeaderVersion::v1, protocol, static_cast<std::size_t>(message_size)};
}

void write_frame_header(std::span<std::byte> frame, const FrameHeader& header) noexcept {
  ByteWriter writer(frame);
  if (header.version == HeaderVersion::v3) {
    writer.bytes(guids::communicate_header_v3.bytes);
    writer.u64(header.frame_size());
    writer.u64(0);
  }
  writer.bytes(header.protocol.bytes);
  writer.u64(header.message_size);
}

std::vector<std::byte> make_frame(const FrameHeader& header) {
  std::vector<std::byte> frame(header.frame_size());
  write_frame_header(frame, header);
  return frame;
}

}  // namespace efistore::mm
