// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "capture.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

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

}  // namespace

Result<Capture> Capture::create(const std::filesystem::path& path) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_errno(errno, "make the capture " + path.string());
  if (auto done = write_all(fd.get(), tools::capture_file_header()); !done) {
    return forward(std::move(done));
  }
  return Capture(std::move(fd));
}

Status Capture::add(const tools::CapturedFrame& frame) {
  const auto block = tools::encode_captured_frame(frame);
  size_bytes_ += block.size();
  if (size_bytes_ > tools::max_capture_size_bytes - tools::capture_file_header().size()) {
    return fail(Errc::no_space, "the capture is as large as one may be");
  }
  return write_all(fd_.get(), block);
}

}  // namespace efistore::daemon
