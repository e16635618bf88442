// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// One test for each row of the system that is reimplemented here, by the row's name; lib/SPEC.md
// has the table. The rules themselves have tests of their own.
#include <gtest/gtest.h>
#include <poll.h>

#include <array>

#include "efistore/flash/image_file.hpp"

#include "backing.hpp"
#include "capsule_spool.hpp"
#include "runtime/mm_side.hpp"
#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using runtime::Client;
using variable::Phase;
using variable::SetRequest;

SetRequest request_of(std::u16string_view name, std::string_view data,
                      std::uint32_t attributes = nv_bs_rt) {
  return {.name = name, .guid = vendor, .attributes = attributes, .data = as_bytes(data)};
}

EfiStatus set(Client& client, std::u16string_view name, std::string_view data,
              std::uint32_t attributes = nv_bs_rt) {
  return client.set_variable(request_of(name, data, attributes)).status();
}

/// A client, and behind it a store in memory.
struct InMemory {
  explicit InMemory(const variable::Options& options = {},
                    store::RecordFormat format = store::RecordFormat::authenticated)
      : services(
            variable::Services::create(
                store::VariableStore::open(device_of(blank_image(small_layout(format)))).value(),
                options)
                .value()) {}

  variable::Services services;
  mm::Dispatcher dispatcher{services};
  Client client = Client::create(runtime::make_in_process_transport(dispatcher)).value();
};

TEST(Seeds, InitCommunicateBuffer) {
  MmSide side(Way::socket);
  const std::uint64_t limit = side.client().get_payload_size().value();
  // Header, fixed part and name stand in front of the data.
  const std::string largest(limit - mm::offsets::access_name - 4, 'x');
  std::vector<std::byte> room(limit);
  EXPECT_EQ(side.client().get_variable(u"A", vendor, room).status(), EfiStatus::not_found);
  side.kill();
  // What exceeds the buffer is refused before anybody is asked.
  EXPECT_EQ(set(side.client(), u"A", largest), EfiStatus::not_ready);
  EXPECT_EQ(set(side.client(), u"A", largest + "x"), EfiStatus::invalid_parameter);
  side.start();
}

TEST(Seeds, SendCommunicateBuffer) {
  MmSide side(Way::socket);
  // The status in the buffer counts,
  EXPECT_EQ(set(side.client(), u"A", "1", 0x8000), EfiStatus::invalid_parameter);
  // also of what nobody understands,
  auto& transport = side.client().transport();
  mm::write_frame_header(transport.buffer(), {.protocol = vendor, .message_size = 16});
  const auto size = transport.communicate(40);
  ASSERT_TRUE(size);
  ByteReader reply(transport.buffer().first(*size).subspan(24));
  EXPECT_EQ(reply.u64(), 0U);
  EXPECT_EQ(static_cast<EfiStatus>(reply.u64()), EfiStatus::not_found);
  // and that nobody answers is an error of its own.
  side.kill();
  EXPECT_EQ(set(side.client(), u"A", "1"), EfiStatus::not_ready);
  side.start();
}

TEST(Seeds, RuntimeServiceGetVariable) {
  InMemory mm;
  ASSERT_EQ(set(mm.client, u"A", "data"), EfiStatus::success);
  std::array<std::byte, 4> data{};
  EXPECT_EQ(mm.client.get_variable(u"A", vendor, data)->data_size, 4U);
  EXPECT_TRUE(equal_bytes(data, bytes_of("data")));
  const auto none = mm.client.get_variable(u"A", vendor, {});
  EXPECT_EQ(none->status, EfiStatus::buffer_too_small);
  EXPECT_EQ(none->data_size, 4U);
  EXPECT_EQ(none->attributes, nv_bs_rt);
  EXPECT_EQ(mm.client.get_variable(u"", vendor, data).status(), EfiStatus::not_found);
}

TEST(Seeds, RuntimeServiceGetNextVariableName) {
  InMemory mm;
  const std::u16string longer_than_the_first_guess(400, u'n');
  ASSERT_EQ(set(mm.client, longer_than_the_first_guess, "1"), EfiStatus::success);
  const auto next = mm.client.get_next_variable_name({});
  ASSERT_TRUE(next);
  EXPECT_EQ(next->name, longer_than_the_first_guess);
  EXPECT_EQ(next->guid, vendor);
  EXPECT_EQ(mm.client.get_next_variable_name(*next).status(), EfiStatus::not_found);
}

TEST(Seeds, RuntimeServiceSetVariable) {
  InMemory mm;
  EXPECT_EQ(set(mm.client, u"", "1"), EfiStatus::invalid_parameter);
  const std::string huge(mm.client.get_payload_size().value(), 'x');
  EXPECT_EQ(set(mm.client, u"A", huge), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(mm.client, u"A", "1"), EfiStatus::success);
}

