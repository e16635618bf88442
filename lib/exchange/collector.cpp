// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "collector.hpp"

#include <fmt/format.h>

#include "naming.hpp"

namespace efistore::exchange {

namespace {

std::string time_without_attribute(const std::string& where, const store::Variable& variable) {
  return fmt::format("{}: its time {} has no attribute to go with, and is left out", where,
                     to_string(variable.time));
}

}  // namespace

Status Collector::add(std::string_view place, store::Variable variable) {
  if (const std::string_view problem = name_problem(variable.name); !problem.empty()) {
    return fail(Errc::invalid_argument, fmt::format("{}: the name {}", place, problem));
  }
  if (seen_.size() == max_variables) {
    return fail(Errc::invalid_argument,
                fmt::format("{}: expected at most {} variables", place, max_variables));
  }
  if (!seen_.emplace(variable.name, variable.guid).second) {
    return fail(Errc::invalid_argument,
                fmt::format("{}: a second {}", place, label(variable.name, variable.guid)));
  }
  variables_.push_back(std::move(variable));
  return {};
}

Status Collector::add_foreign(std::string_view place, store::Variable variable) {
  const auto where = [&] {
    return fmt::format("{}: {}", place, label(variable.name, variable.guid));
  };
  const bool is_volatile = (variable.attributes & attributes::non_volatile) == 0;
  if (const std::uint32_t dropped = variable.attributes & ~stored_attributes; dropped != 0) {
    losses_.add([&] {
      return fmt::format("{}: attribute bits {:#x} are no store's and left out", where(), dropped);
    });
    variable.attributes &= stored_attributes;
  }
  if (!has_time_attribute(variable) && !variable.time.is_zero()) {
    losses_.add([&] { return time_without_attribute(where(), variable); });
    variable.time = {};
  }
  // A volatile variable is left out only after it has gone through the checks of any other.
  if (auto added = add(place, std::move(variable)); !added) return added;
  if (is_volatile) {
    const store::Variable& taken = variables_.back();
    losses_.add([&] {
      return fmt::format("{}: {}: volatile, left out", place, label(taken.name, taken.guid));
    });
    variables_.pop_back();
  }
  return {};
}

Imported Collector::take() {
  seen_.clear();
  return {.variables = std::exchange(variables_, {}), .losses = losses_.take()};
}

Status check_input_size(std::span<const std::byte> bytes) {
  if (bytes.size() <= max_input_size_bytes) return {};
  return fail(Errc::invalid_argument,
              fmt::format("{} bytes: expected at most {}", bytes.size(), max_input_size_bytes));
}

bool carried_by_foreign(const store::Variable& variable, Losses& losses) {
  const auto where = [&] { return label(variable.name, variable.guid); };
  if (const std::string_view problem = name_problem(variable.name); !problem.empty()) {
    losses.add([&] { return fmt::format("{}: the name {}; left out", where(), problem); });
    return false;
  }
  if ((variable.attributes & attributes::non_volatile) == 0) {
    losses.add([&] { return where() + ": volatile, left out"; });
    return false;
  }
  if (!has_time_attribute(variable) && !variable.time.is_zero()) {
    losses.add([&] { return time_without_attribute(where(), variable); });
  }
  if (variable.monotonic_count != 0) {
    losses.add([&] {
      return fmt::format("{}: monotonic count {} left out", where(), variable.monotonic_count);
    });
  }
  if (variable.public_key_index != 0) {
    losses.add([&] {
      return fmt::format("{}: public key index {} left out", where(), variable.public_key_index);
    });
  }
  return true;
}

}  // namespace efistore::exchange
