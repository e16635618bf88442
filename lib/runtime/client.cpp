// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/runtime/client.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "payload.hpp"

namespace efistore::runtime {

using variable::EfiError;
using variable::refuse;

namespace {

/// Nobody answered, which no status of an MM side says.
tl::unexpected<EfiError> transport_failed(Error error) {
  const bool late = error.code == Errc::busy;
  const bool refused = error.code == Errc::permission;
  return refuse(late      ? EfiStatus::timeout
                : refused ? EfiStatus::access_denied
                          : EfiStatus::not_ready,
                std::move(error.message));
}

}  // namespace

std::optional<std::u16string> take_name(ByteReader& reader, std::uint64_t size) {
  if (size % sizeof(char16_t) != 0 || size < sizeof(char16_t) || size > reader.remaining()) {
    return std::nullopt;
  }
  std::u16string name(static_cast<std::size_t>(size / sizeof(char16_t)), u'\0');
  reader.text(name);
  if (name.find(u'\0') != name.size() - 1) return std::nullopt;
  name.pop_back();
  return name;
}

EfiResult<void> status_only(const EfiResult<std::span<std::byte>>& reply) {
  if (!reply) return tl::unexpected(reply.error());
  return {};
}

tl::unexpected<EfiError> malformed_reply(std::string_view what) {
  return refuse(EfiStatus::device_error, fmt::format("the reply is malformed: {}", what));
}

Result<Client> Client::create(std::unique_ptr<Transport> transport, mm::HeaderVersion version) {
  Client client(std::move(transport), version);
  const auto limit = client.get_payload_size();
  if (!limit) {
    const EfiError& error = limit.error();
    return fail(error.status == EfiStatus::access_denied ? Errc::permission
                : error.status == EfiStatus::not_ready   ? Errc::not_found
                                                         : Errc::io,
                error.reason.empty() ? std::string(to_string(error.status)) : error.reason);
  }
  client.payload_limit_ =
      static_cast<std::size_t>(std::min<std::uint64_t>(*limit, client.payload_room()));
  return client;
}

std::span<std::byte> Client::message_room() const noexcept {
  return transport_->buffer().subspan(mm::header_size(version_));
}

std::size_t Client::payload_room(std::size_t header) const noexcept {
  return message_room().size() - header;
}

EfiResult<std::span<std::byte>> Client::make_payload(std::size_t size, std::size_t header) {
  if (size > payload_room(header)) {
    return refuse(EfiStatus::invalid_parameter,
                  fmt::format("a payload of {} bytes: the communicate buffer has room for {}", size,
                              payload_room(header)));
  }
  const auto payload = message_room().subspan(header, size);
  std::ranges::fill(payload, std::byte{0});
  return payload;
}

EfiResult<std::span<std::byte>> Client::exchange(const Guid& protocol, std::size_t message_size) {
  const mm::FrameHeader header{
      .version = version_, .protocol = protocol, .message_size = message_size};
  const auto buffer = transport_->buffer();
  mm::write_frame_header(buffer, header);
  auto size = transport_->communicate(header.frame_size());
  if (!size) return transport_failed(std::move(size).error());
  const auto reply = mm::parse_frame_header(buffer.first(*size));
  if (!reply) return malformed_reply(reply.error().message);
  const auto message = buffer.subspan(mm::header_size(reply->version), reply->message_size);
  if (reply->protocol == protocol && reply->version == version_) return message;
  // The MM side found no place for the status in what it got.
  ByteReader reader(message);
  const bool says_why =
      reply->protocol == mm::guids::management_protocol &&
      reader.u64() == static_cast<std::uint64_t>(mm::ManagementFunction::malformed);
  const auto status = static_cast<EfiStatus>(reader.u64());
  if (!says_why || !reader.ok() || status == EfiStatus::success) {
    return malformed_reply("it is of another protocol");
  }
  return refuse(status, "the MM side does not understand the request");
}

EfiResult<Client::Reply> Client::call(const Guid& protocol, std::uint64_t function,
                                      std::size_t payload_size) {
  ByteWriter head(message_room());
  head.u64(function);
  head.u64(0);
  const auto message = exchange(protocol, mm::function_header_size + payload_size);
  if (!message) return tl::unexpected(message.error());
  ByteReader reader(*message);
  const std::uint64_t answered = reader.u64();
  const auto status = static_cast<EfiStatus>(reader.u64());
  if (!reader.ok() || answered != function) return malformed_reply("it is of another function");
  return Reply{status, message->subspan(mm::function_header_size)};
}

EfiResult<Client::Reply> Client::call(mm::VariableFunction function, std::size_t payload_size) {
  return call(mm::guids::variable_protocol, static_cast<std::uint64_t>(function), payload_size);
}

EfiResult<Client::Reply> Client::call(mm::ManagementFunction function, std::size_t payload_size) {
  return call(mm::guids::management_protocol, static_cast<std::uint64_t>(function), payload_size);
}

EfiResult<std::span<std::byte>> Client::checked(EfiResult<Reply> reply, std::size_t least) {
  if (!reply) return tl::unexpected(std::move(reply).error());
  if (reply->status != EfiStatus::success) return refused(reply->status);
  if (reply->payload.size() < least) return malformed_reply("it is too short");
  return reply->payload;
}

tl::unexpected<EfiError> Client::refused(EfiStatus status) {
  constexpr std::size_t longest = 1024;
  if (status == EfiStatus::not_found) return refuse(status);
  if (!asks_for_reasons_ && status != EfiStatus::device_error) return refuse(status);
  const auto payload = make_payload(sizeof(std::uint32_t) + longest);
  if (!payload) return refuse(status);
  const auto reply = call(mm::ManagementFunction::last_reason, payload->size());
  if (!reply || reply->status != EfiStatus::success) return refuse(status);
  ByteReader reader(reply->payload);
  const auto text = reader.take(std::min<std::size_t>(reader.u32(), longest));
  return refuse(status, std::string(reinterpret_cast<const char*>(text.data()), text.size()));
}

}  // namespace efistore::runtime
