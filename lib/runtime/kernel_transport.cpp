// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/efistore.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cerrno>
#include <string>
#include <utility>

#include "efistore/base/unique_fd.hpp"
#include "efistore/runtime/transport.hpp"

namespace efistore::runtime {

namespace {

/// The node, opened, and what it says of itself.
struct OpenedNode {
  UniqueFd fd;
  efistore_info info{};
};

Result<OpenedNode> open_node(const std::string& node) {
  OpenedNode opened;
  opened.fd = UniqueFd(::open(node.c_str(), O_RDWR | O_CLOEXEC));
  if (!opened.fd) return fail_errno(errno, fmt::format("open {}", node));
  if (::ioctl(opened.fd.get(), EFISTORE_IOC_INFO, &opened.info) != 0) {
    if (errno == ENOTTY) {
      return fail(Errc::unsupported, fmt::format("{} is no node of the efistore module", node));
    }
    return fail_errno(errno, fmt::format("ask {} for its buffer", node));
  }
  return opened;
}

class KernelWatch final : public ChangeWatch {
 public:
  explicit KernelWatch(UniqueFd fd) : fd_(std::move(fd)) {}

  int fd() const noexcept override { return fd_.get(); }
  short events() const noexcept override { return POLLPRI; }
  Status acknowledge() override {
    efistore_info info{};
    if (::ioctl(fd_.get(), EFISTORE_IOC_INFO, &info) != 0) {
      return fail_errno(errno, "ask the module for changes");
    }
    return {};
  }

 private:
  UniqueFd fd_;
};

class KernelTransport final : public Transport {
 public:
  KernelTransport(std::string node, UniqueFd fd, std::span<std::byte> buffer)
      : node_(std::move(node)), fd_(std::move(fd)), buffer_(buffer) {}
  KernelTransport(const KernelTransport&) = delete;
  KernelTransport& operator=(const KernelTransport&) = delete;
  ~KernelTransport() override { ::munmap(buffer_.data(), buffer_.size()); }

  std::span<std::byte> buffer() noexcept override { return buffer_; }

  Result<std::size_t> communicate(std::size_t request_size) override {
    efistore_communicate call{};
    call.size = static_cast<__u32>(request_size);
    while (::ioctl(fd_.get(), EFISTORE_IOC_COMMUNICATE, &call) != 0) {
      // The module's wait is one that only a fatal signal ends.
      if (errno == EINTR || errno == ERESTART) continue;
      return failure(errno);
    }
    if (call.size > buffer_.size()) {
      return fail(Errc::io, fmt::format("{}: the reply is larger than the buffer", node_));
    }
    return std::size_t{call.size};
  }

  Result<std::unique_ptr<ChangeWatch>> watch() override {
    auto opened = open_node(node_);
    if (!opened) return forward(std::move(opened));
    return std::make_unique<KernelWatch>(std::move(opened->fd));
  }

 private:
  tl::unexpected<Error> failure(int error) const {
    switch (error) {
      case ENOTCONN:
        return fail(Errc::not_found,
                    fmt::format("{}: no daemon is attached, or it went without an answer; is "
                                "efistored running with --kmod?",
                                node_));
      case ETIMEDOUT:
        return fail(Errc::busy, fmt::format("{}: no answer in time; the request may still be "
                                            "carried out",
                                            node_));
      case EBUSY:
        return fail(Errc::busy, fmt::format("{}: too many requests wait", node_));
      default:
        return fail_errno(error, fmt::format("communicate through {}", node_));
    }
  }

  std::string node_;
  UniqueFd fd_;
  std::span<std::byte> buffer_;
};

}  // namespace

Result<std::unique_ptr<Transport>> open_kernel_module(const std::filesystem::path& node) {
  auto opened = open_node(node.string());
  if (!opened) return forward(std::move(opened));
  const std::size_t size = opened->info.buffer_size;
  void* const memory =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, opened->fd.get(), 0);
  if (memory == MAP_FAILED) return fail_errno(errno, fmt::format("map {}", node.string()));
  return std::make_unique<KernelTransport>(node.string(), std::move(opened->fd),
                                           std::span(static_cast<std::byte*>(memory), size));
}

}  // namespace efistore::runtime
