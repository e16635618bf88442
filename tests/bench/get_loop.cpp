// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// `bench-get-loop VARIABLES GETS`: that many Gets that hit, and nothing else that callgrind would
// count (target bench-callgrind).
#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "workload.hpp"

namespace {

std::optional<std::size_t> parse_count(std::string_view text) {
  std::size_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size() || value == 0) return {};
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace efistore;
  const auto variables = argc == 3 ? parse_count(argv[1]) : std::nullopt;
  const auto gets = argc == 3 ? parse_count(argv[2]) : std::nullopt;
  if (!variables || !gets) {
    fmt::print(stderr, "usage: bench-get-loop VARIABLES GETS\n");
    return 2;
  }
  return bench::run_guarded([&] {
    const bench::Workload workload{.variable_count = *variables};
    const auto services = bench::open_services(bench::make_device(image_of(workload)));
    const auto keys = bench::make_keys(*variables);
    for (const std::size_t index : bench::make_order(*gets, keys.size())) {
      if (!services.get(keys[index].name, keys[index].guid)) bench::give_up("a Get missed");
    }
    return 0;
  });
}
