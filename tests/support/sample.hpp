// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The long data-driven tests run one of EFISTORE_TEST_SAMPLE of their cases: all in an optimised
// build, a sample under the sanitizers. tests/README.md says which preset has which.
#pragma once

#include <cstdint>
#include <string>

namespace efistore::test {

/// One of so many cases is run. Odd, so that it is in step with neither bytes nor blocks.
inline constexpr std::uint64_t sample_stride = EFISTORE_TEST_SAMPLE;
static_assert(sample_stride % 2 == 1);

/// How many of `count` cases are run, the first among them.
constexpr std::uint64_t sampled(std::uint64_t count) noexcept {
  return (count + sample_stride - 1) / sample_stride;
}

/// For the line that a test prints of its counts; tools/dev/test looks for it.
inline std::string sample_note() {
  return sample_stride == 1 ? "(all cases)" : "(one of " + std::to_string(sample_stride) + ")";
}

}  // namespace efistore::test
