// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/base/attributes.hpp"
#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"
#include "efistore/variable/services.hpp"

namespace efistore::update {

/// The variables in which updates keep their state: the store's, seen as firmware sees them.
class Variables {
 public:
  virtual ~Variables() = default;
  Variables() = default;
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

  /// None if there is no such variable. Errors: io.
  virtual Result<std::optional<std::vector<std::byte>>> get(std::u16string_view name,
                                                            const Guid& guid) = 0;
  /// Empty data deletes; that there is nothing to delete is no error.
  /// Errors: no_space, read_only, permission, io.
  /// Power loss: old or new.
  virtual Status set(std::u16string_view name, const Guid& guid,
                     std::span<const std::byte> data) = 0;
};

/// What every variable of updates has: the operating system, from ExitBootServices on, can neither
/// see nor make one. One of the same name with other attributes is not believed.
inline constexpr std::uint32_t state_attributes =
    attributes::non_volatile | attributes::bootservice_access;

/// Those of services in this process, which must outlive it. Of variables with other attributes
/// than state_attributes get() sees none, and set() puts its own in their place.
class ServicesVariables final : public Variables {
 public:
  explicit ServicesVariables(variable::Services& services) noexcept : services_(services) {}

  Result<std::optional<std::vector<std::byte>>> get(std::u16string_view name,
                                                    const Guid& guid) override;
  Status set(std::u16string_view name, const Guid& guid, std::span<const std::byte> data) override;

 private:
  variable::Services& services_;
};

}  // namespace efistore::update
