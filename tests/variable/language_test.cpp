// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <string>

#include "variable/services_fixture.hpp"

namespace efistore::test {
namespace {

using namespace std::string_literals;
using variable::Limits;
using variable::Phase;

class Language : public ServicesTest {
 protected:
  Language() { start(); }

  void set_codes() {
    ASSERT_EQ(set_global(u"LangCodes", bs_rt, "engfraspa\0"s), EfiStatus::success);
    ASSERT_EQ(set_global(u"PlatformLangCodes", bs_rt, "en-US;fr-FR;es\0"s), EfiStatus::success);
  }
  EfiStatus set_lang(std::string_view code) {
    return set_global(u"Lang", nv_bs_rt, std::string(code) + '\0');
  }
  EfiStatus set_platform_lang(std::string_view code) {
    return set_global(u"PlatformLang", nv_bs_rt, std::string(code) + '\0');
  }
  std::string lang() const { return get_global(u"Lang"); }
  std::string platform_lang() const { return get_global(u"PlatformLang"); }
};

TEST_F(Language, WithoutCodesNothingFollows) {
  ASSERT_EQ(set_lang("fra"), EfiStatus::success);
  EXPECT_EQ(platform_lang(), "EFI_NOT_FOUND");
  ASSERT_EQ(set_global(u"LangCodes", bs_rt, "engfra\0"s), EfiStatus::success);
  ASSERT_EQ(set_platform_lang("en"), EfiStatus::success);
  EXPECT_EQ(lang(), "fra\0"s);
}

TEST_F(Language, PlatformLangSetsLang) {
  set_codes();
  ASSERT_EQ(set_platform_lang("fr-FR"), EfiStatus::success);
  EXPECT_EQ(lang(), "fra\0"s);
  EXPECT_EQ(platform_lang(), "fr-FR\0"s);
  ASSERT_EQ(set_platform_lang("es"), EfiStatus::success);
  EXPECT_EQ(lang(), "spa\0"s);
}

TEST_F(Language, LangSetsPlatformLang) {
  set_codes();
  ASSERT_EQ(set_lang("fra"), EfiStatus::success);
  EXPECT_EQ(platform_lang(), "fr-FR\0"s);
  EXPECT_EQ(lang(), "fra\0"s);
}

TEST_F(Language, WhatFollowsIsNonVolatileWithRuntimeAccess) {
  set_codes();
  ASSERT_EQ(set_platform_lang("fr-FR"), EfiStatus::success);
  EXPECT_EQ(services().get(u"Lang", guids::global_variable)->attributes, nv_bs_rt);
}

TEST_F(Language, LongerCodeMatchesByItsPrefix) {
  set_codes();
  ASSERT_EQ(set_platform_lang("fr-FR-x-private"), EfiStatus::success);
  EXPECT_EQ(lang(), "fra\0"s);
  ASSERT_EQ(set_platform_lang("es-MX"), EfiStatus::success);
  EXPECT_EQ(lang(), "spa\0"s);
}

TEST_F(Language, ShorterCodeMatchesALongerOneAtItsDash) {
  set_codes();
  ASSERT_EQ(set_platform_lang("fr"), EfiStatus::success);
  EXPECT_EQ(lang(), "fra\0"s);
  ASSERT_EQ(set_platform_lang("e"), EfiStatus::success);
  EXPECT_EQ(lang(), "fra\0"s);
}

TEST_F(Language, OfAListTheFirstCodeCounts) {
  set_codes();
  ASSERT_EQ(set_platform_lang("es;fr-FR"), EfiStatus::success);
  EXPECT_EQ(lang(), "spa\0"s);
}

TEST_F(Language, UnknownCodeIsStoredAndNothingFollows) {
  set_codes();
  ASSERT_EQ(set_platform_lang("fr-FR"), EfiStatus::success);
  EXPECT_EQ(set_platform_lang("de-DE"), EfiStatus::success);
  EXPECT_EQ(platform_lang(), "de-DE\0"s);
  EXPECT_EQ(lang(), "fra\0"s);
  EXPECT_EQ(set_lang("deu"), EfiStatus::success);
  EXPECT_EQ(set_lang("en"), EfiStatus::success);
  EXPECT_EQ(platform_lang(), "de-DE\0"s);
}

TEST_F(Language, ListsOfUnequalLengthDoNotMatchBeyondTheShorter) {
  ASSERT_EQ(set_global(u"LangCodes", bs_rt, "engfra\0"s), EfiStatus::success);
  ASSERT_EQ(set_global(u"PlatformLangCodes", bs_rt, "en;\0"s), EfiStatus::success);
  ASSERT_EQ(set_lang("fra"), EfiStatus::success);
  EXPECT_EQ(platform_lang(), "EFI_NOT_FOUND");
  ASSERT_EQ(set_global(u"PlatformLangCodes", bs_rt, "en;fr;es\0"s), EfiStatus::success);
  ASSERT_EQ(set_platform_lang("es"), EfiStatus::success);
  EXPECT_EQ(lang(), "fra\0"s);
}

TEST_F(Language, LaterCodesLetLangFollowPlatformLang) {
  ASSERT_EQ(set_lang("eng"), EfiStatus::success);
  ASSERT_EQ(set_platform_lang("fr-FR"), EfiStatus::success);
  set_codes();
  EXPECT_EQ(lang(), "fra\0"s);
  EXPECT_EQ(platform_lang(), "fr-FR\0"s);
}

TEST_F(Language, LaterCodesLetPlatformLangFollowLangIfThereIsNoPlatformLang) {
  ASSERT_EQ(set_lang("spa"), EfiStatus::success);
  set_codes();
  EXPECT_EQ(platform_lang(), "es\0"s);
}

TEST_F(Language, DeletionIsNotFollowed) {
  set_codes();
  ASSERT_EQ(set_platform_lang("fr-FR"), EfiStatus::success);
  EXPECT_EQ(set_global(u"PlatformLang", nv_bs_rt, ""), EfiStatus::success);
  EXPECT_EQ(lang(), "fra\0"s);
  // Data in a request without access attributes is no language either.
  EXPECT_EQ(set_global(u"Lang", 0, "eng\0"s), EfiStatus::success);
  EXPECT_EQ(platform_lang(), "EFI_NOT_FOUND");
}

TEST_F(Language, AppendOfNothingIsNotFollowed) {
  set_codes();
  EXPECT_EQ(set_global(u"LangCodes", bs_rt | ap, ""), EfiStatus::success);
  ASSERT_EQ(set_lang("fra"), EfiStatus::success);
  EXPECT_EQ(platform_lang(), "fr-FR\0"s);
}

TEST_F(Language, OtherNamespacesHaveNoLanguages) {
  set_codes();
  ASSERT_EQ(set(u"PlatformLang", nv_bs_rt, "fr-FR\0"s), EfiStatus::success);
  EXPECT_EQ(lang(), "EFI_NOT_FOUND");
}

TEST_F(Language, AtRuntimeCodesAreWriteProtected) {
  services().exit_boot_services();
  EXPECT_EQ(set_global(u"LangCodes", bs_rt, "eng\0"s), EfiStatus::write_protected);
  EXPECT_EQ(set_global(u"PlatformLangCodes", bs_rt, "en\0"s), EfiStatus::write_protected);
}

TEST_F(Language, AtRuntimeLanguagesFollow) {
  set_codes();
  services().exit_boot_services();
  ASSERT_EQ(set_platform_lang("fr-FR"), EfiStatus::success);
  EXPECT_EQ(lang(), "fra\0"s);
}

/// A store with room for little more than the languages.
class LanguageSpace : public Language {
 protected:
  static Limits limits() {
    Limits limits;
    limits.max_variable_size = 0x1000;
    return limits;
  }
  /// Leaves `bytes` of the store free.
  void fill_up_to(std::uint32_t bytes) {
    const std::uint32_t left = store_capacity - services().store().usage().used;
    ASSERT_EQ(set(u"A", nv_bs_rt, std::string(left - bytes - 64, 'x')), EfiStatus::success);
  }
  static std::uint32_t languages_size() {
    return padded_size(u"Lang", 4) + padded_size(u"PlatformLang", 6);
  }
};

TEST_F(LanguageSpace, BothMustFit) {
  start({.options = {.limits = limits()}});
  set_codes();
  fill_up_to(languages_size() - 4);
  EXPECT_EQ(set_platform_lang("fr-FR"), EfiStatus::out_of_resources);
  EXPECT_EQ(set_lang("fra"), EfiStatus::out_of_resources);
  EXPECT_EQ(lang(), "EFI_NOT_FOUND");
  EXPECT_EQ(platform_lang(), "EFI_NOT_FOUND");
}

TEST_F(LanguageSpace, BothFitExactly) {
  start({.options = {.limits = limits()}});
  set_codes();
  fill_up_to(languages_size());
  EXPECT_EQ(set_platform_lang("fr-FR"), EfiStatus::success);
  EXPECT_EQ(lang(), "fra\0"s);
}

TEST_F(LanguageSpace, WhatTheyReplaceIsRoomForThem) {
  for (const bool runtime : {false, true}) {
    start({.options = {.limits = limits()}});
    set_codes();
    ASSERT_EQ(set_platform_lang("fr-FR"), EfiStatus::success);
    fill_up_to(0);
    if (runtime) services().exit_boot_services();
    EXPECT_EQ(set_platform_lang("en-US"), EfiStatus::success);
    EXPECT_EQ(lang(), "eng\0"s);
    EXPECT_EQ(platform_lang(), "en-US\0"s);
  }
}

TEST_F(LanguageSpace, AtStrictRuntimeNothingIsReplacedInPlace) {
  start({.options = {.limits = limits(), .strict_runtime = true}});
  set_codes();
  ASSERT_EQ(set_platform_lang("fr-FR"), EfiStatus::success);
  fill_up_to(languages_size() - 4);
  services().exit_boot_services();
  EXPECT_EQ(set_platform_lang("en-US"), EfiStatus::out_of_resources);
  EXPECT_EQ(lang(), "fra\0"s);
}

TEST_F(LanguageSpace, CodesAreSetEvenIfNothingCanFollow) {
  start({.options = {.limits = limits()}});
  ASSERT_EQ(set_platform_lang("fr-FR"), EfiStatus::success);
  fill_up_to(0);
  set_codes();
  EXPECT_EQ(lang(), "EFI_NOT_FOUND");
  EXPECT_EQ(get_global(u"PlatformLangCodes"), "en-US;fr-FR;es\0"s);
}

}  // namespace
}  // namespace efistore::test
