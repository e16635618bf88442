// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace efistore {

/// Variable attributes (UEFI 2.10, 8.2.1), a mask.
namespace attributes {
inline constexpr std::uint32_t non_volatile = 0x01;
inline constexpr std::uint32_t bootservice_access = 0x02;
inline constexpr std::uint32_t runtime_access = 0x04;
inline constexpr std::uint32_t hardware_error_record = 0x08;
inline constexpr std::uint32_t authenticated_write_access = 0x10;  // deprecated by UEFI 2.8
inline constexpr std::uint32_t time_based_authenticated_write_access = 0x20;
inline constexpr std::uint32_t append_write = 0x40;
inline constexpr std::uint32_t enhanced_authenticated_access = 0x80;

/// What EDK2 accepts: everything but enhanced authentication, which it does not have.
inline constexpr std::uint32_t supported = 0x7f;
inline constexpr std::uint32_t any_authenticated =
    authenticated_write_access | time_based_authenticated_write_access;
/// What a variable gets when nobody says otherwise.
inline constexpr std::uint32_t default_new = non_volatile | bootservice_access | runtime_access;
}  // namespace attributes

/// "nv,bs,rt,hr,aw,at,ap,eaw" of those that are set, in this order; bits without a name are added
/// as one number ("nv,bs,0x100"); "0" for none.
std::string attributes_to_string(std::uint32_t attributes);

/// The inverse: names in any order, or a decimal or 0x number; none if anything else is there.
std::optional<std::uint32_t> attributes_from_string(std::string_view text);

}  // namespace efistore
