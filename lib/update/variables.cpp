// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/update/variables.hpp"

#include <fmt/format.h>

#include "efistore/base/ucs2.hpp"

namespace efistore::update {

namespace {

Errc code_of(EfiStatus status) noexcept {
  switch (status) {
    case EfiStatus::out_of_resources:
      return Errc::no_space;
    case EfiStatus::write_protected:
      return Errc::read_only;
    case EfiStatus::security_violation:
    case EfiStatus::access_denied:
      return Errc::permission;
    case EfiStatus::invalid_parameter:
      return Errc::invalid_argument;
    default:
      return Errc::io;
  }
}

tl::unexpected<Error> failure(std::u16string_view name, const Guid& guid,
                              const variable::EfiError& error) {
  return fail(code_of(error.status),
              fmt::format("{}-{}: {}{}{}", to_utf8(name), to_string(guid), to_string(error.status),
                          error.reason.empty() ? "" : ": ", error.reason));
}

}  // namespace

Result<std::optional<std::vector<std::byte>>> ServicesVariables::get(std::u16string_view name,
                                                                     const Guid& guid) {
  const auto found = services_.get(name, guid);
  if (found.status() == EfiStatus::not_found) return std::nullopt;
  if (!found) return failure(name, guid, found.error());
  if (found->attributes != state_attributes) return std::nullopt;
  return std::vector<std::byte>(found->data.begin(), found->data.end());
}

Status ServicesVariables::set(std::u16string_view name, const Guid& guid,
                              std::span<const std::byte> data) {
  const auto there = services_.get(name, guid);
  if (there && there->attributes != state_attributes) {
    const auto removed = services_.set({name, guid, 0, {}});
    if (!removed) return failure(name, guid, removed.error());
  }
  const auto done = services_.set({name, guid, data.empty() ? 0 : state_attributes, data});
  if (done || (data.empty() && done.status() == EfiStatus::not_found)) return {};
  return failure(name, guid, done.error());
}

}  // namespace efistore::update
