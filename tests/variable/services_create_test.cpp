// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <cstdint>

#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using variable::Limits;
using variable::Services;

Errc create_error(const Limits& limits,
                  store::RecordFormat format = store::RecordFormat::authenticated) {
  auto opened = store::VariableStore::open(device_of(blank_image(small_layout(format)))).value();
  const auto created = Services::create(std::move(opened), {.limits = limits});
  // No code of its own means success here.
  return created ? Errc::unsupported : created.error().code;
}

constexpr Errc none = Errc::unsupported;

TEST(ServicesCreate, MaximaBelowTheRecordHeaderAreInvalid) {
  for (std::uint32_t Limits::*const maximum :
       {&Limits::max_variable_size, &Limits::max_authenticated_size, &Limits::max_volatile_size,
        &Limits::max_hardware_error_size}) {
    Limits limits;
    limits.*maximum = 59;
    EXPECT_EQ(create_error(limits), Errc::invalid_argument);
    limits.*maximum = 60;
    EXPECT_EQ(create_error(limits), none);
    limits.*maximum = 32;
    EXPECT_EQ(create_error(limits, store::RecordFormat::normal), none);
    limits.*maximum = 31;
    EXPECT_EQ(create_error(limits, store::RecordFormat::normal), Errc::invalid_argument);
  }
}

TEST(ServicesCreate, MaximaAboveEveryStoreAreInvalid) {
  for (std::uint32_t Limits::*const maximum :
       {&Limits::max_variable_size, &Limits::max_authenticated_size, &Limits::max_volatile_size,
        &Limits::max_hardware_error_size}) {
    Limits limits;
    limits.*maximum = UINT32_MAX;
    EXPECT_EQ(create_error(limits), Errc::invalid_argument);
    limits.*maximum = static_cast<std::uint32_t>(store::max_volume_size_bytes) + 1;
    EXPECT_EQ(create_error(limits), Errc::invalid_argument);
    limits.*maximum = static_cast<std::uint32_t>(store::max_volume_size_bytes);
    EXPECT_EQ(create_error(limits), none);
  }
}

TEST(ServicesCreate, ReservesBeyondTheStoreAreInvalid) {
  Limits limits;
  limits.hardware_error_storage_size = store_capacity - 4;
  limits.boottime_reserved_size = 4;
  EXPECT_EQ(create_error(limits), none);
  limits.boottime_reserved_size = 5;
  EXPECT_EQ(create_error(limits), Errc::invalid_argument);
  limits.hardware_error_storage_size = limits.boottime_reserved_size = UINT32_MAX;
  EXPECT_EQ(create_error(limits), Errc::invalid_argument);
}

TEST(ServicesCreate, VolatileStoreIsAMultipleOfFourWithRoomForItsHeader) {
  Limits limits;
  for (const std::uint32_t size : {0U, 24U, 30U, 0xfffffffcU}) {
    limits.volatile_store_size = size;
    EXPECT_EQ(create_error(limits), Errc::invalid_argument) << size;
  }
  limits.volatile_store_size = 28;
  EXPECT_EQ(create_error(limits), none);
}

TEST(LimitsOfLayout, AreThoseOfTheFirmwareThatMadeIt) {
  const Limits large = Limits::for_layout(store::Layout::ovmf_4m());
  EXPECT_EQ(large.max_variable_size, 0x8400U);
  EXPECT_EQ(large.max_authenticated_size, 0x8400U);
  EXPECT_EQ(large.max_volatile_size, 0x8400U);
  EXPECT_EQ(large.max_hardware_error_size, 0x8000U);
  EXPECT_EQ(large.hardware_error_storage_size, 0U);
  EXPECT_EQ(large.volatile_store_size, 0x40000U);
  const Limits small = Limits::for_layout(store::Layout::ovmf_2m());
  EXPECT_EQ(small.max_variable_size, 0x2000U);
  EXPECT_EQ(small.max_authenticated_size, 0x2800U);
}

TEST(Limits, OfNameAndDataFollowTheAttributesAndTheFormat) {
  const Limits limits{.max_variable_size = 1000,
                      .max_authenticated_size = 2000,
                      .max_volatile_size = 3000,
                      .max_hardware_error_size = 40};
  const auto content = [&limits](std::uint32_t attributes) {
    return limits.max_content_size(attributes, store::RecordFormat::authenticated);
  };
  EXPECT_EQ(content(0x7), 940U);
  EXPECT_EQ(content(0x27), 1940U);
  EXPECT_EQ(content(0x17), 1940U);
  EXPECT_EQ(content(0x6), 2940U);
  EXPECT_EQ(content(0xf), 0U);
  EXPECT_EQ(limits.max_content_size(0x7, store::RecordFormat::normal), 968U);
}

TEST(LimitsOfLayout, AreCutDownToTheStore) {
  const Limits limits = Limits::for_layout(small_layout());
  EXPECT_EQ(limits.max_variable_size, 0x1000U);
  EXPECT_EQ(limits.max_authenticated_size, 0x1000U);
  EXPECT_EQ(create_error(limits), none);
}

}  // namespace
}  // namespace efistore::test
