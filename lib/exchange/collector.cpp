// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "collector.hpp"

#include <fmt/format.h>

#include "naming.hpp"

namespace efistore::exchange {

namespace {

bool has_stray_time(const store::Variable& variable) {
  return !has_time_attribute(variable) && !variable.time.is_zero();
}

std::string stray_time(const std::string& where, const store::Variable& variable) {
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
  const auto where = [place](const store::Variable& named) {
    return fmt::format("{}: {}", place, label(named.name, named.guid));
  };
  const bool is_volatile = (variable.attributes & attributes::non_volatile) == 0;
  if (!is_volatile) {
    if (const std::uint32_t dropped = variable.attributes & ~stored_attributes; dropped != 0) {
      losses_.parts.add([&] {
        return fmt::format("{}: attribute bits {:#x} are no store's and left out", where(variable),
                           dropped);
      });
      variable.attributes &= stored_attributes;
    }
    if (has_stray_time(variable)) {
      losses_.parts.add([&] { return stray_time(where(variable), variable); });
      variable.time = {};
    }
  }
  // A volatile variable is left out only after it has gone through the checks of any other.
  if (auto added = add(place, std::move(variable)); !added) return added;
  if (is_volatile) {
    losses_.left_out.add([&] { return where(variables_.back()) + ": it is volatile"; });
    variables_.pop_back();
  }
  return {};
}

Imported Collector::take() {
  seen_.clear();
  return {.variables = std::exchange(variables_, {}),
          .left_out = losses_.left_out.take(),
          .losses = losses_.parts.take()};
}

Status check_input_size(std::span<const std::byte> bytes) {
  if (bytes.size() <= max_input_size_bytes) return {};
  return fail(Errc::invalid_argument,
              fmt::format("{} bytes: expected at most {}", bytes.size(), max_input_size_bytes));
}

bool fits_foreign(const store::Variable& variable, Sentences& left_out) {
  const auto where = [&] { return label(variable.name, variable.guid); };
  if (const std::string_view problem = name_problem(variable.name); !problem.empty()) {
    left_out.add([&] { return fmt::format("{}: the name {}", where(), problem); });
    return false;
  }
  if ((variable.attributes & attributes::non_volatile) == 0) {
    left_out.add([&] { return where() + ": it is volatile"; });
    return false;
  }
  return true;
}

void list_lost_fields(const store::Variable& variable, Sentences& lost) {
  const auto where = [&] { return label(variable.name, variable.guid); };
  if (has_stray_time(variable)) {
    lost.add([&] { return stray_time(where(), variable); });
  }
  if (variable.monotonic_count != 0) {
    lost.add([&] {
      return fmt::format("{}: monotonic count {} left out", where(), variable.monotonic_count);
    });
  }
  if (variable.public_key_index != 0) {
    lost.add([&] {
      return fmt::format("{}: public key index {} left out", where(), variable.public_key_index);
    });
  }
}

}  // namespace efistore::exchange
