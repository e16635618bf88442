// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/mm/dispatcher.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "efistore/mm/frame.hpp"
#include "efistore/variable/write_budget.hpp"

#include "state.hpp"

namespace efistore::mm {

namespace {

constexpr std::size_t smallest_payload = 64U << 10;

std::size_t buffer_size_for(const variable::Services& services, std::size_t payload) noexcept {
  return max_header_size + function_header_size +
         std::max({variable_payload_limit(services), payload, smallest_payload});
}

/// For a request in which there is no place for a status.
std::size_t reply_malformed(std::span<std::byte> buffer, EfiStatus status) noexcept {
  const FrameHeader header{.version = HeaderVersion::v1,
                           .protocol = guids::management_protocol,
                           .message_size = function_header_size};
  write_frame_header(buffer, header);
  const auto message = buffer.subspan(header_size(header.version));
  put(message, 0, static_cast<std::uint64_t>(ManagementFunction::malformed));
  put(message, 8, static_cast<std::uint64_t>(status));
  return header.frame_size();
}

std::string_view name_of(Rights right) noexcept {
  switch (right) {
    case Rights::read:
      return "read";
    case Rights::write:
      return "write";
    case Rights::lock:
      return "lock";
    case Rights::update:
      return "update";
    case Rights::none:
    case Rights::all:
      break;
  }
  return "all";
}

}  // namespace

void Call::resize_reply(std::size_t size) noexcept {
  reply_size = std::min(size, room.size());
  if (reply_size > payload.size()) {
    std::ranges::fill(room.first(reply_size).subspan(payload.size()), std::byte{0});
  }
}

EfiResult<void> call_function(std::span<const Function> functions, std::uint64_t number,
                              Call& call) {
  const auto function = std::ranges::find(functions, number, &Function::number);
  if (function == functions.end()) {
    return refuse(EfiStatus::unsupported, fmt::format("there is no function {}", number));
  }
  if (!includes(call.caller.rights, function->right)) {
    return refuse(EfiStatus::access_denied, fmt::format("the caller does not have the right \"{}\"",
                                                        name_of(function->right)));
  }
  if (function->changes && !call.state.writable) {
    return refuse(EfiStatus::not_available_yet, "the flash cannot be written yet");
  }
  if (call.payload.size() < function->min_payload_size) {
    return refuse(EfiStatus::invalid_parameter,
                  fmt::format("a payload of {} bytes: function {} has {} or more",
                              call.payload.size(), number, function->min_payload_size));
  }
  return function->handle(call);
}

EfiResult<std::u16string_view> read_name(std::span<const std::byte> bytes, std::u16string& place) {
  place.resize(bytes.size() / sizeof(char16_t));
  ByteReader(bytes).text(place);
  if (place.empty() || place.back() != u'\0') {
    return refuse(EfiStatus::access_denied,
                  fmt::format("a name of {} bytes does not end in a NUL", bytes.size()));
  }
  return std::u16string_view(place).substr(0, place.find(u'\0'));
}

EfiResult<std::u16string> read_name(std::span<const std::byte> bytes) {
  std::u16string name;
  const auto read = read_name(bytes, name);
  if (!read) return tl::unexpected(read.error());
  name.resize(read->size());
  return name;
}

EfiResult<void> write_within_limits(Call& call, std::uint64_t cost,
                                    const std::function<EfiResult<void>()>& write) {
  WriteLimiter* const limiter = call.state.backends.limiter;
  if (limiter == nullptr) return write();
  if (auto admitted = limiter->admit(call.caller.user, cost); !admitted) return admitted;
  const store::VariableStore& store = call.services().store();
  const std::uint64_t before = store.written_record_bytes();
  auto done = write();
  const std::uint64_t written = store.written_record_bytes() - before;
  if (written != 0) {
    limiter->charge(call.caller.user, variable::wear_cost(written, store.usage()));
  }
  return done;
}

Dispatcher::Dispatcher(variable::Services& services, const Backends& backends)
    : state_(new State{.services = &services, .backends = backends}) {
  state_->buffer.resize(buffer_size_for(services, state_->backends.min_payload_size));
}

Dispatcher::Dispatcher(Dispatcher&&) noexcept = default;
Dispatcher& Dispatcher::operator=(Dispatcher&&) noexcept = default;
Dispatcher::~Dispatcher() = default;

void Dispatcher::serve_with(variable::Services& services, bool writable) {
  state_->services = &services;
  state_->writable = writable;
  state_->history.add(services.take_changes());
  state_->buffer.resize(buffer_size_for(services, state_->backends.min_payload_size));
}

std::span<std::byte> Dispatcher::buffer() noexcept {
  return state_->buffer;
}

std::size_t Dispatcher::serve(std::size_t request_size, const Caller& caller) {
  State& state = *state_;
  const std::span<std::byte> buffer = state.buffer;
  const auto refused = [&](EfiStatus status, std::string text) {
    state.reason = {.session = caller.session, .status = status, .text = std::move(text)};
    return reply_malformed(buffer, status);
  };
  const auto header =
      parse_frame_header(buffer.first(std::min(request_size, buffer.size())), request_size);
  if (!header) return refused(EfiStatus::invalid_parameter, header.error().message);
  const bool policy = header->protocol == guids::policy_protocol;
  const bool management = header->protocol == guids::management_protocol;
  if (!policy && !management && header->protocol != guids::variable_protocol) {
    return refused(EfiStatus::not_found,
                   fmt::format("nobody speaks the protocol {}", to_string(header->protocol)));
  }
  const std::size_t least = policy ? policy_header_size : function_header_size;
  const auto behind_header = buffer.subspan(header_size(header->version));
  if (request_size > buffer.size() || header->message_size > behind_header.size()) {
    // The reply is the function header alone.
    const FrameHeader cut{header->version, header->protocol, least};
    write_frame_header(buffer, cut);
    put(behind_header, least - sizeof(EfiStatus),
        static_cast<std::uint64_t>(EfiStatus::invalid_parameter));
    state.reason = {.session = caller.session,
                    .status = EfiStatus::invalid_parameter,
                    .text = fmt::format("a frame of {} bytes: expected at most {}", request_size,
                                        buffer.size())};
    return cut.frame_size();
  }
  const auto message = behind_header.first(header->message_size);
  if (message.size() < least) {
    return refused(EfiStatus::invalid_parameter,
                   fmt::format("a message of {} bytes: its header has {}", message.size(), least));
  }

  EfiResult<void> done;
  FrameHeader reply = *header;
  std::uint64_t number = 0;
  if (policy) {
    done = serve_policy(state, caller, message);
    write_frame_header(buffer, reply);  // ends with the message, which the request's need not
    put(message, 12, static_cast<std::uint64_t>(done.status()));
  } else {
    number = ByteReader(message).u64();
    // A reply may be longer than its request, never than the buffer.
    const auto room = buffer.subspan(header_size(header->version) + function_header_size);
    Call call{.state = state,
              .caller = caller,
              .payload = room.first(message.size() - function_header_size),
              .room = room,
              .reply_size = message.size() - function_header_size};
    done = call_function(management ? management_functions() : variable_functions(), number, call);
    reply.message_size = function_header_size + call.reply_size;
    write_frame_header(buffer, reply);
    put(message, 8, static_cast<std::uint64_t>(done.status()));
  }
  state.history.add(state.services->take_changes());
  const bool asks_why =
      management && number == static_cast<std::uint64_t>(ManagementFunction::last_reason);
  if (!done) {
    state.reason = {
        .session = caller.session, .status = done.status(), .text = std::move(done.error().reason)};
  } else if (!asks_why && state.reason.session == caller.session) {
    state.reason = {};
  }
  return reply.frame_size();
}

void Dispatcher::end_session(std::uint64_t session) noexcept {
  if (state_->backends.capsules != nullptr) state_->backends.capsules->cancel(session);
}

std::uint64_t Dispatcher::changes() const noexcept {
  return state_->history.latest();
}

std::uint32_t Dispatcher::ready() const noexcept {
  return ready_read | (state_->writable ? ready_write : 0U);
}

}  // namespace efistore::mm