TEST(Seeds, RuntimeServiceQueryVariableInfo) {
  InMemory mm;
  EXPECT_EQ(mm.client.query_variable_info(0).status(), EfiStatus::invalid_parameter);
  const auto info = mm.client.query_variable_info(nv_bs_rt);
  const auto expected = mm.services.query(nv_bs_rt);
  ASSERT_TRUE(info && expected);
  EXPECT_EQ(info->maximum_storage_size, expected->maximum_storage_size);
  EXPECT_EQ(info->remaining_storage_size, expected->remaining_storage_size);
  EXPECT_EQ(info->maximum_variable_size, expected->maximum_variable_size);
}

TEST(Seeds, OnExitBootServicesAndOnReadyToBoot) {
  InMemory mm({.phase = Phase::boot_early});
  EXPECT_TRUE(mm.client.ready_to_boot());
  EXPECT_EQ(mm.services.phase(), Phase::boot);
  EXPECT_TRUE(mm.client.exit_boot_services());
  EXPECT_EQ(mm.services.phase(), Phase::runtime);
}

TEST(Seeds, VariableAddressChangeEvent) {
  MmSide side(Way::socket);
  const std::byte* const address = side.client().transport().buffer().data();
  ASSERT_EQ(set(side.client(), u"A", "1"), EfiStatus::success);
  side.kill();
  side.start();
  EXPECT_EQ(side.client().read(u"A", vendor)->data, bytes_of("1"));
  EXPECT_EQ(side.client().transport().buffer().data(), address);
}

TEST(Seeds, SmmVariableReady) {
  variable::Limits limits = distinct_limits();
  limits.hardware_error_storage_size = 0x100;
  limits.max_hardware_error_size = 0xf00;
  limits.max_variable_size = limits.max_authenticated_size = limits.max_volatile_size = 0x200;
  InMemory mm({.limits = limits});
  // The larger of the maxima, and EDK2's structure in front of it.
  EXPECT_EQ(mm.client.get_payload_size().value(), 0xf00U + 48 - 60);
  const auto state = mm.client.state();
  ASSERT_TRUE(state);
  EXPECT_NE(state->ready & mm::ready_read, 0U);
  EXPECT_EQ(state->phase, Phase::boot);
  EXPECT_EQ(state->rights, mm::Rights::all);
  EXPECT_EQ(state->changes, 0U);
  EXPECT_EQ(state->max_frame_size, mm.dispatcher.buffer().size());
  EXPECT_EQ(state->secure_boot_mode, variable::SecureBootMode::setup);
  EXPECT_TRUE(state->authenticated);
  EXPECT_TRUE(state->writable);
  EXPECT_TRUE(state->policies_locked);  // by EndOfDxe
}

