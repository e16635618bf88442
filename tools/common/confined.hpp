// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>

namespace efistore::tools {

struct Confinement {
  std::size_t output_limit_bytes = 4096;
  std::size_t memory_limit_bytes = 64U << 20;
  std::chrono::milliseconds time_limit{2000};
};

/// Runs `produce` in a child process, with limits, and gives what it returned: for libraries that
/// trust bytes which they should not. The child has no standard streams, and none of its memory
/// comes back but the text.
/// None if there is no text, the child crashed, ran out of time or memory, or said more than the
/// limit.
std::optional<std::string> run_confined(const std::function<std::optional<std::string>()>& produce,
                                        const Confinement& confinement = {});

}  // namespace efistore::tools
