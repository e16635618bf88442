// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Callers that mean harm, or hand the store's own memory back to it, and flash that fails.
#include <cstdint>
#include <string>

#include "efistore/variable/uefi_abi.hpp"

#include "support/faulty_device.hpp"
#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using namespace std::string_literals;
using variable::efi_set_variable;
using variable::Phase;
using variable::SetRequest;

class HostileSize : public ServicesTest {
 protected:
  HostileSize() { start(); }
};

TEST_F(HostileSize, SizesThatOverflowAreInvalidParameter) {
  const char one = '1';
  // Name and size together wrap around to little.
  for (std::size_t below = 0; below < 128; ++below) {
    EXPECT_EQ(efi_set_variable(services(), u"A", &vendor, nv_bs_rt, SIZE_MAX - below, &one),
              EfiStatus::invalid_parameter);
    EXPECT_EQ(efi_set_variable(services(), u"A", &vendor, bs, SIZE_MAX - below, &one),
              EfiStatus::invalid_parameter);
  }
  EXPECT_EQ(efi_set_variable(services(), u"A", &vendor, nv_bs_rt, std::size_t{1} << 32, &one),
            EfiStatus::invalid_parameter);
  EXPECT_EQ(listing(), "");
}

TEST_F(HostileSize, AppendThatOverflowsIsInvalidParameter) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1234"), EfiStatus::success);
  const char one = '1';
  for (std::size_t below = 0; below < 128; ++below) {
    EXPECT_EQ(efi_set_variable(services(), u"A", &vendor, nv_bs_rt | ap, SIZE_MAX - below, &one),
              EfiStatus::invalid_parameter);
  }
  EXPECT_EQ(get(u"A"), "1234");
}

TEST_F(HostileSize, NameOfAMegabyteIsInvalidParameter) {
  const std::u16string name(512 * 1024, u'N');
  EXPECT_EQ(set(name, nv_bs_rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(name, 0, ""), EfiStatus::invalid_parameter);
  EXPECT_EQ(get(name), "EFI_NOT_FOUND");
  EXPECT_EQ(services().get_next(name, vendor).status(), EfiStatus::invalid_parameter);
}

/// Requests whose name or data lies in the store.
class Aliasing : public ServicesTest {
 protected:
  Aliasing() { start(); }

  variable::VariableView view(std::u16string_view name, const Guid& guid = vendor) const {
    return services().get(name, guid).value();
  }
  EfiStatus set_bytes(std::u16string_view name, std::uint32_t attributes,
                      std::span<const std::byte> data, const Guid& guid = vendor) {
    return services()
        .set({.name = name, .guid = guid, .attributes = attributes, .data = data})
        .status();
  }
  /// Fills the store with dead records, so that the next write reclaims and moves everything.
  void fill_with_dead(std::uint32_t bytes_left = 0) {
    const std::uint32_t left = store_capacity - services().store().usage().used - bytes_left;
    ASSERT_EQ(set(u"W", nv_bs_rt, std::string(left - 64, 'w')), EfiStatus::success);
    ASSERT_EQ(set(u"W", nv_bs_rt, ""), EfiStatus::success);
  }
};

TEST_F(Aliasing, DataOfOneVariableIsWrittenToAnother) {
  for (const std::uint32_t attributes : {nv_bs_rt, bs_rt}) {
    start();
    ASSERT_EQ(set(u"A", attributes, "data"), EfiStatus::success);
    EXPECT_EQ(set_bytes(u"B", attributes, view(u"A").data), EfiStatus::success);
    EXPECT_EQ(get(u"B"), "data");
  }
}

TEST_F(Aliasing, DataOfOneVariableIsWrittenToAnotherThroughAReclaim) {
  ASSERT_EQ(set(u"X", nv_bs_rt, "before"), EfiStatus::success);
  ASSERT_EQ(set(u"A", nv_bs_rt, "data"), EfiStatus::success);
  ASSERT_EQ(set(u"X", nv_bs_rt, ""), EfiStatus::success);
  fill_with_dead();
  EXPECT_EQ(set_bytes(u"B", nv_bs_rt, view(u"A").data), EfiStatus::success);
  EXPECT_EQ(listing(), "A=data B=data");
}

TEST_F(Aliasing, AVariableIsAppendedToItself) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "ab"), EfiStatus::success);
  EXPECT_EQ(set_bytes(u"A", nv_bs_rt | ap, view(u"A").data), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "abab");
  fill_with_dead();
  EXPECT_EQ(set_bytes(u"A", nv_bs_rt | ap, view(u"A").data), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "abababab");
}

