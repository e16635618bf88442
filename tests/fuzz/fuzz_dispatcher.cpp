// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Sequences of communicate frames from hostile bytes. The first byte chooses the phase and whether
// the flash can be written; each frame has in front of it a byte of rights, one of its session, and
// its size in two. The buffer behind a request is filled with one of two patterns, the same
// sequence being served with each: a reply that differs shows what is neither the request's nor
// written for it.
#include <algorithm>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/flash/memory_device.hpp"
#include "efistore/mm/dispatcher.hpp"
#include "efistore/mm/frame.hpp"
#include "efistore/mm/protocol.hpp"
#include "efistore/store/variable_store.hpp"
#include "efistore/variable/services.hpp"

#include "target.hpp"

namespace efistore::fuzz {
namespace {

constexpr std::uint32_t block = 0x1000;
constexpr std::size_t max_frames = 32;

/// A formatted store of three blocks, made once.
const std::vector<std::byte>& blank_image() {
  static const std::vector<std::byte> image = [] {
    flash::MemoryDevice device({.size_bytes = 3 * block, .erase_block_size_bytes = block});
    const auto layout = store::Layout::custom({.size_bytes = 3 * block}).value();
    require(store::VariableStore::format(device, layout).has_value(), "a store is formatted");
    return std::vector<std::byte>(device.content().begin(), device.content().end());
  }();
  return image;
}

/// Takes capsules and forgets them.
class Receiver final : public mm::CapsuleReceiver {
 public:
  variable::EfiResult<void> begin(std::uint64_t, std::uint64_t) override { return {}; }
  variable::EfiResult<void> data(std::uint64_t, std::uint64_t,
                                 std::span<const std::byte>) override {
    return {};
  }
  variable::EfiResult<void> commit(std::uint64_t) override { return {}; }
  void cancel(std::uint64_t) noexcept override {}
};

variable::Services make_services(unsigned choice) {
  auto device = std::make_unique<flash::MemoryDevice>(blank_image(), block);
  auto store = store::VariableStore::open(std::move(device)).value();
  auto services =
      variable::Services::create(std::move(store), {.phase = variable::Phase::boot_early}).value();
  if ((choice & 3) != 0) static_cast<void>(services.start_secure_boot());
  if ((choice & 3) > 1) static_cast<void>(services.end_of_dxe());
  if ((choice & 3) == 3) services.exit_boot_services();
  return services;
}

/// All replies, one behind the other.
std::vector<std::byte> serve_all(std::span<const std::byte> input, std::byte pattern) {
  ByteReader reader(input);
  const unsigned choice = reader.u8();
  auto services = make_services(choice);
  Receiver receiver;
  mm::Dispatcher dispatcher(services, {.capsules = &receiver});
  if ((choice & 4) != 0) dispatcher.serve_with(services, false);
  std::vector<std::byte> replies;
  for (std::size_t i = 0; i < max_frames && reader.remaining() >= 4; ++i) {
    const auto rights = static_cast<mm::Rights>(reader.u8() & 15U);
    const std::uint64_t session = reader.u8();
    const std::size_t size = reader.u16();
    const auto request = reader.take(std::min(size, reader.remaining()));
    const auto buffer = dispatcher.buffer();
    std::ranges::fill(buffer, pattern);
    std::ranges::copy(request, buffer.begin());
    const std::size_t reply_size =
        dispatcher.serve(request.size(), {.rights = rights, .session = session});
    require(reply_size <= buffer.size(), "a reply fits the buffer");
    const auto reply = buffer.first(reply_size);
    const auto header = mm::parse_frame_header(reply);
    require(header.has_value() && header->frame_size() == reply_size,
            "a reply is a frame of its size");
    require(header->message_size >= mm::function_header_size, "a reply has a status");
    replies.insert(replies.end(), reply.begin(), reply.end());
    if ((session & 1) != 0) dispatcher.end_session(session);
  }
  return replies;
}

}  // namespace
}  // namespace efistore::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace efistore;
  const auto input = std::as_bytes(std::span(data, size));
  const auto once = fuzz::serve_all(input, std::byte{0xa5});
  const auto again = fuzz::serve_all(input, std::byte{0x5a});
  fuzz::require(once == again, "a reply shows only what is the request's or written for it");
  return 0;
}
