// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <array>
#include <cstring>

#include "efistore/variable/uefi_abi.hpp"

#include "support/vectors.hpp"
#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using variable::efi_get_variable;
using variable::Phase;

class GetVariable : public ServicesTest {
 protected:
  GetVariable() { start(); }

  /// GetVariable with a buffer of `size` bytes; sets size_, attributes_ and buffer_.
  EfiStatus call(const char16_t* name, std::size_t size, const Guid& guid = vendor) {
    size_ = size;
    attributes_ = untouched;
    buffer_.fill('.');
    return efi_get_variable(services(), name, &guid, &attributes_, &size_, buffer_.data());
  }

  static constexpr std::uint32_t untouched = 0xdeadbeef;
  std::size_t size_ = 0;
  std::uint32_t attributes_ = 0;
  std::array<char, 16> buffer_{};
};

TEST_F(GetVariable, NullNameIsInvalidParameter) {
  std::size_t size = 0;
  EXPECT_EQ(efi_get_variable(services(), nullptr, &vendor, nullptr, &size, nullptr),
            EfiStatus::invalid_parameter);
}

TEST_F(GetVariable, NullGuidIsInvalidParameter) {
  std::size_t size = 0;
  EXPECT_EQ(efi_get_variable(services(), u"A", nullptr, nullptr, &size, nullptr),
            EfiStatus::invalid_parameter);
}

TEST_F(GetVariable, NullDataSizeIsInvalidParameter) {
  EXPECT_EQ(efi_get_variable(services(), u"A", &vendor, nullptr, nullptr, buffer_.data()),
            EfiStatus::invalid_parameter);
}

TEST_F(GetVariable, EmptyNameIsNotFound) {
  EXPECT_EQ(call(u"", 16), EfiStatus::not_found);
}

TEST_F(GetVariable, AbsentIsNotFoundAndLeavesTheOutputsAlone) {
  EXPECT_EQ(call(u"A", 16), EfiStatus::not_found);
  EXPECT_EQ(size_, 16U);
  EXPECT_EQ(attributes_, untouched);
}

TEST_F(GetVariable, OtherGuidIsNotFound) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(call(u"A", 16, guids::global_variable), EfiStatus::not_found);
}

TEST_F(GetVariable, NamesAreCaseSensitive) {
  ASSERT_EQ(set(u"Abc", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(call(u"abc", 16), EfiStatus::not_found);
}

TEST_F(GetVariable, BootOnlyAtRuntimeIsNotFound) {
  ASSERT_EQ(set(u"A", nv_bs, "1"), EfiStatus::success);
  ASSERT_EQ(set(u"B", bs, "1"), EfiStatus::success);
  ASSERT_EQ(call(u"A", 16), EfiStatus::success);
  services().exit_boot_services();
  EXPECT_EQ(call(u"A", 16), EfiStatus::not_found);
  EXPECT_EQ(call(u"B", 16), EfiStatus::not_found);
}

TEST_F(GetVariable, SmallBufferIsBufferTooSmallWithSizeAndAttributes) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "12345"), EfiStatus::success);
  EXPECT_EQ(call(u"A", 4), EfiStatus::buffer_too_small);
  EXPECT_EQ(size_, 5U);
  EXPECT_EQ(attributes_, nv_bs_rt);
  EXPECT_EQ(buffer_[0], '.');
}

TEST_F(GetVariable, BufferOfExactlyTheSizeIsFilled) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "12345"), EfiStatus::success);
  EXPECT_EQ(call(u"A", 5), EfiStatus::success);
  EXPECT_EQ(std::string(buffer_.data(), 6), "12345.");
}

TEST_F(GetVariable, LargerBufferGetsTheSizeBack) {
  ASSERT_EQ(set(u"A", bs, "12345"), EfiStatus::success);
  EXPECT_EQ(call(u"A", 16), EfiStatus::success);
  EXPECT_EQ(size_, 5U);
  EXPECT_EQ(attributes_, bs);
  EXPECT_EQ(buffer_[5], '.');
}

TEST_F(GetVariable, NullDataOfSizeZeroAsksForTheSize) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "12345"), EfiStatus::success);
  std::size_t size = 0;
  EXPECT_EQ(efi_get_variable(services(), u"A", &vendor, nullptr, &size, nullptr),
            EfiStatus::buffer_too_small);
  EXPECT_EQ(size, 5U);
}

TEST_F(GetVariable, NullDataOfEnoughSizeIsInvalidParameterWithSizeAndAttributes) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "12345"), EfiStatus::success);
  std::size_t size = 16;
  std::uint32_t attributes = 0;
  EXPECT_EQ(efi_get_variable(services(), u"A", &vendor, &attributes, &size, nullptr),
            EfiStatus::invalid_parameter);
  EXPECT_EQ(size, 5U);
  EXPECT_EQ(attributes, nv_bs_rt);
}

TEST_F(GetVariable, AttributesMayBeNull) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  std::size_t size = 16;
  EXPECT_EQ(efi_get_variable(services(), u"A", &vendor, nullptr, &size, buffer_.data()),
            EfiStatus::success);
}

TEST_F(GetVariable, AppendIsNeverAmongTheAttributes) {
  ASSERT_EQ(set(u"A", nv_bs_rt | ap, "1"), EfiStatus::success);
  EXPECT_EQ(call(u"A", 16), EfiStatus::success);
  EXPECT_EQ(attributes_, nv_bs_rt);
}

TEST_F(GetVariable, RecordInTransitionWithoutTwinIsItsOldValue) {
  Bytes image = blank_image(small_layout());
  plant(image, first_record, u"A", "old", 0x3e);
  start_from(std::move(image));
  EXPECT_EQ(get(u"A"), "old");
}

TEST_F(GetVariable, RecordInTransitionGivesWayToItsTwin) {
  Bytes image = blank_image(small_layout());
  const std::uint32_t second = plant(image, first_record, u"A", "old", 0x3e);
  plant(image, second, u"A", "new", 0x3f);
  start_from(std::move(image));
  EXPECT_EQ(get(u"A"), "new");
  EXPECT_EQ(listing(), "A=new");
}

TEST_F(GetVariable, AuthenticatedVariablesAreReadable) {
  EFISTORE_NEED_VECTORS();
  for (const char* vector :
       {"store/v01-ovmf4m-redhat-ms.fd.xz", "store/v08-ovmf4m-edk2written-ms.fd.xz"}) {
    start_from(load_vector(vector).value(), {.phase = Phase::runtime});
    const auto key = services().get(u"PK", guids::global_variable);
    ASSERT_TRUE(key) << vector;
    EXPECT_EQ(key->attributes, nv_bs_rt | at);
    EXPECT_GT(key->data.size(), 900U);
    EXPECT_FALSE(key->time.is_zero());
  }
}

}  // namespace
}  // namespace efistore::test