TEST_F(Aliasing, AVolatileVariableIsAppendedToItselfThroughAReclaim) {
  variable::Limits limits = distinct_limits();
  limits.volatile_store_size = 256;
  start({.options = {.limits = limits}});
  ASSERT_EQ(set(u"A", bs, std::string(50, 'a')), EfiStatus::success);
  EXPECT_EQ(set_bytes(u"A", bs | ap, view(u"A").data), EfiStatus::success);
  EXPECT_EQ(get(u"A"), std::string(100, 'a'));
}

TEST_F(Aliasing, PartOfAVariableBecomesTheWhole) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "head-tail"), EfiStatus::success);
  fill_with_dead();
  EXPECT_EQ(set_bytes(u"A", nv_bs_rt, view(u"A").data.subspan(5)), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "tail");
}

TEST_F(Aliasing, NameOfAViewUpdatesThroughAReclaim) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  fill_with_dead();
  EXPECT_EQ(set_bytes(view(u"A").name, nv_bs_rt, as_bytes("2")), EfiStatus::success);
  EXPECT_EQ(get(u"A"), "2");
}

TEST_F(Aliasing, NameOfAViewDeletes) {
  for (const std::uint32_t attributes : {nv_bs_rt, bs_rt}) {
    ASSERT_EQ(set(u"A", attributes, "1"), EfiStatus::success);
    EXPECT_EQ(set_bytes(view(u"A").name, attributes, {}), EfiStatus::success);
    EXPECT_EQ(get(u"A"), "EFI_NOT_FOUND");
  }
}

TEST_F(Aliasing, NameOfAViewAsksForTheNext) {
  ASSERT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  ASSERT_EQ(set(u"B", nv_bs_rt, "2"), EfiStatus::success);
  EXPECT_EQ(services().get_next(view(u"A").name, vendor)->name, u"B");
}

TEST_F(Aliasing, LanguageFromTheStoreSurvivesTheReclaimOfTheOtherLanguage) {
  ASSERT_EQ(set_global(u"LangCodes", bs_rt, "engfra\0"s), EfiStatus::success);
  ASSERT_EQ(set_global(u"PlatformLangCodes", bs_rt, "en;fr\0"s), EfiStatus::success);
  ASSERT_EQ(set_global(u"PlatformLang", nv_bs_rt, "en\0"s), EfiStatus::success);
  ASSERT_EQ(set(u"A", nv_bs_rt, "fr\0"s), EfiStatus::success);
  fill_with_dead();
  const auto platform_lang = view(u"PlatformLang", guids::global_variable);
  EXPECT_EQ(set_bytes(platform_lang.name, nv_bs_rt, view(u"A").data, guids::global_variable),
            EfiStatus::success);
  EXPECT_EQ(get_global(u"PlatformLang"), "fr\0"s);
  EXPECT_EQ(get_global(u"Lang"), "fra\0"s);
}

TEST_F(Aliasing, LockKeyFromTheStoreSurvivesTheReclaimOfTheLock) {
  const Guid lock_guid = *Guid::parse("bb983ccf-151d-40e1-a07b-4a17be168292");
  const std::u16string_view lock_name = u"MemoryOverwriteRequestControlLock";
  ASSERT_EQ(set(u"X", nv_bs_rt, "before"), EfiStatus::success);
  ASSERT_EQ(set(u"Key", nv_bs_rt, "password"), EfiStatus::success);
  ASSERT_EQ(set(u"X", nv_bs_rt, ""), EfiStatus::success);
  fill_with_dead();
  EXPECT_EQ(set_bytes(lock_name, nv_bs_rt, view(u"Key").data, lock_guid), EfiStatus::success);
  EXPECT_EQ(set(lock_name, nv_bs_rt, "password", lock_guid), EfiStatus::success);
}

/// Both stores can be made to hold one name, before anything is checked.
class TwoStores : public ServicesTest {};

TEST_F(TwoStores, LangMovesToTheStoreOfItsAttributes) {
  start({.options = {.phase = Phase::boot_early}});
  ASSERT_EQ(set_global(u"Lang", bs, "eng\0"s), EfiStatus::success);
  ASSERT_EQ(set_global(u"LangCodes", bs_rt, "engfra\0"s), EfiStatus::success);
  ASSERT_EQ(set_global(u"PlatformLangCodes", bs_rt, "en;fr\0"s), EfiStatus::success);
  EXPECT_EQ(set_global(u"PlatformLang", nv_bs_rt, "fr\0"s), EfiStatus::success);
  EXPECT_EQ(get_global(u"Lang"), "fra\0"s);
  EXPECT_EQ(services().get(u"Lang", guids::global_variable)->attributes, nv_bs_rt);
  EXPECT_EQ(set_global(u"Lang", nv_bs_rt, ""), EfiStatus::success);
  EXPECT_EQ(get_global(u"Lang"), "EFI_NOT_FOUND");
}

