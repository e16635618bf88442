// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <filesystem>

namespace efistore::test {

/// A directory of its own for one test, removed with everything in it at the end.
class TemporaryDirectory {
 public:
  /// Ends the process if the system gives no directory: there is nothing to test then.
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();

  const std::filesystem::path& path() const noexcept { return path_; }
  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace efistore::test
