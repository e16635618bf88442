// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// An MM side that answers with hostile bytes: the first byte of the input chooses the call, the
// rest are replies, each with its size in two bytes, of which the last comes again for ever. A
// reply is put over the request as it is, or, so that it gets past the headers, behind them; the
// frame then ends with it, or where the request did.
#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/mm/frame.hpp"
#include "efistore/runtime/client.hpp"

#include "target.hpp"

namespace efistore::fuzz {
namespace {

constexpr std::size_t buffer_size = 0x5000;
/// What nothing needs that is answered by so few bytes. The transport then fails; that it is asked
/// once more and again is a loop.
constexpr std::size_t max_requests = 5'000;

class HostileTransport final : public runtime::Transport {
 public:
  explicit HostileTransport(std::span<const std::byte> replies) : replies_(replies) {}

  std::span<std::byte> buffer() noexcept override { return buffer_; }

  Result<std::size_t> communicate(std::size_t request_size) override {
    require(request_size <= buffer_.size(), "a request fits the buffer");
    require(++requests_ <= max_requests + 100, "who gets no answers stops asking");
    if (requests_ > max_requests || replies_.empty()) return fail(Errc::io, "gone");
    if (requests_ == 1) return payload_size_reply(request_size);
    ByteReader reader(replies_);
    const std::size_t choice = reader.u16();
    const auto reply = reader.take(std::min<std::size_t>(choice >> 2, reader.remaining()));
    const auto rest = reader.take(reader.remaining());
    if (!rest.empty()) replies_ = rest;
    if ((choice & 1) != 0) {
      const std::size_t size = std::min(reply.size(), buffer_.size());
      std::ranges::copy(reply.first(size), buffer_.begin());
      return size;
    }
    // A success with this payload, in the form of whatever was asked.
    const auto header = mm::parse_frame_header(std::span(buffer_).first(request_size));
    require(header.has_value() && header->frame_size() == request_size, "a request is a frame");
    const std::size_t head =
        mm::header_size(header->version) + (header->protocol == mm::guids::policy_protocol
                                                ? mm::policy_header_size
                                                : mm::function_header_size);
    const std::size_t size = std::min(reply.size(), buffer_.size() - head);
    std::ranges::copy(reply.first(size), buffer_.begin() + static_cast<std::ptrdiff_t>(head));
    auto answered = *header;
    const bool keeps_size = (choice & 2) != 0;
    if (keeps_size && head + size < request_size) return request_size;
    answered.message_size = head - mm::header_size(header->version) + size;
    mm::write_frame_header(buffer_, answered);
    return answered.frame_size();
  }

  Result<std::unique_ptr<runtime::ChangeWatch>> watch() override {
    return fail(Errc::unsupported, "none");
  }

 private:
  /// What a client begins with.
  std::size_t payload_size_reply(std::size_t request_size) {
    ByteWriter(std::span(buffer_).subspan(request_size - 8)).u64(3000);
    return request_size;
  }

  std::span<const std::byte> replies_;
  std::array<std::byte, buffer_size> buffer_{};
  std::size_t requests_ = 0;
};

void call(runtime::Client& client, unsigned choice) {
  const Guid guid = mm::guids::variable_protocol;
  std::array<std::byte, 64> data{};
  std::array<std::byte, 5000> large{};
  const auto name = std::u16string_view(u"Name");
  switch (choice % 18) {
    case 0: {
      const auto found = client.get_variable(name, guid, data);
      require(!found || found->status != EfiStatus::success || found->data_size <= data.size(),
              "no more data than there is room for");
      return;
    }
    case 1:
      static_cast<void>(client.get_variable(name, guid, large));
      return;
    case 2: {
      const auto next = client.get_next_variable_name({std::u16string(name), guid});
      require(!next || next->name.find(u'\0') == std::u16string::npos, "a name has no NUL");
      return;
    }
    case 3:
      static_cast<void>(
          client.set_variable({.name = name, .guid = guid, .attributes = 7, .data = data}));
      return;
    case 4:
      static_cast<void>(client.query_variable_info(7));
      return;
    case 5:
      static_cast<void>(client.get_property(name, guid));
      return;
    case 6:
      static_cast<void>(client.get_statistics({std::u16string(name), guid}));
      return;
    case 7:
      static_cast<void>(client.get_runtime_cache_info());
      return;
    case 8:
      static_cast<void>(client.dump_policies());
      return;
    case 9:
      static_cast<void>(client.policy_info(mm::PolicyCommand::get_info, name, guid));
      return;
    case 10:
      static_cast<void>(client.policy_info(mm::PolicyCommand::get_lock_state_info, name, guid));
      return;
    case 11:
      static_cast<void>(client.state());
      return;
    case 12:
      static_cast<void>(client.store_info());
      return;
    case 13:
      static_cast<void>(client.list());
      return;
    case 14: {
      const auto found = client.read(name, guid);
      require(!found || found->data.size() <= max_requests * buffer_size, "data that was sent");
      return;
    }
    case 15:
      static_cast<void>(client.changes(0));
      return;
    case 16:
      static_cast<void>(client.submit_capsule(large));
      return;
    default:
      static_cast<void>(client.policies_enabled());
      return;
  }
}

}  // namespace
}  // namespace efistore::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace efistore;
  if (size == 0) return 0;
  const auto replies = std::as_bytes(std::span(data, size)).subspan(1);
  auto client = runtime::Client::create(
      std::make_unique<fuzz::HostileTransport>(replies),
      (data[0] & 0x80) != 0 ? mm::HeaderVersion::v3 : mm::HeaderVersion::v1);
  if (client) fuzz::call(*client, data[0] & 0x7fU);
  return 0;
}
