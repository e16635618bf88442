// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Dependency expressions of firmware images (UEFI 2.10, 23.2.2.4): a stack machine that is asked
// whether the installed versions allow an image. The opcodes are in lib/SPEC.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"
#include "efistore/capsule/last_attempt_status.hpp"

namespace efistore::capsule {

/// No expression is longer, with its END.
inline constexpr std::size_t max_dependency_size_bytes = std::size_t{64} * 1024;
/// Of the parentheses in the text of an expression.
inline constexpr int max_expression_depth = 64;

/// Why an expression does not allow an image.
struct DependencyError {
  LastAttemptStatus status;
  std::string message;
};

/// The version of the installed firmware of that type; none if there is no such firmware.
using InstalledVersion = std::function<std::optional<std::uint32_t>(const Guid& type_id)>;

/// The size of the expression at the front of `bytes`, its END included. Looks at opcodes and
/// operands; nothing is evaluated.
/// Errors: DependencyError.
tl::expected<std::size_t, DependencyError> dependency_size(std::span<const std::byte> bytes);

/// Nothing if the expression is true.
/// Errors: DependencyError; unsatisfied_dependencies if it is well formed and false.
tl::expected<void, DependencyError> evaluate_dependency(std::span<const std::byte> expression,
                                                        const InstalledVersion& installed);

/// The expression in the infix syntax that compile_dependency() takes, and DECLARE "..." for
/// version strings; what is not an expression of it (a stack that does not come out) as the list of
/// its opcodes.
/// Errors: invalid_argument (not well formed).
Result<std::string> dependency_text(std::span<const std::byte> expression);

/// An expression as EDK2's GenerateCapsule reads it: `GUID >= VERSION` with ==, >, >=, <, <=;
/// `&&`, `||`, `~`, parentheses, TRUE, FALSE; versions are hexadecimal, with or without 0x;
/// `DECLARE "text"` behind a comparison says what its version is called. And binds closer than or.
/// Errors: invalid_argument, with the column.
Result<std::vector<std::byte>> compile_dependency(std::string_view text);

}  // namespace efistore::capsule
