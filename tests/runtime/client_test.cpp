// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// How many requests a call of the client takes.
#include "efistore/runtime/client.hpp"

#include <gtest/gtest.h>

#include "efistore/mm/dispatcher.hpp"

#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using runtime::Client;

class CountingTransport final : public runtime::Transport {
 public:
  CountingTransport(std::unique_ptr<Transport> inner, int& requests)
      : inner_(std::move(inner)), requests_(requests) {}

  std::span<std::byte> buffer() noexcept override { return inner_->buffer(); }
  Result<std::size_t> communicate(std::size_t size) override {
    ++requests_;
    return inner_->communicate(size);
  }
  Result<std::unique_ptr<runtime::ChangeWatch>> watch() override { return inner_->watch(); }

 private:
  std::unique_ptr<Transport> inner_;
  int& requests_;
};

class ClientRequests : public ServicesTest {
 protected:
  ClientRequests() {
    start({});
    dispatcher_.emplace(services());
    auto transport = std::make_unique<CountingTransport>(
        runtime::make_in_process_transport(*dispatcher_), requests_);
    client_.emplace(Client::create(std::move(transport)).value());
    requests_ = 0;
  }

  int taken() { return std::exchange(requests_, 0); }
  variable::EfiResult<void> set_badly() {
    return client_->set_variable(
        {.name = u"A", .guid = vendor, .attributes = 0x80, .data = as_bytes("1")});
  }

  int requests_ = 0;
  std::optional<mm::Dispatcher> dispatcher_;
  std::optional<Client> client_;
};

TEST_F(ClientRequests, ARefusalsReasonTakesASecondOne) {
  const auto done = set_badly();
  ASSERT_FALSE(done);
  EXPECT_FALSE(done.error().reason.empty());
  EXPECT_EQ(taken(), 2);
}

TEST_F(ClientRequests, ThatThereIsNoVariableNeedsNone) {
  std::array<std::byte, 8> data{};
  EXPECT_EQ(client_->get_variable(u"None", vendor, data).status(), EfiStatus::not_found);
  EXPECT_EQ(taken(), 1);
  EXPECT_EQ(client_->read(u"None", vendor).status(), EfiStatus::not_found);
  EXPECT_EQ(taken(), 1);
  EXPECT_EQ(client_->get_next_variable_name({}).status(), EfiStatus::not_found);
  EXPECT_EQ(taken(), 1);
}

TEST_F(ClientRequests, WhoOnlyLooksAtStatusesHasOne) {
  client_->leave_reasons_out();
  const auto done = set_badly();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().status, EfiStatus::invalid_parameter);
  EXPECT_TRUE(done.error().reason.empty());
  EXPECT_EQ(taken(), 1);
}

}  // namespace
}  // namespace efistore::test