TEST_F(TwoStores, WithoutWritableFlashNothingMoves) {
  start({.options = {.phase = Phase::boot_early, .write_ready = false}});
  ASSERT_EQ(set_global(u"Lang", bs, "eng\0"s), EfiStatus::success);
  ASSERT_EQ(set_global(u"LangCodes", bs_rt, "engfra\0"s), EfiStatus::success);
  ASSERT_EQ(set_global(u"PlatformLangCodes", bs_rt, "en;fr\0"s), EfiStatus::success);
  EXPECT_EQ(set_global(u"PlatformLang", nv_bs_rt, "fr\0"s), EfiStatus::not_available_yet);
  EXPECT_EQ(get_global(u"Lang"), "eng\0"s);
  EXPECT_TRUE(writes().empty());
}

/// What the services say of stores and devices that cannot be written.
class Trouble : public testing::Test {
 protected:
  static EfiStatus set(variable::Services& services, std::u16string_view name,
                       std::string_view data) {
    return services
        .set({.name = name, .guid = vendor, .attributes = nv_bs_rt, .data = as_bytes(data)})
        .status();
  }
  static variable::Services serve(store::VariableStore store) {
    return variable::Services::create(std::move(store)).value();
  }
};

TEST_F(Trouble, ReadOnlyStoreIsWriteProtected) {
  Bytes image = blank_image(small_layout());
  plant(image, first_record, u"A", "1", 0x3f);
  auto services =
      serve(store::VariableStore::open(device_of(std::move(image)), {.read_only = true}).value());
  EXPECT_EQ(set(services, u"A", "2"), EfiStatus::write_protected);
  EXPECT_EQ(set(services, u"B", "2"), EfiStatus::write_protected);
  EXPECT_EQ(set(services, u"A", ""), EfiStatus::write_protected);
  EXPECT_EQ(services.reclaim().status(), EfiStatus::write_protected);
  // Nothing had to be written.
  EXPECT_EQ(set(services, u"A", "1"), EfiStatus::success);
}

TEST_F(Trouble, DamagedStoreIsVolumeCorruptedAndReadable) {
  Bytes image = blank_image(small_layout());
  const std::uint32_t second = plant(image, first_record, u"A", "1", 0x3f);
  plant(image, second + 8, u"B", "2", 0x3f);
  image[second] = std::byte{0};
  auto services = serve(store::VariableStore::open(device_of(std::move(image))).value());
  EXPECT_EQ(set(services, u"A", "2"), EfiStatus::volume_corrupted);
  EXPECT_TRUE(services.get(u"B", vendor));
}

TEST_F(Trouble, FailingFlashIsDeviceErrorAndTheOldValueStays) {
  for (std::uint64_t nth = 1; nth <= 2; ++nth) {
    auto faulty = std::make_unique<FaultyDevice>(device_of(blank_image(small_layout())));
    FaultyDevice* const device = faulty.get();
    auto services = serve(store::VariableStore::open(std::move(faulty)).value());
    ASSERT_EQ(set(services, u"A", "1"), EfiStatus::success);
    device->arm({.operation = FlashOperation::program, .nth = nth});
    EXPECT_EQ(set(services, u"A", "2"), EfiStatus::device_error);
    EXPECT_EQ(to_hex(services.get(u"A", vendor)->data), "31");
    EXPECT_EQ(device->faults(), 1U);
    EXPECT_EQ(set(services, u"A", "3"), EfiStatus::write_protected) << "until the next opening";
  }
}

TEST_F(Trouble, ADeviceWithoutSpaceIsAFailingDevice) {
  for (std::uint64_t nth = 1; nth <= 4; ++nth) {
    auto faulty = std::make_unique<FaultyDevice>(device_of(blank_image(small_layout())));
    FaultyDevice* const device = faulty.get();
    auto services = serve(store::VariableStore::open(std::move(faulty)).value());
    ASSERT_EQ(set(services, u"A", "1"), EfiStatus::success);
    device->arm({.operation = FlashOperation::program, .nth = nth, .code = Errc::no_space});
    EXPECT_EQ(set(services, u"A", "2"), EfiStatus::device_error);
    EXPECT_EQ(set(services, u"A", "3"), EfiStatus::write_protected) << "until the next opening";
  }
}

}  // namespace
}  // namespace efistore::test
