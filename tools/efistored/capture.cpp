// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "capture.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <vector>

#include "efistore/base/bytes.hpp"

namespace efistore::daemon {

namespace {

Status write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, "write the capture");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

/// Reads all of `bytes` at `offset`; false if there are fewer.
Result<bool> read_at(int fd, std::uint64_t offset, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, "read the capture");
    if (count == 0) return false;
    offset += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

/// Where the last whole block of a capture that efistored wrote ends: 0 of one that was cut in its
/// header; none if it is something else. Only the blocks' sizes are looked at: who reads the
/// capture looks at the rest.
Result<std::optional<std::uint64_t>> end_of_blocks(int fd, std::uint64_t size) {
  const auto header = tools::capture_file_header();
  const auto expected = std::span(header).first(
      static_cast<std::size_t>(std::min<std::uint64_t>(size, header.size())));
  std::vector<std::byte> begin(expected.size());
  const auto begun = read_at(fd, 0, begin);
  if (!begun) return tl::unexpected(begun.error());
  if (!*begun || !equal_bytes(begin, expected)) return std::nullopt;
  if (expected.size() < header.size()) return 0;
  std::uint64_t end = header.size();
  while (size - end >= tools::min_capture_block_size) {
    std::array<std::byte, 8> head{};
    if (auto done = read_at(fd, end, head); !done) return tl::unexpected(done.error());
    ByteReader reader(head);
    reader.skip(4);
    const std::uint32_t block = reader.u32();
    if (block < tools::min_capture_block_size || block % 4 != 0 || block > size - end) break;
    end += block;
  }
  return end;
}

}  // namespace

Result<Capture> Capture::open(const std::filesystem::path& path) {
  // Not a pipe that nobody reads, nor a terminal.
  UniqueFd fd(::open(path.c_str(),
                     O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
                     0600));
  if (!fd) return fail_errno(errno, "open the capture " + path.string());
  const auto refused = [&](Errc code, std::string_view why) {
    return fail(code, fmt::format("the capture {}: {}", path.string(), why));
  };
  // First: until then somebody else may make it longer.
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return refused(Errc::busy, "another process writes it");
  }
  struct stat file {};
  if (::fstat(fd.get(), &file) != 0) return fail_errno(errno, path.string());
  if (!S_ISREG(file.st_mode) || file.st_nlink != 1) {
    return refused(Errc::already_exists, "it is there and no file of its own");
  }
  // What others may read, or could have prepared, is no place for what variables hold.
  if (file.st_uid != ::geteuid() || (file.st_mode & 0077) != 0) {
    return refused(Errc::already_exists, "it is there, and others have access to it");
  }
  const auto size = static_cast<std::uint64_t>(file.st_size);
  const auto end = end_of_blocks(fd.get(), size);
  if (!end) return tl::unexpected(end.error());
  if (!*end) return refused(Errc::already_exists, "it is there and no capture");
  if (**end != size && ::ftruncate(fd.get(), static_cast<off_t>(**end)) != 0) {
    return fail_errno(errno, "shorten the capture " + path.string());
  }
  const auto header = tools::capture_file_header();
  // Of one that is full the first frame tells.
  if (**end + header.size() > tools::max_capture_size_bytes) {
    return Capture(std::move(fd), tools::max_capture_size_bytes);
  }
  if (auto done = write_all(fd.get(), header); !done) return forward(std::move(done));
  return Capture(std::move(fd), **end + header.size());
}

Status Capture::add(const tools::CapturedFrame& frame) {
  const auto block = tools::encode_captured_frame(frame);
  if (block.size() > tools::max_capture_size_bytes - size_bytes_) {
    size_bytes_ = tools::max_capture_size_bytes;  // a smaller one would leave a gap
    return fail(Errc::no_space, "the capture is as large as one may be");
  }
  size_bytes_ += block.size();
  return write_all(fd_.get(), block);
}

}  // namespace efistore::daemon
