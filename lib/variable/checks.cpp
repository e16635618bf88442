// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include "efistore/base/attributes.hpp"
#include "efistore/base/bytes.hpp"

#include "state.hpp"

namespace efistore::variable {

namespace {

/// EFI_VARIABLE_AUTHENTICATION_2 (UEFI 2.10, 8.2.1): EFI_TIME, then WIN_CERTIFICATE_UEFI_GUID,
/// whose length counts itself.
constexpr std::size_t auth2_certificate_offset = 16;
constexpr std::size_t auth2_minimum_size = 40;
constexpr std::size_t auth2_certificate_minimum_size = 24;

std::uint32_t auth2_certificate_size(std::span<const std::byte> data) noexcept {
  return ByteReader(data.subspan(auth2_certificate_offset)).u32();
}

EfiResult<void> check_attributes(const Services::State& state, std::uint32_t attributes) {
  using namespace attributes;
  if ((attributes & ~supported) != 0) {
    return refuse(EfiStatus::invalid_parameter,
                  fmt::format("attributes {:#x} have bits that are not supported", attributes));
  }
  const bool deprecated = (attributes & authenticated_write_access) != 0;
  const EfiStatus combination = deprecated ? EfiStatus::unsupported : EfiStatus::invalid_parameter;
  if ((attributes & (runtime_access | bootservice_access)) == runtime_access) {
    return refuse(combination, "runtime access needs boot-service access as well");
  }
  if ((attributes & ~authenticated_write_access) == non_volatile) {
    return refuse(combination, "a non-volatile variable needs boot-service access as well");
  }
  if ((attributes & any_authenticated) != 0) {
    if (!state.auth_supported()) {
      return refuse(EfiStatus::invalid_parameter,
                    "the store's normal format has no authenticated variables");
    }
  } else if ((attributes & hardware_error_record) != 0 &&
             state.limits.hardware_error_storage_size == 0) {
    return refuse(EfiStatus::invalid_parameter, "no space is set aside for hardware-error records");
  }
  if (deprecated) {
    return refuse(EfiStatus::unsupported,
                  "count-based authentication is deprecated and unsupported");
  }
  return {};
}

}  // namespace

bool is_deletion(std::uint32_t attributes, std::size_t data_size) noexcept {
  const bool no_access =
      (attributes & (attributes::bootservice_access | attributes::runtime_access)) == 0;
  return no_access || (data_size == 0 && (attributes & attributes::append_write) == 0);
}

std::span<const std::byte> payload_of(const SetRequest& request) noexcept {
  if ((request.attributes & attributes::time_based_authenticated_write_access) == 0) {
    return request.data;
  }
  return request.data.subspan(auth2_certificate_offset + auth2_certificate_size(request.data));
}

EfiResult<void> check_request(const Services::State& state, const SetRequest& request) {
  if (request.name.empty() || request.name.find(u'\0') != std::u16string_view::npos) {
    return refuse(EfiStatus::invalid_parameter, "the name is empty, or has a NUL in it");
  }
  if (auto valid = check_attributes(state, request.attributes); !valid) return valid;
  if ((request.attributes & attributes::time_based_authenticated_write_access) != 0) {
    if (request.data.size() < auth2_minimum_size) {
      return refuse(EfiStatus::security_violation,
                    fmt::format("{} bytes are too few for an authentication descriptor",
                                request.data.size()));
    }
    const std::uint32_t size = auth2_certificate_size(request.data);
    if (size > request.data.size() - auth2_certificate_offset ||
        size < auth2_certificate_minimum_size) {
      return refuse(
          EfiStatus::security_violation,
          fmt::format("the authentication descriptor's certificate cannot have {} bytes", size));
    }
  }
  const std::uint64_t name_size = (std::uint64_t{request.name.size()} + 1) * sizeof(char16_t);
  const std::uint64_t data_size = payload_of(request).size();
  const std::uint64_t limit = state.limits.max_content_size(request.attributes, state.nv.format());
  // A hostile caller's sizes can be such that their sum wraps around.
  if (name_size > limit || data_size > limit - name_size) {
    return refuse(EfiStatus::invalid_parameter,
                  fmt::format("the name takes {} bytes and the data {}, and at most {} are allowed "
                              "together",
                              name_size, data_size, limit));
  }
  return {};
}

}  // namespace efistore::variable
