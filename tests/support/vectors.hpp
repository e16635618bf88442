// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Images and files of other producers, kept beside the checkout in EFISTORE_SHARED_DIR/vectors.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "efistore/base/result.hpp"

namespace efistore::test {

/// The folder of the vectors, whether it is there or not.
std::filesystem::path vectors_dir();

/// Whether this runs where everything that a test may need is installed, so that what is missing is
/// a failure: CI is "true" in the environment.
bool runs_in_ci();

/// A file of the vectors, by its path in there ("store/x.fd.xz"); what ends in .xz is decompressed.
/// Errors: not_found, damaged (xz), no_space (larger than 64 MiB), io.
Result<std::vector<std::byte>> load_vector(std::string_view path);

/// Decompresses the contents of an .xz file, up to 64 MiB.
/// Errors: damaged, no_space.
Result<std::vector<std::byte>> decompress_xz(std::span<const std::byte> packed);

}  // namespace efistore::test

/// Ends the test where the vectors are missing: skipped, or failed in CI.
#define EFISTORE_NEED_VECTORS()                                                      \
  do {                                                                               \
    if (!std::filesystem::is_directory(::efistore::test::vectors_dir())) {           \
      if (::efistore::test::runs_in_ci()) FAIL() << ::efistore::test::vectors_dir(); \
      GTEST_SKIP() << "no vectors in " << ::efistore::test::vectors_dir();           \
    }                                                                                \
  } while (false)
