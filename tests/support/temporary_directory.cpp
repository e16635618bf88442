// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "support/temporary_directory.hpp"

#include <stdlib.h>

#include <cstdio>
#include <string>
#include <system_error>

namespace efistore::test {

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "efistore-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    std::perror(name.c_str());
    std::abort();
  }
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace efistore::test
