// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// A dispatcher over variable services in memory, and frames made byte by byte.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/mm/dispatcher.hpp"
#include "efistore/mm/frame.hpp"
#include "efistore/mm/protocol.hpp"

#include "variable/services_fixture.hpp"

namespace efistore::test {

/// Little-endian bytes, one field after the other.
class Fields {
 public:
  template <typename T>
  Fields& put(T value) {
    bytes_.resize(bytes_.size() + sizeof(T));
    ByteWriter(std::span(bytes_).last(sizeof(T))).write(value);
    return *this;
  }
  Fields& u16(std::uint16_t value) { return put(value); }
  Fields& u32(std::uint32_t value) { return put(value); }
  Fields& u64(std::uint64_t value) { return put(value); }
  Fields& raw(std::span<const std::byte> data) {
    bytes_.insert(bytes_.end(), data.begin(), data.end());
    return *this;
  }
  Fields& guid(const Guid& value) { return raw(value.bytes); }
  Fields& name(std::u16string_view text) {
    for (const char16_t c : text) u16(static_cast<std::uint16_t>(c));
    return u16(0);
  }
  Fields& text(std::string_view data) { return raw(as_bytes(data)); }
  Fields& zeros(std::size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

inline std::uint64_t size_of(std::u16string_view name) {
  return (name.size() + 1) * sizeof(char16_t);
}

/// A whole frame.
inline std::vector<std::byte> frame_of(const Guid& protocol, std::span<const std::byte> message,
                                       mm::HeaderVersion version = mm::HeaderVersion::v1) {
  auto frame =
      mm::make_frame({.version = version, .protocol = protocol, .message_size = message.size()});
  std::ranges::copy(message, frame.begin() + static_cast<std::ptrdiff_t>(mm::header_size(version)));
  return frame;
}

struct MmReply {
  EfiStatus status = EfiStatus::success;
  std::vector<std::byte> payload{};
};

class MmTest : public ServicesTest {
 protected:
  static constexpr mm::Caller everything{.rights = mm::Rights::all, .session = 1};

  void serve(const StoreSetup& setup = {}, const mm::Backends& backends = {}) {
    start(setup);
    dispatcher_ = std::make_unique<mm::Dispatcher>(services(), backends);
    const auto room = dispatcher_->buffer();
    // What a reply must not show.
    std::ranges::fill(room, std::byte{0xa5});
  }

  std::vector<std::byte> exchange(std::span<const std::byte> frame,
                                  const mm::Caller& caller = everything) {
    const auto room = dispatcher_->buffer();
    std::ranges::copy(frame, room.begin());
    const std::size_t size = dispatcher_->serve(frame.size(), caller);
    EXPECT_LE(size, room.size());
    return {room.begin(), room.begin() + static_cast<std::ptrdiff_t>(size)};
  }

  MmReply call(const Guid& protocol, std::uint64_t function, std::span<const std::byte> payload,
               const mm::Caller& caller = everything) {
    constexpr std::uint64_t untouched = 0x5555555555555555;
    const auto message = Fields().u64(function).u64(untouched).raw(payload).bytes();
    const auto reply = exchange(frame_of(protocol, message), caller);
    const auto header = mm::parse_frame_header(reply);
    EXPECT_TRUE(header && header->protocol == protocol && header->frame_size() == reply.size());
    ByteReader reader(std::span<const std::byte>(reply).subspan(24));
    EXPECT_EQ(reader.u64(), function);
    const auto status = static_cast<EfiStatus>(reader.u64());
    EXPECT_TRUE(reader.ok());
    return {status, {reply.begin() + 40, reply.end()}};
  }
  MmReply variable_call(mm::VariableFunction function, const Fields& payload,
                        const mm::Caller& caller = everything) {
    return call(mm::guids::variable_protocol, static_cast<std::uint64_t>(function), payload.bytes(),
                caller);
  }
  MmReply management_call(mm::ManagementFunction function, const Fields& payload,
                          const mm::Caller& caller = everything) {
    return call(mm::guids::management_protocol, static_cast<std::uint64_t>(function),
                payload.bytes(), caller);
  }

  mm::Dispatcher& dispatcher() { return *dispatcher_; }

 private:
  std::unique_ptr<mm::Dispatcher> dispatcher_;
};

}  // namespace efistore::test
