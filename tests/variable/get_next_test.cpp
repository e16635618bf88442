// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <algorithm>
#include <array>
#include <cstdint>

#include "efistore/variable/uefi_abi.hpp"

#include "support/vectors.hpp"
#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using variable::efi_get_next_variable_name;
using variable::Phase;

class GetNextVariableName : public ServicesTest {
 protected:
  GetNextVariableName() { start(); }

  /// The call with a buffer of `size` bytes that holds `name`; sets size_, guid_ and buffer_.
  EfiStatus call(std::u16string_view name, std::size_t size, const Guid& guid = vendor) {
    buffer_.fill(u'.');
    *std::ranges::copy(name, buffer_.begin()).out = u'\0';
    size_ = size;
    guid_ = guid;
    return efi_get_next_variable_name(services(), &size_, buffer_.data(), &guid_);
  }

  std::size_t size_ = 0;
  Guid guid_;
  std::array<char16_t, 32> buffer_{};
};

TEST_F(GetNextVariableName, NullSizeIsInvalidParameter) {
  EXPECT_EQ(efi_get_next_variable_name(services(), nullptr, buffer_.data(), &guid_),
            EfiStatus::invalid_parameter);
}

TEST_F(GetNextVariableName, NullNameIsInvalidParameter) {
  size_ = 2;
  EXPECT_EQ(efi_get_next_variable_name(services(), &size_, nullptr, &guid_),
            EfiStatus::invalid_parameter);
}

TEST_F(GetNextVariableName, NullGuidIsInvalidParameter) {
  size_ = 2;
  EXPECT_EQ(efi_get_next_variable_name(services(), &size_, buffer_.data(), nullptr),
            EfiStatus::invalid_parameter);
}

TEST_F(GetNextVariableName, SizeBelowOneCharacterIsInvalidParameter) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(call(u"", 0), EfiStatus::invalid_parameter);
  EXPECT_EQ(call(u"", 1), EfiStatus::invalid_parameter);
}

TEST_F(GetNextVariableName, NameWithoutNulWithinItsSizeIsInvalidParameter) {
  ASSERT_EQ(set(u"AB", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(call(u"AB", 4), EfiStatus::invalid_parameter);
  // The odd byte is no character.
  EXPECT_EQ(call(u"AB", 5), EfiStatus::invalid_parameter);
  EXPECT_EQ(call(u"AB", 6), EfiStatus::not_found);
}

TEST_F(GetNextVariableName, UnknownNameIsInvalidParameter) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(call(u"B", 64), EfiStatus::invalid_parameter);
  EXPECT_EQ(call(u"A", 64, guids::global_variable), EfiStatus::invalid_parameter);
}

TEST_F(GetNextVariableName, DeletedNameIsInvalidParameter) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  ASSERT_EQ(set(u"A", nv_bs_rt, ""), EfiStatus::success);
  EXPECT_EQ(call(u"A", 64), EfiStatus::invalid_parameter);
}

TEST_F(GetNextVariableName, EmptyStoreIsNotFound) {
  EXPECT_EQ(call(u"", 64), EfiStatus::not_found);
}

TEST_F(GetNextVariableName, EndIsNotFoundAndLeavesTheOutputsAlone) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(call(u"A", 64), EfiStatus::not_found);
  EXPECT_EQ(size_, 64U);
  EXPECT_EQ(std::u16string_view(buffer_.data()), u"A");
  EXPECT_EQ(guid_, vendor);
}

TEST_F(GetNextVariableName, SmallBufferIsBufferTooSmallWithTheSize) {
  ASSERT_EQ(set(u"Name", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(call(u"", 9, guids::global_variable), EfiStatus::buffer_too_small);
  EXPECT_EQ(size_, 10U);
  EXPECT_EQ(buffer_[0], u'\0');
  EXPECT_EQ(guid_, guids::global_variable);
}

TEST_F(GetNextVariableName, BufferOfExactlyTheSizeIsFilled) {
  ASSERT_EQ(set(u"Name", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(call(u"", 10, guids::global_variable), EfiStatus::success);
  EXPECT_EQ(std::u16string_view(buffer_.data(), 6), std::u16string_view(u"Name\0.", 6));
  EXPECT_EQ(guid_, vendor);
}

TEST_F(GetNextVariableName, LargerBufferGetsTheSizeBack) {
  ASSERT_EQ(set(u"Name", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(call(u"", 64), EfiStatus::success);
  EXPECT_EQ(size_, 10U);
}

TEST_F(GetNextVariableName, SizeBeyondTheBufferReadsNoFurtherThanTheNul) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(call(u"", SIZE_MAX), EfiStatus::success);
  EXPECT_EQ(size_, 4U);
}

TEST_F(GetNextVariableName, EmptyNameIgnoresTheGuid) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(call(u"", 64, guids::global_variable), EfiStatus::success);
  EXPECT_EQ(std::u16string_view(buffer_.data()), u"A");
}

TEST_F(GetNextVariableName, VolatileComeFirstThenNonVolatileInFlashOrder) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  ASSERT_EQ(set(u"B", bs_rt, "2"), EfiStatus::success);
  ASSERT_EQ(set(u"C", nv_bs, "3"), EfiStatus::success);
  ASSERT_EQ(set(u"D", bs, "4"), EfiStatus::success);
  EXPECT_EQ(listing(), "B=2 D=4 A=1 C=3");
  ASSERT_EQ(set(u"A", nv_bs_rt, "5"), EfiStatus::success);
  EXPECT_EQ(listing(), "B=2 D=4 C=3 A=5");
}

TEST_F(GetNextVariableName, AtRuntimeBootOnlyAreLeftOut) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  ASSERT_EQ(set(u"B", nv_bs, "2"), EfiStatus::success);
  ASSERT_EQ(set(u"C", bs_rt, "3"), EfiStatus::success);
  ASSERT_EQ(set(u"D", bs, "4"), EfiStatus::success);
  services().exit_boot_services();
  EXPECT_EQ(listing(), "C=3 A=1");
}

TEST_F(GetNextVariableName, AtRuntimeBootOnlyCurrentIsInvalidParameter) {
  ASSERT_EQ(set(u"A", nv_bs, "1"), EfiStatus::success);
  ASSERT_EQ(set(u"B", nv_bs_rt, "2"), EfiStatus::success);
  services().exit_boot_services();
  EXPECT_EQ(call(u"A", 64), EfiStatus::invalid_parameter);
}

TEST_F(GetNextVariableName, AuthenticatedVariablesAreListed) {
  EFISTORE_NEED_VECTORS();
  start_from(load_vector("store/v01-ovmf4m-redhat-ms.fd.xz").value());
  std::vector<std::u16string> names;
  std::u16string name;
  Guid guid;
  while (const auto next = services().get_next(name, guid)) {
    names.emplace_back(name = next->name);
    guid = next->guid;
  }
  std::ranges::sort(names);
  EXPECT_EQ(names, (std::vector<std::u16string>{u"CustomMode", u"KEK", u"PK", u"SecureBootEnable",
                                                u"db", u"dbx"}));
}

}  // namespace
}  // namespace efistore::test
