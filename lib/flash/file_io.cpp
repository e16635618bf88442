// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "file_io.hpp"

#include <fmt/format.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace efistore::flash {

Status read_fully(int fd, std::uint64_t offset, std::span<std::byte> out, const std::string& name) {
  while (!out.empty()) {
    const ssize_t count = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, fmt::format("{}: read at {:#x}", name, offset));
    if (count == 0) {
      return fail(Errc::io, fmt::format("{}: ends at {:#x}, {:#x} bytes earlier than it did", name,
                                        offset, out.size()));
    }
    offset += static_cast<std::uint64_t>(count);
    out = out.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Status write_fully(int fd, std::uint64_t offset, std::span<const std::byte> data,
                   const std::string& name) {
  while (!data.empty()) {
    const ssize_t count = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, fmt::format("{}: write at {:#x}", name, offset));
    if (count == 0) return fail(Errc::io, fmt::format("{}: no write at {:#x}", name, offset));
    offset += static_cast<std::uint64_t>(count);
    data = data.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Status write_erased(int fd, std::uint64_t offset, std::uint64_t size, const std::string& name) {
  std::array<std::byte, 16384> erased;
  erased.fill(std::byte{0xff});
  while (size > 0) {
    const auto part = std::span(erased).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(size, erased.size())));
    if (auto status = write_fully(fd, offset, part, name); !status) return status;
    offset += part.size();
    size -= part.size();
  }
  return {};
}

}  // namespace efistore::flash
