// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "efistore/store/variable_store.hpp"

namespace efistore::test {

/// What the power is cut in: an image, and one change of it.
struct Scenario {
  std::string name{};  ///< "reclaim_small_auth"; the maker of the scenario does not know it
  store::Layout layout;
  std::vector<std::byte> image;
  /// Makes the change; whatever keeps it from being made is an error.
  std::function<Status(std::unique_ptr<flash::Device>)> change;
  /// The same over an open store, where the change is not one of the device.
  std::function<Status(store::VariableStore&)> store_change{};
  /// The change is a format: there may be no store after a cut, and formatting is the recovery.
  bool formats = false;
  /// The image is damaged and the change is its repair: after a cut the store may be as damaged as
  /// before, and repairing again is the recovery. What is there then; empty if nothing is repaired.
  std::optional<std::vector<store::Variable>> repaired{};
  /// Values between old and new that a cut may leave: a change of single bits in place.
  std::vector<std::vector<store::Variable>> between{};
};

/// The variables in an order of their own, not the flash's.
std::vector<store::Variable> contents_of(const store::VariableStore& opened);

struct ScenarioKind {
  const char* name;
  Scenario (*make)(const store::Layout& layout);
  /// Of layouts in the authenticated format only.
  bool authenticated = false;
};

/// All there are. Each can be made over any layout of its format.
const std::vector<ScenarioKind>& scenario_kinds();

}  // namespace efistore::test
