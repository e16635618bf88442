// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Properties that are registered for variables, beside those that are built in.
#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using variable::Phase;
using variable::VarCheckProperty;

constexpr VarCheckProperty read_only{.property = VarCheckProperty::read_only_bit};

class VarCheck : public ServicesTest {
 protected:
  VarCheck() { start({.options = {.phase = Phase::boot_early}}); }

  EfiStatus add(std::u16string_view name, const VarCheckProperty& property,
                const Guid& guid = vendor) {
    return services().register_property(name, guid, property).status();
  }
  EfiStatus add_global(std::u16string_view name, const VarCheckProperty& property) {
    return add(name, property, guids::global_variable);
  }
  void end_of_dxe() { ASSERT_TRUE(services().end_of_dxe()); }
};

TEST_F(VarCheck, BeforeEndOfDxeNothingIsChecked) {
  ASSERT_EQ(add(u"A", read_only), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
  end_of_dxe();
  EXPECT_EQ(set(u"A", nv_bs_rt, "2"), EfiStatus::write_protected);
}

TEST_F(VarCheck, ReadOnlyIsWriteProtectedAlsoForDeletion) {
  ASSERT_EQ(add(u"A", read_only), EfiStatus::success);
  end_of_dxe();
  EXPECT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::write_protected);
  EXPECT_EQ(set(u"A", 0, ""), EfiStatus::write_protected);
  EXPECT_EQ(set(u"B", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt, "1", guids::image_security_database), EfiStatus::invalid_parameter);
}

TEST_F(VarCheck, AttributesAreFixedUnlessTheyAreZero) {
  ASSERT_EQ(add(u"A", {.attributes = nv_bs}), EfiStatus::success);
  ASSERT_EQ(add(u"B", {}), EfiStatus::success);
  end_of_dxe();
  EXPECT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", bs, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", nv_bs, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs | ap, "2"), EfiStatus::success) << "append is no part of them";
  EXPECT_EQ(set(u"B", nv_bs_rt, "1"), EfiStatus::success);
}

TEST_F(VarCheck, SizesAreInclusiveAndAppendOfNothingHasNone) {
  ASSERT_EQ(add(u"A", {.min_size_bytes = 2, .max_size_bytes = 3}), EfiStatus::success);
  end_of_dxe();
  EXPECT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", nv_bs_rt, "1234"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", nv_bs_rt, "123"), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt, "12"), EfiStatus::success);
  EXPECT_EQ(set(u"A", nv_bs_rt | ap, ""), EfiStatus::success);
}

TEST_F(VarCheck, DeletionHasNeitherSizeNorAttributes) {
  ASSERT_EQ(add(u"A", {.attributes = nv_bs, .min_size_bytes = 2}), EfiStatus::success);
  end_of_dxe();
  ASSERT_EQ(set(u"A", nv_bs, "12"), EfiStatus::success);
  EXPECT_EQ(set(u"A", 0, ""), EfiStatus::success);
}

TEST_F(VarCheck, PropertyComesBeforePolicy) {
  ASSERT_EQ(add(u"A", {.max_size_bytes = 2}), EfiStatus::success);
  ASSERT_EQ(add(u"B", read_only), EfiStatus::success);
  ASSERT_TRUE(services().lock_variable(u"A", vendor));
  variable::Policy policy{.name = u"B", .guid = vendor, .min_size_bytes = 2};
  ASSERT_TRUE(services().policies().register_policy(policy));
  end_of_dxe();
  EXPECT_EQ(set(u"A", nv_bs_rt, "123"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"A", nv_bs_rt, "12"), EfiStatus::write_protected);
  EXPECT_EQ(set(u"B", nv_bs_rt, "1"), EfiStatus::write_protected);
}

