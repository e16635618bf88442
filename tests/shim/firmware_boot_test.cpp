// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What a mount writes to the store, and what it does not.
#include "common/firmware_boot.hpp"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <memory>
#include <optional>
#include <string>

#include "efistore/base/attributes.hpp"
#include "efistore/base/bytes.hpp"
#include "efistore/flash/memory_device.hpp"
#include "efistore/store/variable_store.hpp"

#include "support/counting_device.hpp"
#include "support/faulty_device.hpp"

namespace efistore::shim {
namespace {

using namespace literals;
using test::FlashCounts;
using variable::Phase;

constexpr std::u16string_view flag_name = u"VarErrorFlag";
constexpr Guid flag_guid = "04b37fe8-f6ae-480b-bdd5-37d98c5e89aa"_guid;
constexpr std::u16string_view lock_name = u"MemoryOverwriteRequestControlLock";
constexpr Guid lock_guid = "bb983ccf-151d-40e1-a07b-4a17be168292"_guid;
constexpr std::u16string_view control_name = u"MemoryOverwriteRequestControl";
constexpr Guid control_guid = "e20939be-32d4-41be-a150-897f85d49829"_guid;
constexpr Guid vendor = "210be57c-9849-4fc7-a635-e6382d1aec27"_guid;

class BootFirmware : public ::testing::Test {
 protected:
  BootFirmware() {
    EXPECT_TRUE(store::VariableStore::format(flash_, store::Layout::ovmf_4m()));
    open();
  }

  /// A reset, up to where the firmware boots.
  void open(bool read_only = false) {
    services_.reset();
    faulty_ = nullptr;
    auto counting = std::make_unique<test::CountingDevice>(flash_);
    counting_ = counting.get();
    auto faulty = std::make_unique<test::FaultyDevice>(std::move(counting));
    faulty_ = faulty.get();
    auto store = store::VariableStore::open(std::move(faulty), {.read_only = read_only});
    ASSERT_TRUE(store) << store.error().message;
    services_.emplace(
        std::move(*variable::Services::create(std::move(*store), {.phase = Phase::boot_early})));
    counting_->reset();
  }
  EfiStatus boot() { return tools::boot_firmware(*services_).status(); }
  EfiStatus set(std::u16string_view name, const Guid& guid, std::string_view data) {
    return services_
        ->set({.name = name,
               .guid = guid,
               .attributes = attributes::default_new,
               .data = as_bytes(data)})
        .status();
  }
  std::string get(std::u16string_view name, const Guid& guid) const {
    const auto variable = services_->get(name, guid);
    if (!variable) return std::string(to_string(variable.status()));
    return {reinterpret_cast<const char*>(variable->data.data()), variable->data.size()};
  }
  /// Until nothing fits, so that not even VarErrorFlag does.
  void fill() {
    for (std::size_t size = 0x8000; size > 0; size /= 2) {
      for (char16_t letter = u'a'; letter <= u'z'; ++letter) {
        const std::u16string name = {static_cast<char16_t>(u'0' + std::bit_width(size)), letter};
        if (set(name, vendor, std::string(size, 'f')) != EfiStatus::success) break;
      }
    }
  }
  void expect_no_writes() const {
    EXPECT_EQ(counting_->counts().programs, 0U);
    EXPECT_EQ(counting_->counts().erases, 0U);
  }

  flash::MemoryDevice flash_{{.size_bytes = 0x84000, .erase_block_size_bytes = 0x1000}};
  test::CountingDevice* counting_ = nullptr;
  test::FaultyDevice* faulty_ = nullptr;
  std::optional<variable::Services> services_;
};

TEST_F(BootFirmware, LeadsToRuntimeWithoutErrors) {
  EXPECT_EQ(boot(), EfiStatus::success);
  EXPECT_EQ(services_->phase(), Phase::runtime);
  EXPECT_EQ(get(flag_name, flag_guid), "\xff");
}

TEST_F(BootFirmware, ASecondTimeWritesNothing) {
  ASSERT_EQ(boot(), EfiStatus::success);
  ASSERT_EQ(set(lock_name, lock_guid, "\1"), EfiStatus::success);
  open();
  ASSERT_EQ(boot(), EfiStatus::success);
  EXPECT_GT(counting_->counts().programs, 0U);
  open();
  EXPECT_EQ(boot(), EfiStatus::success);
  expect_no_writes();
}

TEST_F(BootFirmware, UnlocksMemoryOverwriteRequests) {
  ASSERT_EQ(boot(), EfiStatus::success);
  ASSERT_EQ(set(lock_name, lock_guid, "\1"), EfiStatus::success);
  ASSERT_EQ(set(control_name, control_guid, "\1"), EfiStatus::access_denied);
  open();
  ASSERT_EQ(boot(), EfiStatus::success);
  EXPECT_EQ(get(lock_name, lock_guid), std::string(1, '\0'));
  EXPECT_EQ(set(control_name, control_guid, "\1"), EfiStatus::success);
}

TEST_F(BootFirmware, MakesRoomForTheLargestVariable) {
  ASSERT_EQ(boot(), EfiStatus::success);
  for (int i = 0; i < 7; ++i) {
    ASSERT_EQ(set(u"large", vendor, std::string(0x8000, static_cast<char>('0' + i))),
              EfiStatus::success);
  }
  open();
  ASSERT_EQ(boot(), EfiStatus::success);
  EXPECT_EQ(services_->store().usage().dead_records, 0U);
  open();
  EXPECT_EQ(boot(), EfiStatus::success);
  expect_no_writes();
}

TEST_F(BootFirmware, OfAReadOnlyStoreWritesNothing) {
  ASSERT_EQ(boot(), EfiStatus::success);
  ASSERT_EQ(set(lock_name, lock_guid, "\1"), EfiStatus::success);
  open(true);
  EXPECT_EQ(boot(), EfiStatus::success);
  EXPECT_EQ(services_->phase(), Phase::runtime);
  EXPECT_EQ(get(lock_name, lock_guid), "\1");
  expect_no_writes();
}

TEST_F(BootFirmware, OfADamagedStoreWritesNothing) {
  ASSERT_EQ(set(u"First", vendor, "1"), EfiStatus::success);
  ASSERT_EQ(set(u"Second", vendor, "2"), EfiStatus::success);
  constexpr std::uint64_t first_record = 0x64;
  ASSERT_TRUE(flash_.program(first_record, std::array{std::byte{0}, std::byte{0}}));
  open();
  ASSERT_TRUE(services_->store().report().damaged);
  EXPECT_EQ(boot(), EfiStatus::success) << "its mount tells of the damage";
  EXPECT_EQ(services_->phase(), Phase::runtime);
  expect_no_writes();
}

TEST_F(BootFirmware, OfAFullStoreSaysSoAndWritesNothing) {
  services_->exit_boot_services();
  fill();
  open();
  EXPECT_EQ(boot(), EfiStatus::out_of_resources);
  EXPECT_EQ(services_->phase(), Phase::runtime);
  expect_no_writes();
}

TEST_F(BootFirmware, OfBrokenFlashSaysSoAndLeadsToRuntime) {
  faulty_->arm({.lasting = true});
  EXPECT_EQ(boot(), EfiStatus::device_error);
  EXPECT_EQ(services_->phase(), Phase::runtime);
}

}  // namespace
}  // namespace efistore::shim
