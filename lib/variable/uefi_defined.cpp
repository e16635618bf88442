// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "uefi_defined.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "efistore/base/attributes.hpp"
#include "efistore/base/bytes.hpp"
#include "efistore/base/load_option.hpp"
#include "efistore/variable/certificate_database.hpp"
#include "efistore/variable/variable_id.hpp"

#include "state.hpp"

namespace efistore::variable {

bool is_device_path(std::span<const std::byte> data) {
  constexpr std::uint8_t media_type = 0x04;
  constexpr std::uint8_t media_file_path_subtype = 0x04;
  ByteReader reader(data);
  while (const auto node = next_device_path_node(reader)) {
    if (node->is_end()) return node->body.empty();
    if (node->type == media_type && node->subtype == media_file_path_subtype) {
      // The path is a CHAR16 string that ends in NUL.
      if (node->body.size() < 2 || ByteReader(node->body.last(2)).u16() != 0) return false;
    }
  }
  return false;
}

bool is_load_option(std::span<const std::byte> data) {
  const auto option = split_load_option(data);
  return option && is_device_path(option->file_path);
}

namespace {

bool is_even(std::span<const std::byte> data) {
  return data.size() % 2 == 0;
}

/// EFI_KEY_OPTION: KeyData, BootOptionCrc, BootOption, then whole EFI_INPUT_KEYs
/// (UEFI 2.10, 3.1.7).
bool is_key_option(std::span<const std::byte> data) {
  constexpr std::size_t fixed_size = 10;
  constexpr std::size_t input_key_size = 4;
  return data.size() >= fixed_size && (data.size() - fixed_size) % input_key_size == 0;
}

bool has_nul(std::span<const std::byte> data) {
  return std::ranges::find(data, std::byte{0}) != data.end();
}

constexpr std::uint32_t bs = attributes::bootservice_access;
constexpr std::uint32_t bs_rt = bs | attributes::runtime_access;
constexpr std::uint32_t nv_bs = attributes::non_volatile | bs;
constexpr std::uint32_t nv_bs_rt = attributes::non_volatile | bs_rt;
constexpr std::uint32_t time_auth = attributes::time_based_authenticated_write_access;
constexpr std::uint32_t nv_bs_rt_at = nv_bs_rt | time_auth;
constexpr std::uint32_t nv_bs_rt_hr = nv_bs_rt | attributes::hardware_error_record;

constexpr std::size_t any = SIZE_MAX;

constexpr VariableProperty read_only(std::uint32_t attributes, std::size_t min, std::size_t max) {
  return {
      .read_only = true, .attributes = attributes, .min_size_bytes = min, .max_size_bytes = max};
}
constexpr VariableProperty writable(std::uint32_t attributes, std::size_t min, std::size_t max,
                                    ContentCheck check = nullptr) {
  return {.read_only = false,
          .attributes = attributes,
          .min_size_bytes = min,
          .max_size_bytes = max,
          .check = check};
}

struct Defined {
  std::u16string_view name;  ///< '#' stands for an upper-case hexadecimal digit
  VariableProperty property;
};

constexpr std::array global_variables{
    Defined{u"LangCodes", writable(bs_rt, 1, any, has_nul)},
    Defined{u"Lang", writable(nv_bs_rt, 1, any, has_nul)},
    Defined{u"Timeout", writable(nv_bs_rt, 2, 2)},
    Defined{u"PlatformLangCodes", writable(bs_rt, 1, any, has_nul)},
    Defined{u"PlatformLang", writable(nv_bs_rt, 1, any, has_nul)},
    Defined{u"ConIn", writable(nv_bs_rt, 4, any, is_device_path)},
    Defined{u"ConOut", writable(nv_bs_rt, 4, any, is_device_path)},
    Defined{u"ErrOut", writable(nv_bs_rt, 4, any, is_device_path)},
    Defined{u"ConInDev", writable(bs_rt, 4, any, is_device_path)},
    Defined{u"ConOutDev", writable(bs_rt, 4, any, is_device_path)},
    Defined{u"ErrOutDev", writable(bs_rt, 4, any, is_device_path)},
    Defined{u"BootOrder", writable(nv_bs_rt, 2, any, is_even)},
    Defined{u"BootNext", writable(nv_bs_rt, 2, 2)},
    Defined{u"BootCurrent", writable(bs_rt, 2, 2)},
    Defined{u"BootOptionSupport", writable(bs_rt, 4, 4)},
    Defined{u"DriverOrder", writable(nv_bs_rt, 2, any, is_even)},
    Defined{u"SysPrepOrder", writable(nv_bs_rt, 2, any, is_even)},
    Defined{u"HwErrRecSupport", writable(nv_bs_rt, 2, 2)},
    Defined{u"SetupMode", read_only(bs_rt, 1, 1)},
    Defined{u"KEK", writable(nv_bs_rt_at, 1, any)},
    Defined{u"PK", writable(nv_bs_rt_at, 1, any)},
    Defined{u"SignatureSupport", read_only(bs_rt, 16, any)},
    Defined{u"SecureBoot", read_only(bs_rt, 1, 1)},
    Defined{u"KEKDefault", read_only(bs_rt, 1, any)},
    Defined{u"PKDefault", read_only(bs_rt, 1, any)},
    Defined{u"dbDefault", read_only(bs_rt, 1, any)},
    Defined{u"dbxDefault", read_only(bs_rt, 1, any)},
    Defined{u"dbtDefault", read_only(bs_rt, 1, any)},
    Defined{u"dbrDefault", read_only(bs_rt, 1, any)},
    Defined{u"AuditMode", writable(bs_rt, 1, 1)},
    Defined{u"DeployedMode", writable(bs_rt, 1, 1)},
    Defined{u"OsIndicationsSupported", writable(bs_rt, 8, 8)},
    Defined{u"OsIndications", writable(nv_bs_rt, 8, 8)},
    Defined{u"VendorKeys", read_only(bs_rt, 1, 1)},
    Defined{u"Boot####", writable(nv_bs_rt, 6, any, is_load_option)},
    Defined{u"Driver####", writable(nv_bs_rt, 6, any, is_load_option)},
    Defined{u"SysPrep####", writable(nv_bs_rt, 6, any, is_load_option)},
    Defined{u"Key####", writable(nv_bs_rt, 10, 22, is_key_option)},
    Defined{u"PlatformRecovery####", writable(bs_rt, 6, any, is_load_option)},
};

constexpr std::array security_variables{
    Defined{u"db", writable(nv_bs_rt_at, 1, any)},
    Defined{u"dbx", writable(nv_bs_rt_at, 1, any)},
    Defined{u"dbt", writable(nv_bs_rt_at, 1, any)},
    Defined{u"dbr", writable(nv_bs_rt_at, 1, any)},
};

constexpr std::array hardware_error_variables{
    Defined{u"HwErrRec####", writable(nv_bs_rt_hr, 1, any)},
};

/// A namespace in which EDK2 knows some names, and whether it refuses all others.
struct Namespace {
  Guid guid;
  bool closed;
  std::span<const Defined> variables;
};

constexpr std::array error_flag_variables{
    Defined{u"VarErrorFlag", read_only(nv_bs_rt, 1, 1)},
};
constexpr std::array custom_mode_variables{Defined{u"CustomMode", writable(nv_bs, 1, 1)}};
constexpr std::array secure_boot_enable_variables{
    Defined{u"SecureBootEnable", writable(nv_bs, 1, 1)}};
constexpr std::array vendor_keys_variables{
    Defined{u"VendorKeysNv", read_only(nv_bs | time_auth, 1, 1)}};
constexpr std::array mode_variables{
    Defined{u"AuditModeNv", read_only(nv_bs | time_auth, 1, 1)},
    Defined{u"DeployedModeNv", read_only(nv_bs | time_auth, 1, 1)},
};
constexpr std::array certificate_variables{
    Defined{u"certdb", read_only(nv_bs_rt_at, 4, any)},
    Defined{u"certdbv", read_only(bs_rt | time_auth, 4, any)},
};

const std::array namespaces{
    Namespace{guids::global_variable, true, global_variables},
    Namespace{guids::image_security_database, true, security_variables},
    Namespace{guids::hardware_error_variable, true, hardware_error_variables},
    Namespace{"04b37fe8-f6ae-480b-bdd5-37d98c5e89aa"_guid, false, error_flag_variables},
    Namespace{custom_mode_guid, false, custom_mode_variables},
    Namespace{secure_boot_enable_guid, false, secure_boot_enable_variables},
    Namespace{vendor_keys_guid, false, vendor_keys_variables},
    Namespace{secure_boot_mode_guid, false, mode_variables},
    Namespace{certificate_database_guid, false, certificate_variables},
};

bool matches(std::u16string_view pattern, std::u16string_view name) noexcept {
  return std::ranges::equal(pattern, name, [](char16_t p, char16_t c) {
    if (p != u'#') return p == c;
    return (c >= u'0' && c <= u'9') || (c >= u'A' && c <= u'F');
  });
}

const Namespace* find_namespace(const Guid& guid) noexcept {
  const auto* const found = std::ranges::find(namespaces, guid, &Namespace::guid);
  return found == namespaces.end() ? nullptr : found;
}

}  // namespace

const VariableProperty* find_property(std::u16string_view name, const Guid& guid) noexcept {
  const Namespace* const space = find_namespace(guid);
  if (space == nullptr) return nullptr;
  const auto found = std::ranges::find_if(
      space->variables, [name](const Defined& defined) { return matches(defined.name, name); });
  return found == space->variables.end() ? nullptr : &found->property;
}

EfiResult<void> check_uefi_defined(std::u16string_view name, const Guid& guid,
                                   std::uint32_t attributes, std::span<const std::byte> payload) {
  const VariableProperty* const property = find_property(name, guid);
  const bool deletion = is_deletion(attributes, payload.size());
  if (property == nullptr) {
    if (deletion) return {};
    if ((attributes & attributes::hardware_error_record) != 0) {
      return refuse(
          EfiStatus::invalid_parameter,
          fmt::format("{} cannot be a hardware-error record: these are HwErrRec####-{}",
                      to_string(name, guid), efistore::to_string(guids::hardware_error_variable)));
    }
    const Namespace* const space = find_namespace(guid);
    if (space == nullptr || !space->closed) return {};
    return refuse(
        EfiStatus::invalid_parameter,
        fmt::format("the UEFI specification defines no variable {} in its own namespace; give "
                    "it a GUID of yours",
                    to_string(name, guid)));
  }
  if (property->read_only) {
    return refuse(EfiStatus::write_protected,
                  fmt::format("{} is the firmware's to write", to_string(name, guid)));
  }
  if (deletion) return {};
  if ((attributes & ~attributes::append_write) != property->attributes) {
    return refuse(EfiStatus::invalid_parameter,
                  fmt::format("{} takes the attributes {}, not {}", to_string(name, guid),
                              attributes_to_string(property->attributes),
                              attributes_to_string(attributes & ~attributes::append_write)));
  }
  // Appending nothing leaves the content as it was.
  if (payload.empty()) return {};
  if (payload.size() < property->min_size_bytes || payload.size() > property->max_size_bytes) {
    return refuse(EfiStatus::invalid_parameter,
                  fmt::format("{} cannot have {} bytes", to_string(name, guid), payload.size()));
  }
  if (property->check != nullptr && !property->check(payload)) {
    return refuse(EfiStatus::invalid_parameter,
                  fmt::format("the data is malformed for {}", to_string(name, guid)));
  }
  return {};
}

bool is_key_variable(std::u16string_view name, const Guid& guid) noexcept {
  if (guid == guids::global_variable) return name == u"PK" || name == u"KEK";
  return guid == guids::image_security_database &&
         (name == u"db" || name == u"dbx" || name == u"dbt" || name == u"dbr");
}

bool is_firmwares_own(std::u16string_view name, const Guid& guid) noexcept {
  if (guid != certificate_database_guid && guid != vendor_keys_guid &&
      guid != secure_boot_mode_guid) {
    return false;
  }
  return find_property(name, guid) != nullptr;
}

bool needs_physical_presence(std::u16string_view name, const Guid& guid) noexcept {
  return (guid == custom_mode_guid && name == u"CustomMode") ||
         (guid == secure_boot_enable_guid && name == u"SecureBootEnable");
}

}  // namespace efistore::variable
