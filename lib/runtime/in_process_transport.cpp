// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <algorithm>
#include <vector>

#include "efistore/runtime/transport.hpp"

namespace efistore::runtime {

namespace {

class InProcessTransport final : public Transport {
 public:
  InProcessTransport(mm::Dispatcher& dispatcher, const mm::Caller& caller)
      : dispatcher_(dispatcher), caller_(caller), buffer_(dispatcher.buffer().size()) {}

  std::span<std::byte> buffer() noexcept override { return buffer_; }

  Result<std::size_t> communicate(std::size_t request_size) override {
    const auto inside = dispatcher_.buffer();
    if (request_size > std::min(buffer_.size(), inside.size())) {
      return fail(Errc::invalid_argument, "the request is larger than the communicate buffer");
    }
    std::copy_n(buffer_.begin(), request_size, inside.begin());
    const std::size_t size = dispatcher_.serve(request_size, caller_);
    if (size > buffer_.size()) {
      return fail(Errc::io, "the reply is larger than the communicate buffer");
    }
    std::copy_n(inside.begin(), size, buffer_.begin());
    return size;
  }

  Result<std::unique_ptr<ChangeWatch>> watch() override {
    return fail(Errc::unsupported, "all changes are made by this process");
  }

 private:
  mm::Dispatcher& dispatcher_;
  mm::Caller caller_;
  std::vector<std::byte> buffer_;
};

}  // namespace

std::unique_ptr<Transport> make_in_process_transport(mm::Dispatcher& dispatcher,
                                                     const mm::Caller& caller) {
  return std::make_unique<InProcessTransport>(dispatcher, caller);
}

}  // namespace efistore::runtime
