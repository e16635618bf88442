// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Services to whom requests are signed.
#pragma once

#include "variable/services_fixture.hpp"
#include "variable/signing.hpp"

namespace efistore::test {

inline constexpr std::uint32_t key_attributes = nv_bs_rt | at;
inline constexpr Guid databases = guids::image_security_database;
inline constexpr Guid custom_mode = *Guid::parse("c076ec0c-7028-4399-a072-71ee5c448b9f");
inline constexpr Guid secure_boot_enable = *Guid::parse("f0a30bc7-af08-4556-99c4-001009c93a44");
inline constexpr Guid vendor_keys = *Guid::parse("9073e4e0-60ec-4b6e-9903-4c223c260f3c");
inline constexpr Guid certificates = *Guid::parse("d9bee56e-75dc-49d9-b4d7-b534210f637a");

class SignedTest : public ServicesTest {
 protected:
  SignedTest() { start(); }

  /// SetVariable with a signature; the time is the n-th second of 2020.
  EfiStatus set_signed(const Signer& by, std::u16string_view name, const Guid& guid,
                       std::string_view payload, std::uint8_t second,
                       std::uint32_t attributes = key_attributes) {
    return set(name, attributes,
               signed_by(by, {name, guid, attributes, at_second(second), payload}), guid);
  }
  EfiStatus set_unsigned(std::u16string_view name, const Guid& guid, std::string_view payload,
                         std::uint8_t second, std::uint32_t attributes = key_attributes) {
    return set(name, attributes, not_signed(at_second(second), payload), guid);
  }
  /// User mode: PK, KEK and db hold the keys of those names.
  void enroll() {
    ASSERT_EQ(set_unsigned(u"db", databases, key_list(signer("db")), 1), EfiStatus::success);
    ASSERT_EQ(set_unsigned(u"KEK", guids::global_variable, key_list(signer("KEK")), 1),
              EfiStatus::success);
    ASSERT_EQ(set_unsigned(u"PK", guids::global_variable, key_list(signer("PK")), 1),
              EfiStatus::success);
    writes();
  }
  /// "SetupMode=1 SecureBoot=0 …", the values in digits.
  std::string modes() const {
    std::string text;
    for (const auto* name : {u"SetupMode", u"SecureBoot", u"AuditMode", u"DeployedMode"}) {
      const std::string value = get_global(name);
      for (const char16_t* c = name; *c != 0; ++c) text += static_cast<char>(*c);
      text += value.size() == 1 ? "=" + std::to_string(int{value[0]}) + " " : "=" + value + " ";
    }
    return text;
  }
};

}  // namespace efistore::test