/// What the daemon does at its start, and clients see of it.
class StartOfTheDaemon {
 public:
  StartOfTheDaemon() {
    image_of_one_variable();
    backing_ = daemon::Backing::open({.store = image_.string()}).value();
    dispatcher_.emplace(backing_->services());
    dispatcher_->serve_with(backing_->services(), false);
    client_.emplace(Client::create(runtime::make_in_process_transport(*dispatcher_)).value());
  }
  Client& client() { return *client_; }
  void recover() {
    pollfd done{.fd = backing_->start_recovery().value(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&done, 1, 60'000), 1);
    EXPECT_EQ(backing_->finish_recovery().value(), "");
    dispatcher_->serve_with(backing_->services(), true);
  }

 private:
  void image_of_one_variable() {
    auto device = flash::ImageFile::create(image_, 0x3000, 0x1000);
    ASSERT_TRUE(device);
    ASSERT_TRUE(store::VariableStore::format(**device, small_layout()));
    device->reset();
    ASSERT_TRUE(open_image(image_, {}).set(request_of(u"A", "1")));
  }

  TemporaryDirectory directory_;
  std::filesystem::path image_ = directory_.path() / "vars.fd";
  std::unique_ptr<daemon::Backing> backing_;
  std::optional<mm::Dispatcher> dispatcher_;
  std::optional<Client> client_;
};

TEST(Seeds, SmmVariableWriteReady) {
  StartOfTheDaemon start;
  EXPECT_EQ(start.client().read(u"A", vendor)->data, bytes_of("1"));
  EXPECT_EQ(set(start.client(), u"A", "2"), EfiStatus::not_available_yet);
  EXPECT_EQ(set(start.client(), u"V", "2", bs_rt), EfiStatus::not_available_yet);
  start.recover();
  EXPECT_EQ(set(start.client(), u"A", "2"), EfiStatus::success);
  EXPECT_EQ(start.client().read(u"A", vendor)->data, bytes_of("2"));
}

TEST(Seeds, VariableAndVariableWriteArchitecturalProtocols) {
  StartOfTheDaemon start;
  EXPECT_EQ(start.client().state()->ready, mm::ready_read);
  EXPECT_FALSE(start.client().state()->writable);
  start.recover();
  EXPECT_EQ(start.client().state()->ready, mm::ready_read | mm::ready_write);
  EXPECT_TRUE(start.client().state()->writable);
}

TEST(Seeds, FtwNotification) {
  Bytes image = blank_image(small_layout());
  plant(image, first_record, u"A", "1", 0x3f);
  // A write in the queue whose records would not fit the working block.
  ByteWriter queue(std::span<std::byte>(image).subspan(0x1000 + 32, 40));
  queue.u8(0xfc);
  queue.fill(23, std::byte{0xff});
  queue.u64(1000);
  queue.u64(0);
  auto opened = store::VariableStore::open(device_of(image)).value();
  EXPECT_EQ(contents(opened), "A=1");
  EXPECT_TRUE(opened.report().damaged);
  EXPECT_FALSE(opened.put({u"B", vendor, nv_bs_rt, as_bytes("1")}));
}

TEST(Seeds, VariableGlobal) {
  // Both stores with their totals and limits, in memory alone, in either format.
  for (const auto format : {store::RecordFormat::authenticated, store::RecordFormat::normal}) {
    InMemory mm({.limits = distinct_limits()}, format);
    ASSERT_EQ(set(mm.client, u"Kept", "1"), EfiStatus::success);
    ASSERT_EQ(set(mm.client, u"Volatile", "1", bs_rt), EfiStatus::success);
    const auto info = mm.client.store_info();
    ASSERT_TRUE(info);
    EXPECT_EQ(info->volume_size, 0x3000U);
    EXPECT_EQ(info->block_size, 0x1000U);
    EXPECT_EQ(info->capacity, store_capacity);
    EXPECT_EQ(info->live_records, 1U);
    EXPECT_EQ(info->live, padded_size(u"Kept", 1, format));
    EXPECT_EQ(info->used, info->live);
    EXPECT_EQ(info->max_variable_size, distinct_limits().max_variable_size);
    EXPECT_EQ(info->max_authenticated_size, distinct_limits().max_authenticated_size);
    const auto cache = mm.client.get_runtime_cache_info();
    ASSERT_TRUE(cache);
    EXPECT_EQ(cache->volatile_size, distinct_limits().volatile_store_size);
    EXPECT_EQ(cache->authenticated, format == store::RecordFormat::authenticated);
  }
}

TEST(Seeds, VariableStoreHeaderAndVariableHeader) {
  Bytes image = blank_image(small_layout());
  EXPECT_EQ(to_hex(std::span(image).subspan(0x48, 28)),
            "782cf3aa7b949a43a1802e144ec37792"  // Signature
            "b80f0000"                          // Size
            "5afe"                              // FORMATTED, HEALTHY
            "000000000000");
  auto device = device_of(image);
  const flash::MemoryDevice& memory = *device;
  auto opened = store::VariableStore::open(std::move(device)).value();
  ASSERT_TRUE(opened.put({u"A", vendor, nv_bs_rt, as_bytes("1")}));
  EXPECT_EQ(to_hex(memory.content().subspan(first_record, 60)),
            "aa553f00"                          // StartId, State
            "07000000"                          // Attributes
            "0000000000000000"                  // MonotonicCount
            "00000000000000000000000000000000"  // TimeStamp
            "00000000"                          // PubKeyIndex
            "0400000001000000"                  // NameSize, DataSize
            "443322116655887799aabbccddeeff00");
}

TEST(Seeds, StateTransitions) {
  auto device = device_of(blank_image(small_layout()));
  const flash::MemoryDevice& memory = *device;
  auto opened = store::VariableStore::open(std::move(device)).value();
  const std::size_t second = first_record + 68;
  const auto state = [&](std::size_t record) {
    return std::to_integer<unsigned>(memory.content()[record + 2]);
  };
  ASSERT_TRUE(opened.put({u"A", vendor, nv_bs_rt, as_bytes("1")}));
  EXPECT_EQ(state(first_record), 0x3fU);
  ASSERT_TRUE(opened.put({u"A", vendor, nv_bs_rt, as_bytes("2")}));
  EXPECT_EQ(state(first_record), 0x3cU);
  EXPECT_EQ(state(second), 0x3fU);
  ASSERT_TRUE(opened.remove(*opened.find(u"A", vendor)));
  EXPECT_EQ(state(second), 0x3dU);
}

TEST(Seeds, Reclaim) {
  InMemory mm;
  for (const std::uint32_t attributes : {nv_bs_rt, bs_rt}) {
    const std::u16string_view kept = attributes == bs_rt ? u"KeptV" : u"Kept";
    ASSERT_EQ(set(mm.client, kept, "1", attributes), EfiStatus::success);
    const std::string data(1000, 'x');
    // More than either store holds: the variable that is updated is carried along.
    for (int i = 0; i < 400; ++i) {
      ASSERT_EQ(set(mm.client, u"Updated", data + std::to_string(i), attributes),
                EfiStatus::success)
          << i;
    }
    EXPECT_EQ(mm.client.read(kept, vendor)->data, bytes_of("1"));
    EXPECT_EQ(mm.client.read(u"Updated", vendor)->data, bytes_of(data + "399"));
    ASSERT_TRUE(set(mm.client, u"Updated", "", attributes) == EfiStatus::success);
  }
}

TEST(Seeds, ReclaimAtReadyToBoot) {
  const variable::Limits limits{.max_variable_size = 0x200,
                                .max_authenticated_size = 0x200,
                                .max_volatile_size = 0x200,
                                .volatile_store_size = 0x800};
  InMemory mm({.limits = limits, .phase = Phase::boot_early});
  // Until less than the largest variable fits.
  const auto info = [&] { return mm.client.store_info().value(); };
  for (int i = 0; info().capacity - info().used >= info().max_variable_size; ++i) {
    ASSERT_EQ(set(mm.client, u"A", std::string(200, 'x') + std::to_string(i)), EfiStatus::success);
    ASSERT_LT(i, 100);
  }
  ASSERT_NE(info().dead_records, 0U);
  ASSERT_TRUE(mm.client.ready_to_boot());
  EXPECT_EQ(info().dead_records, 0U);
}

std::vector<std::byte> capsule_of(std::uint32_t size, std::uint32_t flags) {
  std::vector<std::byte> capsule(size, std::byte{0xc5});
  ByteWriter writer(capsule);
  writer.fill(16, std::byte{1});
  writer.u32(28);
  writer.u32(flags);
  writer.u32(size);
  return capsule;
}

TEST(Seeds, UpdateCapsule) {
  MmSide side(Way::socket, {.capsules = true});
  EXPECT_TRUE(side.client().submit_capsule(capsule_of(150'000, 0)));
  EXPECT_EQ(std::filesystem::file_size(side.capsules() / "00000001.cap"), 150'000U);
  const TemporaryDirectory directory;
  auto spool = daemon::CapsuleSpool::open(directory.path()).value();
  EXPECT_TRUE(spool.begin(1, daemon::max_capsule_size_bytes));
  EXPECT_EQ(spool.begin(1, daemon::max_capsule_size_bytes + 1).status(),
            EfiStatus::invalid_parameter);
}

TEST(Seeds, CapsuleHeaderAndItsFlags) {
  MmSide side(Way::socket, {.capsules = true});
  constexpr std::uint32_t persist = 0x10000;
  constexpr std::uint32_t populate = 0x20000;
  constexpr std::uint32_t reset = 0x40000;
  for (const std::uint32_t flags :
       {0U, persist, persist | populate, persist | reset, persist | populate | reset, 0x1234U}) {
    EXPECT_TRUE(side.client().submit_capsule(capsule_of(28, flags))) << flags;
  }
  for (const std::uint32_t flags : {populate, reset, populate | reset}) {
    EXPECT_EQ(side.client().submit_capsule(capsule_of(28, flags)).status(),
              EfiStatus::invalid_parameter)
        << flags;
  }
}

TEST(Seeds, CapsuleArchitecturalProtocol) {
  const auto hand_over = [](mm::Rights rights, bool writable, bool taken) {
    const TemporaryDirectory directory;
    auto spool = daemon::CapsuleSpool::open(directory.path()).value();
    InMemory mm;
    mm::Dispatcher dispatcher(mm.services, {.capsules = taken ? &spool : nullptr});
    dispatcher.serve_with(mm.services, writable);
    auto client = Client::create(runtime::make_in_process_transport(
                                     dispatcher, {.rights = rights, .session = 1}))
                      .value();
    return client.submit_capsule(capsule_of(28, 0)).status();
  };
  EXPECT_EQ(hand_over(mm::Rights::all, true, true), EfiStatus::success);
  EXPECT_EQ(hand_over(mm::Rights::all, true, false), EfiStatus::unsupported);
  EXPECT_EQ(hand_over(mm::Rights::all, false, true), EfiStatus::not_available_yet);
  EXPECT_EQ(hand_over(mm::Rights::read | mm::Rights::write, true, true), EfiStatus::access_denied);
}

}  // namespace
}  // namespace efistore::test