TEST_F(VarCheck, TakesThePlaceOfABuiltInPropertyButNotOfItsContentCheck) {
  ASSERT_EQ(add_global(u"BootOrder", {.attributes = nv_bs, .min_size_bytes = 3}),
            EfiStatus::success);
  end_of_dxe();
  EXPECT_EQ(set_global(u"BootOrder", nv_bs_rt, "1234"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"BootOrder", nv_bs, "12"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set_global(u"BootOrder", nv_bs, "12345"), EfiStatus::invalid_parameter) << "odd";
  EXPECT_EQ(set_global(u"BootOrder", nv_bs, "1234"), EfiStatus::success);
  EXPECT_EQ(set_global(u"BootOrder", nv_bs, ""), EfiStatus::success);
}

TEST_F(VarCheck, MakesABuiltInReadOnlyVariableWritable) {
  ASSERT_EQ(add_global(u"SecureBoot", {.attributes = bs_rt}), EfiStatus::success);
  end_of_dxe();
  EXPECT_EQ(set_global(u"SecureBoot", bs_rt, "\1"), EfiStatus::success);
}

TEST_F(VarCheck, MakesNoUnknownNameOfTheSpecificationsNamespaceKnown) {
  ASSERT_EQ(add_global(u"Foo", {}), EfiStatus::success);
  ASSERT_EQ(add(u"Foo", {}), EfiStatus::success);
  end_of_dxe();
  EXPECT_EQ(set_global(u"Foo", nv_bs_rt, "1"), EfiStatus::invalid_parameter);
  EXPECT_EQ(set(u"Foo", nv_bs_rt, "1"), EfiStatus::success);
}

TEST_F(VarCheck, NumberedNamesOfTheSpecificationAreAllTheirVariables) {
  ASSERT_EQ(add_global(u"Boot####", read_only), EfiStatus::success);
  ASSERT_EQ(add_global(u"Boot0002", {.min_size_bytes = 1000}), EfiStatus::success);
  ASSERT_EQ(add(u"Mine####", read_only), EfiStatus::success);
  end_of_dxe();
  EXPECT_EQ(set_global(u"Boot0001", nv_bs_rt, "1"), EfiStatus::write_protected);
  EXPECT_EQ(set_global(u"BootABCD", 0, ""), EfiStatus::write_protected);
  EXPECT_EQ(set_global(u"Boot0002", nv_bs_rt, "1"), EfiStatus::invalid_parameter)
      << "a variable's own goes before its pattern's";
  EXPECT_EQ(set_global(u"BootNext", nv_bs_rt, "12"), EfiStatus::success);
  EXPECT_EQ(set(u"Mine0001", nv_bs_rt, "1"), EfiStatus::success);
  EXPECT_EQ(set(u"Mine####", nv_bs_rt, "1"), EfiStatus::write_protected);
}

TEST_F(VarCheck, GetShowsWhatIsRegisteredAndWhatIsBuiltIn) {
  VarCheckProperty odd{
      .property = 0x8001, .attributes = 3, .min_size_bytes = 4, .max_size_bytes = 5};
  ASSERT_EQ(add(u"A", odd), EfiStatus::success);
  EXPECT_EQ(services().get_property(u"A", vendor).value(), odd);
  odd.attributes = 7;
  ASSERT_EQ(add(u"A", odd), EfiStatus::success) << "again takes its place";
  end_of_dxe();
  EXPECT_EQ(services().get_property(u"A", vendor).value(), odd);
  EXPECT_EQ(services().get_property(u"B", vendor).status(), EfiStatus::not_found);
  EXPECT_EQ(services().get_property(u"", vendor).status(), EfiStatus::invalid_parameter);
  const VarCheckProperty timeout{.attributes = nv_bs_rt, .min_size_bytes = 2, .max_size_bytes = 2};
  EXPECT_EQ(services().get_property(u"Timeout", guids::global_variable).value(), timeout);
  EXPECT_TRUE(services().get_property(u"SetupMode", guids::global_variable)->read_only());
  for (const char16_t* name : {u"Boot0001", u"Boot####"}) {
    EXPECT_EQ(services().get_property(name, guids::global_variable)->min_size_bytes, 6U);
  }
}

TEST_F(VarCheck, MalformedIsInvalidParameterInEveryPhase) {
  for (const bool late : {false, true}) {
    if (late) end_of_dxe();
    EXPECT_EQ(add(u"", {}), EfiStatus::invalid_parameter);
    EXPECT_EQ(add(u"A", {.revision = 2}), EfiStatus::invalid_parameter);
  }
}

TEST_F(VarCheck, AfterEndOfDxeIsAccessDenied) {
  end_of_dxe();
  EXPECT_EQ(add(u"A", read_only), EfiStatus::access_denied);
  EXPECT_EQ(set(u"A", nv_bs_rt, "1"), EfiStatus::success);
}

TEST_F(VarCheck, NumberAndNamesAreLimited) {
  for (char16_t i = 0; i < 1024; ++i) {
    ASSERT_EQ(add(std::u16string(1, static_cast<char16_t>(0x4e00 + i)), {}), EfiStatus::success);
  }
  EXPECT_EQ(add(u"A", {}), EfiStatus::out_of_resources);
  EXPECT_EQ(add(u"\x4e00", read_only), EfiStatus::success) << "a known one is replaced";
  start({.options = {.phase = Phase::boot_early}});
  EXPECT_EQ(add(std::u16string(0x8001, u'x'), {}), EfiStatus::out_of_resources);
  EXPECT_EQ(add(std::u16string(0x8000, u'x'), {}), EfiStatus::success);
  EXPECT_EQ(add(u"A", {}), EfiStatus::out_of_resources);
}

TEST_F(VarCheck, VariablesWithAPropertyAreNoUsers) {
  variable::Limits limits;
  limits.max_user_non_volatile_size = 0x100;
  start({.options = {.limits = limits, .phase = Phase::boot_early}});
  ASSERT_EQ(add(u"A", {}), EfiStatus::success);
  end_of_dxe();
  const std::string large(0x100, 'x');
  EXPECT_EQ(set(u"B", nv_bs_rt, large), EfiStatus::out_of_resources);
  EXPECT_EQ(set(u"A", nv_bs_rt, large), EfiStatus::success);
  EXPECT_EQ(set(u"B", nv_bs_rt, "1"), EfiStatus::success) << "A takes none of their space";
}

}  // namespace
}  // namespace efistore::test
