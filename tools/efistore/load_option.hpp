// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Names for what variables and namespaces mean, by libefivar.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "efistore/base/guid.hpp"
#include "efistore/base/load_option.hpp"

namespace efistore::tools {

/// libefivar's name of a well-known GUID ("EFI Global Variable").
std::optional<std::string> guid_name(const Guid& guid);

/// True for Boot####, Driver####, SysPrep#### and PlatformRecovery#### of the global namespace,
/// #### four hexadecimal digits: variables that hold an EFI_LOAD_OPTION (UEFI 2.10, 3.1.3).
bool is_load_option_name(std::u16string_view name, const Guid& guid);

/// A load option for which the command vouches: none if its device path's nodes do not fill their
/// list exactly, the last one an end node.
std::optional<LoadOption> parse_load_option(std::span<const std::byte> data);

/// The description in generalised UTF-8, not escaped.
std::string description_text(const LoadOption& option);

/// The device path's text by libefivar ("HD(1,GPT,…)/File(\EFI\BOOT\BOOTX64.EFI)"), not escaped.
/// It is formatted in a confined child, because libefivar believes what nodes say of themselves.
/// None where that yields nothing.
std::optional<std::string> format_device_path(std::span<const std::byte> path);

}  // namespace efistore::tools
