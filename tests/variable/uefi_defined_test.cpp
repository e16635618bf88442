// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Variables that the UEFI specification defines: names, attributes, sizes, content.
#include <string>

#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using namespace std::string_literals;
using variable::Phase;

const std::string end_node = "\x7f\xff\x04\x00"s;
/// A media file path node of "A" and NUL.
const std::string file_node = "\x04\x04\x08\x00"s + "A\0\0\0"s;

/// EFI_LOAD_OPTION: attributes, size of the path, description, path.
std::string load_option(const std::string& path, const std::string& description = "d\0\0\0"s) {
  return "\x01\0\0\0"s + static_cast<char>(path.size()) + '\0' + description + path;
}

class UefiDefined : public ServicesTest {
 protected:
  UefiDefined() { start({.options = {.limits = distinct_limits()}}); }
};

TEST_F(UefiDefined, UnknownNamesInItsNamespacesAreInvalidParameter) {
  EXPECT_EQ(set_global(u"Foo", nv_bs_rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"Foo", nv_bs_rt, "1", guids::image_security_database),
            EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"Foo", nv_bs_rt, "1", guids::hardware_error_variable),
            EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"Foo", nv_bs_rt, "1"), EfiStatus::success);
}

TEST_F(UefiDefined, UnknownNamesMayBeDeleted) {
  start({.options = {.phase = Phase::boot_early}});
  ASSERT_EQ(set_global(u"Foo", nv_bs_rt, "1"), EfiStatus::success);
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_EQ(set_global(u"Foo", nv_bs_rt, "2"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"Foo", nv_bs_rt, ""), EfiStatus::success);
  EXPECT_EQ(set_global(u"Foo", nv_bs_rt, ""), EfiStatus::not_found);
}

