// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "config_reader.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <exception>
#include <string>

#include "efistore/base/bytes.hpp"

#include "sandbox.hpp"

namespace efistore::daemon {

namespace {

using tools::fail_with;
using tools::Outcome;

/// A reply: how it went, and then permissions or a message.
enum class Answer : std::uint8_t { permissions = 1, failure = 2 };
enum class Who : std::uint32_t { any = 0, user = 1, group = 2 };

constexpr std::size_t permission_size = 12;
/// Far from what a socket takes at once.
constexpr std::size_t max_permissions = 4096;
constexpr std::size_t max_message_size = 1024;
constexpr std::size_t max_answer_size = 1 + max_permissions * permission_size;

std::vector<std::byte> encode(const Outcome<std::vector<Permission>>& read) {
  std::string failure;
  if (!read) failure = read.error().message.substr(0, max_message_size);
  if (read && read->size() > max_permissions) {
    failure = fmt::format("{} permissions: expected at most {}", read->size(), max_permissions);
  }
  if (!failure.empty() || !read) {
    std::vector<std::byte> answer(1 + failure.size());
    ByteWriter writer(answer);
    writer.u8(static_cast<std::uint8_t>(Answer::failure));
    writer.bytes(as_bytes(failure));
    return answer;
  }
  std::vector<std::byte> answer(1 + read->size() * permission_size);
  ByteWriter writer(answer);
  writer.u8(static_cast<std::uint8_t>(Answer::permissions));
  for (const Permission& permission : *read) {
    const Who who = permission.uid ? Who::user : permission.gid ? Who::group : Who::any;
    writer.u32(static_cast<std::uint32_t>(who));
    writer.u32(permission.uid.value_or(permission.gid.value_or(0)));
    writer.u32(static_cast<std::uint32_t>(permission.rights));
  }
  return answer;
}

std::vector<Permission> decode_permissions(ByteReader& reader) {
  std::vector<Permission> permissions;
  while (reader.remaining() >= permission_size) {
    Permission permission;
    const auto who = static_cast<Who>(reader.u32());
    const std::uint32_t id = reader.u32();
    permission.rights = static_cast<mm::Rights>(reader.u32());
    if (who == Who::user) permission.uid = id;
    if (who == Who::group) permission.gid = id;
    permissions.push_back(permission);
  }
  return permissions;
}

Outcome<std::vector<Permission>> read_guarded(const ConfigReader::Read& read) {
  try {
    return read();
  } catch (const std::exception& error) {  // out of memory, in effect
    return fail_with(std::string(error.what()));
  }
}

[[noreturn]] void serve(const UniqueFd& socket, const ConfigReader::Read& read) {
  ::prctl(PR_SET_NAME, "efistored-conf");
  // A terminal that goes away tells all processes, and only the daemon is meant.
  std::signal(SIGHUP, SIG_IGN);
  // What the daemon will need to know of: an end of this one is told by its socket.
  if (!confine_reader()) std::_Exit(1);
  for (;;) {
    char request = 0;
    const ssize_t size = ::recv(socket.get(), &request, sizeof(request), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) std::_Exit(0);
    const auto answer = encode(read_guarded(read));
    if (::send(socket.get(), answer.data(), answer.size(), MSG_NOSIGNAL) < 0) std::_Exit(1);
  }
}

}  // namespace

Result<ConfigReader> ConfigReader::start(const Read& read) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail_errno(errno, "make a socket");
  }
  UniqueFd own(ends[0]);
  UniqueFd other(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return fail_errno(errno, "make the process that reads the configuration");
  if (child != 0) return ConfigReader(std::move(own));
  own.reset();
  // Also what the service manager passed, which is to close when the daemon does.
  const auto kept = static_cast<unsigned>(other.get());
  if (kept > STDERR_FILENO + 1) ::close_range(STDERR_FILENO + 1, kept - 1, 0);
  ::close_range(kept + 1, ~0U, 0);
  serve(other, read);
}

Status ConfigReader::ask() {
  const char request = 'r';
  if (::send(socket_.get(), &request, sizeof(request), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    return fail_errno(errno, "the process that reads the configuration is gone");
  }
  return {};
}

Outcome<std::vector<Permission>> ConfigReader::take() {
  std::vector<std::byte> answer(max_answer_size);
  const ssize_t size = ::recv(socket_.get(), answer.data(), answer.size(), MSG_DONTWAIT);
  if (size <= 0) return fail_with("the process that reads the configuration is gone");
  answer.resize(static_cast<std::size_t>(size));
  ByteReader reader(answer);
  if (reader.u8() == static_cast<std::uint8_t>(Answer::permissions)) {
    return decode_permissions(reader);
  }
  const auto text = reader.take(reader.remaining());
  return fail_with(std::string(reinterpret_cast<const char*>(text.data()), text.size()));
}

}  // namespace efistore::daemon
