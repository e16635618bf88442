// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/variable/uefi_abi.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace efistore::variable {

EfiStatus efi_get_variable(const Services& services, const char16_t* variable_name,
                           const Guid* vendor_guid, std::uint32_t* attributes,
                           std::size_t* data_size, void* data) {
  if (variable_name == nullptr || vendor_guid == nullptr || data_size == nullptr) {
    return EfiStatus::invalid_parameter;
  }
  const auto found = services.get(variable_name, *vendor_guid);
  if (!found) return found.status();
  const std::size_t available = *data_size;
  *data_size = found->data.size();
  if (attributes != nullptr) *attributes = found->attributes;
  if (available < found->data.size()) return EfiStatus::buffer_too_small;
  if (data == nullptr) return EfiStatus::invalid_parameter;
  std::ranges::copy(found->data, static_cast<std::byte*>(data));
  return EfiStatus::success;
}

EfiStatus efi_get_next_variable_name(const Services& services, std::size_t* variable_name_size,
                                     char16_t* variable_name, Guid* vendor_guid) {
  if (variable_name_size == nullptr || variable_name == nullptr || vendor_guid == nullptr) {
    return EfiStatus::invalid_parameter;
  }
  const std::u16string_view buffer(variable_name, *variable_name_size / sizeof(char16_t));
  const std::size_t length = buffer.find(u'\0');
  if (length == std::u16string_view::npos) return EfiStatus::invalid_parameter;
  const auto found = services.get_next(buffer.substr(0, length), *vendor_guid);
  if (!found) return found.status();
  const std::size_t needed = (found->name.size() + 1) * sizeof(char16_t);
  const std::size_t available = *variable_name_size;
  *variable_name_size = needed;
  if (available < needed) return EfiStatus::buffer_too_small;
  *std::ranges::copy(found->name, variable_name).out = u'\0';
  *vendor_guid = found->guid;
  return EfiStatus::success;
}

EfiStatus efi_set_variable(Services& services, const char16_t* variable_name,
                           const Guid* vendor_guid, std::uint32_t attributes, std::size_t data_size,
                           const void* data) {
  if (variable_name == nullptr || vendor_guid == nullptr || (data_size != 0 && data == nullptr)) {
    return EfiStatus::invalid_parameter;
  }
  return services
      .set({.name = variable_name,
            .guid = *vendor_guid,
            .attributes = attributes,
            .data = std::span(static_cast<const std::byte*>(data), data_size)})
      .status();
}

EfiStatus efi_query_variable_info(const Services& services, std::uint32_t attributes,
                                  std::uint64_t* maximum_variable_storage_size,
                                  std::uint64_t* remaining_variable_storage_size,
                                  std::uint64_t* maximum_variable_size) {
  if (maximum_variable_storage_size == nullptr || remaining_variable_storage_size == nullptr ||
      maximum_variable_size == nullptr) {
    return EfiStatus::invalid_parameter;
  }
  const auto info = services.query(attributes);
  if (!info) return info.status();
  *maximum_variable_storage_size = info->maximum_storage_size;
  *remaining_variable_storage_size = info->remaining_storage_size;
  *maximum_variable_size = info->maximum_variable_size;
  return EfiStatus::success;
}

}  // namespace efistore::variable