TEST_F(UefiDefined, BeforeEndOfDxeNothingIsChecked) {
  start({.options = {.phase = Phase::boot_early}});
  EXPECT_EQ(set_global(u"Foo", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set_global(u"BootOrder", bs, "1"), EfiStatus::success);
  EXPECT_EQ(set_global(u"SecureBoot", bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set_global(u"Boot0000", nv_bs_rt, "1"), EfiStatus::success);
}

TEST_F(UefiDefined, AtRuntimeTheChecksGoOn) {
  services().exit_boot_services();
  EXPECT_EQ(set_global(u"Foo", nv_bs_rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"BootOrder", nv_bs_rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"BootOrder", nv_bs_rt, "12"), EfiStatus::success);
}

TEST_F(UefiDefined, DigitsOfNumberedNamesAreUpperCase) {
  const std::string option = load_option(end_node);
  EXPECT_EQ(set_global(u"Boot00AF", nv_bs_rt, option), EfiStatus::success);
  for (const auto* name : {u"Boot00af", u"Boot00AG", u"Boot00A", u"Boot000AF", u"Boot####",
                           u"boot00AF", u"Boot 0AF", u"Boot00A\uff11"}) {
    EXPECT_EQ(set_global(name, nv_bs_rt, option), EfiStatus::invalid_parameter);
  }
}

TEST_F(UefiDefined, AttributesAreFixed) {
  EXPECT_EQ(set_global(u"Timeout", nv_bs, "12"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"Timeout", bs_rt, "12"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"BootCurrent", nv_bs_rt, "12"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"Timeout", nv_bs_rt, "12"), EfiStatus::success);
  EXPECT_EQ(set_global(u"BootCurrent", bs_rt, "12"), EfiStatus::success);
}

TEST_F(UefiDefined, AppendIsNoPartOfTheFixedAttributes) {
  EXPECT_EQ(set_global(u"BootOrder", nv_bs_rt | ap, "12"), EfiStatus::success);
  EXPECT_EQ(set_global(u"BootOrder", nv_bs_rt | ap, "34"), EfiStatus::success);
  EXPECT_EQ(get_global(u"BootOrder"), "1234");
}

TEST_F(UefiDefined, SizesAreFixed) {
  struct Fixed {
    const char16_t* name;
    std::uint32_t attributes;
    std::size_t size;
  };
  for (const Fixed& fixed :
       {Fixed{u"Timeout", nv_bs_rt, 2}, Fixed{u"BootNext", nv_bs_rt, 2},
        Fixed{u"BootCurrent", bs_rt, 2}, Fixed{u"BootOptionSupport", bs_rt, 4},
        Fixed{u"HwErrRecSupport", nv_bs_rt, 2}, Fixed{u"OsIndications", nv_bs_rt, 8},
        Fixed{u"OsIndicationsSupported", bs_rt, 8}}) {
    EXPECT_EQ(set_global(fixed.name, fixed.attributes, std::string(fixed.size - 1, 'x')),
              EfiStatus::invalid_parameter);
    EXPECT_EQ(set_global(fixed.name, fixed.attributes, std::string(fixed.size + 1, 'x')),
              EfiStatus::invalid_parameter);
    EXPECT_EQ(set_global(fixed.name, fixed.attributes, std::string(fixed.size, 'x')),
              EfiStatus::success);
  }
}

TEST_F(UefiDefined, ReadOnlyNamesAreWriteProtected) {
  for (const auto* name :
       {u"SetupMode", u"SecureBoot", u"SignatureSupport", u"VendorKeys", u"PKDefault",
        u"KEKDefault", u"dbDefault", u"dbxDefault", u"dbtDefault"}) {
    EXPECT_EQ(set_global(name, bs_rt, "0123456789abcdef"), EfiStatus::write_protected);
    EXPECT_EQ(set_global(name, nv_bs_rt, "1"), EfiStatus::write_protected);
  }
}

TEST_F(UefiDefined, ReadOnlyNamesCannotBeDeleted) {
  start({.options = {.phase = Phase::boot_early}});
  ASSERT_EQ(set_global(u"SecureBoot", bs_rt, "1"), EfiStatus::success);
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_EQ(set_global(u"SecureBoot", bs_rt, ""), EfiStatus::write_protected);
  EXPECT_EQ(set_global(u"SecureBoot", 0, ""), EfiStatus::write_protected);
  EXPECT_EQ(get_global(u"SecureBoot"), "1");
}

TEST_F(UefiDefined, DeletionIgnoresSizesAndAttributesOfTheTable) {
  ASSERT_EQ(set_global(u"Timeout", nv_bs_rt, "12"), EfiStatus::success);
  EXPECT_EQ(set_global(u"Timeout", 0, "x"), EfiStatus::success);
  EXPECT_EQ(set_global(u"Timeout", nv_bs, ""), EfiStatus::not_found);
}

TEST_F(UefiDefined, AppendOfNothingIsOfNoSize) {
  EXPECT_EQ(set_global(u"Timeout", nv_bs_rt | ap, ""), EfiStatus::success);
  ASSERT_EQ(set_global(u"Timeout", nv_bs_rt, "12"), EfiStatus::success);
  EXPECT_EQ(set_global(u"Timeout", nv_bs_rt | ap, ""), EfiStatus::success);
  EXPECT_EQ(set_global(u"ConIn", nv_bs_rt | ap, ""), EfiStatus::success);
  EXPECT_EQ(set_global(u"Timeout", nv_bs | ap, ""), EfiStatus::invalid_parameter);
}

TEST_F(UefiDefined, OrdersAreListsOfTwoByteNumbers) {
  for (const auto* name : {u"BootOrder", u"DriverOrder", u"SysPrepOrder"}) {
    EXPECT_EQ(set_global(name, nv_bs_rt, "1"), EfiStatus::invalid_parameter);
    EXPECT_EQ(set_global(name, nv_bs_rt, "123"), EfiStatus::invalid_parameter);
    EXPECT_EQ(set_global(name, nv_bs_rt, "1234"), EfiStatus::success);
  }
}

TEST_F(UefiDefined, LanguagesAreTerminatedStrings) {
  EXPECT_EQ(set_global(u"Lang", nv_bs_rt, "eng"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"Lang", nv_bs_rt, "eng\0"s), EfiStatus::success);
  EXPECT_EQ(set_global(u"PlatformLang", nv_bs_rt, "en"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"PlatformLang", nv_bs_rt, "en\0xx"s), EfiStatus::success);
  EXPECT_EQ(set_global(u"LangCodes", bs_rt, "eng"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"LangCodes", bs_rt, "eng\0"s), EfiStatus::success);
  EXPECT_EQ(set_global(u"PlatformLangCodes", bs_rt, "en"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"PlatformLangCodes", bs_rt, "en\0"s), EfiStatus::success);
}

TEST_F(UefiDefined, LoadOptionsAreParsed) {
  for (const auto* name : {u"Boot0000", u"Driver0000", u"SysPrep0000"}) {
    EXPECT_EQ(set_global(name, nv_bs_rt, load_option(end_node)), EfiStatus::success);
    EXPECT_EQ(set_global(name, nv_bs_rt, load_option(file_node + end_node) + "optional"),
              EfiStatus::success);
    // A description without its NUL runs into the path and beyond.
    EXPECT_EQ(set_global(name, nv_bs_rt, "\x01\0\0\0\x04\0dd"s), EfiStatus::invalid_parameter);
    EXPECT_EQ(set_global(name, nv_bs_rt, "\x01\0\0\0\x04"s), EfiStatus::invalid_parameter);
    EXPECT_EQ(set_global(name, nv_bs_rt, load_option("")), EfiStatus::invalid_parameter);
    EXPECT_EQ(set_global(name, nv_bs_rt, load_option("\x7f\xff\x04"s)),
              EfiStatus::invalid_parameter);
    EXPECT_EQ(set_global(name, nv_bs_rt, load_option(file_node)), EfiStatus::invalid_parameter);
  }
  EXPECT_EQ(set_global(u"PlatformRecovery0000", bs_rt, load_option(file_node)),
            EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"PlatformRecovery0000", bs_rt, load_option(end_node)), EfiStatus::success);
}

TEST_F(UefiDefined, LoadOptionWhosePathReachesBeyondTheDataIsInvalidParameter) {
  std::string option = load_option(end_node);
  ++option[4];
  EXPECT_EQ(set_global(u"Boot0000", nv_bs_rt, option), EfiStatus::invalid_parameter);
  option[4] = option[5] = '\xff';
  EXPECT_EQ(set_global(u"Boot0000", nv_bs_rt, option), EfiStatus::invalid_parameter);
}

TEST_F(UefiDefined, ConsolesAreDevicePaths) {
  struct Console {
    const char16_t* name;
    std::uint32_t attributes;
  };
  for (const Console& console :
       {Console{u"ConIn", nv_bs_rt}, Console{u"ConOut", nv_bs_rt}, Console{u"ErrOut", nv_bs_rt},
        Console{u"ConInDev", bs_rt}, Console{u"ConOutDev", bs_rt}, Console{u"ErrOutDev", bs_rt}}) {
    const auto set_path = [&](const std::string& path) {
      return set_global(console.name, console.attributes, path);
    };
    EXPECT_EQ(set_path(end_node), EfiStatus::success);
    EXPECT_EQ(set_path(file_node + end_node), EfiStatus::success);
    // Two instances of a multi-instance path.
    EXPECT_EQ(set_path(file_node + "\x7f\x01\x04\0"s + file_node + end_node), EfiStatus::success);
    EXPECT_EQ(set_path("\x7f\xff\x04"s), EfiStatus::invalid_parameter);
    EXPECT_EQ(set_path(file_node), EfiStatus::invalid_parameter);
    // A node that is shorter than its header, an end node that is longer, one that ends outside.
    EXPECT_EQ(set_path("\x01\x01\x00\x00"s + end_node), EfiStatus::invalid_parameter);
    EXPECT_EQ(set_path("\x01\x01\x03\x00"s + end_node), EfiStatus::invalid_parameter);
    EXPECT_EQ(set_path("\x7f\xff\x05\x00 "s), EfiStatus::invalid_parameter);
    EXPECT_EQ(set_path("\x01\x01\xff\xff"s + end_node), EfiStatus::invalid_parameter);
    // A file path without its NUL.
    EXPECT_EQ(set_path("\x04\x04\x06\x00"
                       "A\0"s +
                       end_node),
              EfiStatus::invalid_parameter);
    EXPECT_EQ(set_path("\x04\x04\x04\x00"s + end_node), EfiStatus::invalid_parameter);
  }
}

TEST_F(UefiDefined, KeyOptionsHaveWholeKeys) {
  for (const std::size_t size : {10U, 14U, 18U, 22U}) {
    EXPECT_EQ(set_global(u"Key0000", nv_bs_rt, std::string(size, 'x')), EfiStatus::success);
  }
  for (const std::size_t size : {9U, 11U, 12U, 21U, 23U, 26U}) {
    EXPECT_EQ(set_global(u"Key0000", nv_bs_rt, std::string(size, 'x')),
              EfiStatus::invalid_parameter);
  }
}

TEST_F(UefiDefined, HardwareErrorRecordsHaveTheirNamesAndAttributes) {
  const Guid errors = guids::hardware_error_variable;
  EXPECT_EQ(set(u"HwErrRec00AF", error_record, "1", errors), EfiStatus::success);
  EXPECT_EQ(set(u"HwErrRec00af", error_record, "1", errors), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"HwErrRec0000", nv_bs_rt, "1", errors), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"HwErrRec0000", nv_bs | hr, "1", errors), EfiStatus::invalid_parameter);
}

TEST_F(UefiDefined, HardwareErrorAttributeIsForHardwareErrorRecordsOnly) {
  EXPECT_EQ(set(u"A", error_record, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"HwErrRec0000", error_record, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", bs | hr, "1"), EfiStatus::invalid_parameter);
  // Deleting one that is there already goes unchecked.
  start({.options = {.limits = distinct_limits(), .phase = Phase::boot_early}});
  ASSERT_EQ(set(u"A", error_record, "1"), EfiStatus::success);
  ASSERT_TRUE(services().end_of_dxe());
  EXPECT_EQ(set(u"A", error_record, ""), EfiStatus::success);
}

TEST_F(UefiDefined, VarErrorFlagIsReadOnlyAndItsNamespaceIsOpen) {
  const Guid flag = *Guid::parse("04b37fe8-f6ae-480b-bdd5-37d98c5e89aa");
  EXPECT_EQ(set(u"VarErrorFlag", nv_bs_rt, "1", flag), EfiStatus::write_protected);
  EXPECT_EQ(set(u"Other", nv_bs_rt, "1", flag), EfiStatus::success);
}

}  // namespace
}  // namespace efistore::test
