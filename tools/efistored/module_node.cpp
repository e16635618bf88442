// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "module_node.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/efistore.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace efistore::daemon {

namespace {

constexpr std::size_t request_overhead = sizeof(efistore_mm_header) + sizeof(efistore_mm_request);

std::optional<ModuleMessage::Origin> origin_of(std::uint32_t origin) {
  switch (origin) {
    case EFISTORE_ORIGIN_CALLER:
      return ModuleMessage::Origin::caller;
    case EFISTORE_ORIGIN_EFIVARS:
      return ModuleMessage::Origin::efivars;
    case EFISTORE_ORIGIN_CAPSULE:
      return ModuleMessage::Origin::capsule;
    default:
      return std::nullopt;
  }
}

}  // namespace

ModuleNode::ModuleNode(UniqueFd fd, std::size_t buffer_size)
    : fd_(std::move(fd)),
      in_(buffer_size + request_overhead),
      out_(buffer_size + sizeof(efistore_mm_header)) {}

Result<ModuleNode> ModuleNode::open(const std::filesystem::path& node) {
  UniqueFd fd(::open(node.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) {
    if (errno == EBUSY) {
      return fail(Errc::busy, fmt::format("{}: another daemon is attached", node.string()));
    }
    if (errno == ENOENT) {
      return fail(Errc::not_found,
                  fmt::format("{} is not there; is the module efistore loaded?", node.string()));
    }
    return fail_errno(errno, fmt::format("open {}", node.string()));
  }
  efistore_info info{};
  if (::ioctl(fd.get(), EFISTORE_IOC_INFO, &info) != 0) {
    if (errno == ENOTTY) {
      return fail(Errc::unsupported,
                  fmt::format("{} is no node of the efistore module", node.string()));
    }
    return fail_errno(errno, fmt::format("ask {} for its buffer", node.string()));
  }
  return ModuleNode(std::move(fd), info.buffer_size);
}

Result<std::optional<ModuleMessage>> ModuleNode::take() {
  ssize_t size = 0;
  do {
    size = ::read(fd_.get(), in_.data(), in_.size());
  } while (size < 0 && errno == EINTR);
  if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return std::nullopt;
  if (size < 0) return fail_errno(errno, "read from the kernel module");
  const auto bytes = std::span<const std::byte>(in_).first(static_cast<std::size_t>(size));
  efistore_mm_header header{};
  if (bytes.size() < sizeof(header)) return fail(Errc::io, "a message of the module is too short");
  std::memcpy(&header, bytes.data(), sizeof(header));
  const auto content = bytes.subspan(sizeof(header));
  ModuleMessage message{.id = header.id};
  if (header.type == EFISTORE_MM_CLOSED) {
    message.kind = ModuleMessage::Kind::closed;
    return message;
  }
  efistore_mm_request request{};
  if (header.type != EFISTORE_MM_REQUEST || header.size != content.size() ||
      content.size() < sizeof(request)) {
    return fail(Errc::io, fmt::format("the module sent a message of type {} and {} bytes",
                                      header.type, header.size));
  }
  std::memcpy(&request, content.data(), sizeof(request));
  const auto origin = origin_of(request.origin);
  if (!origin) return fail(Errc::io, fmt::format("the module names origin {}", request.origin));
  message.session = request.session;
  message.origin = *origin;
  message.uid = request.uid;
  message.gid = request.gid;
  message.frame = content.subspan(sizeof(request));
  return message;
}

Status ModuleNode::send(std::uint32_t type, std::uint64_t id, std::span<const std::byte> content) {
  efistore_mm_header header{};
  header.type = type;
  header.size = static_cast<__u32>(content.size());
  header.id = id;
  if (sizeof(header) + content.size() > out_.size()) out_.resize(sizeof(header) + content.size());
  std::memcpy(out_.data(), &header, sizeof(header));
  std::ranges::copy(content, out_.begin() + sizeof(header));
  ssize_t size = 0;
  do {
    size = ::write(fd_.get(), out_.data(), sizeof(header) + content.size());
  } while (size < 0 && errno == EINTR);
  if (size < 0) return fail_errno(errno, "write to the kernel module");
  return {};
}

Status ModuleNode::reply(std::uint64_t id, std::span<const std::byte> frame) {
  auto done = send(EFISTORE_MM_REPLY, id, frame);
  if (!done && done.error().code == Errc::not_found) return {};
  return done;
}

Status ModuleNode::announce(std::uint32_t ready) {
  const auto state = static_cast<__u32>(ready);
  return send(EFISTORE_MM_STATE, 0, std::as_bytes(std::span(&state, 1)));
}

Status ModuleNode::show_esrt(std::span<const capsule::EsrtEntry> entries) {
  // The message is EFI_SYSTEM_RESOURCE_TABLE itself.
  static_assert(sizeof(efistore_mm_esrt) == 16 && sizeof(efistore_mm_esrt_entry) == 40);
  std::vector<capsule::EsrtEntry> shown(entries.begin(), entries.end());
  for (capsule::EsrtEntry& entry : shown) {
    entry.last_attempt_status = capsule::standard_status(entry.last_attempt_status);
  }
  return send(EFISTORE_MM_ESRT, 0, capsule::encode_esrt(shown));
}

Status ModuleNode::tell_of_changes(std::uint64_t count) {
  const auto changes = static_cast<__u64>(count);
  return send(EFISTORE_MM_CHANGED, 0, std::as_bytes(std::span(&changes, 1)));
}

}  // namespace efistore::daemon
