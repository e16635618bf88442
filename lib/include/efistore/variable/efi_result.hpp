// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

#include "efistore/base/efi_status.hpp"

namespace efistore::variable {

/// An EFI status that is not success, and which rule or device made it; the text may be empty.
struct EfiError {
  EfiStatus status;
  std::string reason;
};

/// A value, or the status in its place.
template <typename T>
class [[nodiscard]] EfiResult : public tl::expected<T, EfiError> {
 public:
  using tl::expected<T, EfiError>::expected;

  EfiStatus status() const noexcept {
    return this->has_value() ? EfiStatus::success : this->error().status;
  }
};

inline tl::unexpected<EfiError> refuse(EfiStatus status, std::string reason = {}) {
  return tl::unexpected<EfiError>(EfiError{status, std::move(reason)});
}

}  // namespace efistore::variable
