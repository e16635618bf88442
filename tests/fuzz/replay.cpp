// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Runs a fuzz target once over each file given, and over each file in each folder given. A broken
// invariant ends the process; the last line names the input.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "target.hpp"

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> inputs(int count, char** arguments) {
  std::vector<fs::path> paths;
  for (int i = 1; i < count; ++i) {
    const fs::path path = arguments[i];
    if (!fs::is_directory(path)) {
      paths.push_back(path);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(path)) {
      if (entry.is_regular_file()) paths.push_back(entry.path());
    }
  }
  std::ranges::sort(paths);
  return paths;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<fs::path> paths = inputs(argc, argv);
  if (paths.empty()) {
    std::fprintf(stderr, "usage: %s FILE-OR-FOLDER... (no input found)\n", argv[0]);
    return 1;
  }
  for (const fs::path& path : paths) {
    std::printf("%s\n", path.c_str());
    std::fflush(stdout);
    std::ifstream file(path, std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "%s: cannot be opened\n", path.c_str());
      return 1;
    }
    // A vector of exactly the input's size lets AddressSanitizer see the first byte beyond it.
    const std::string content(std::istreambuf_iterator<char>(file), {});
    const std::vector<std::uint8_t> bytes(content.begin(), content.end());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%zu inputs replayed\n", paths.size());
  return 0;
}
