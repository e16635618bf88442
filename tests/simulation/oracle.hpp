// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The variable services once more, as simple as they can be said: two maps and four counters.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "efistore/base/efi_status.hpp"
#include "efistore/variable/services.hpp"
#include "efistore/variable/variable_id.hpp"

namespace efistore::test {

struct OracleValue {
  std::uint32_t attributes = 0;
  std::vector<std::byte> data;

  friend bool operator==(const OracleValue&, const OracleValue&) = default;
};

using OracleMap = std::map<variable::VariableId, OracleValue>;

/// Bytes of a store's records.
struct OracleSpace {
  std::uint64_t capacity = 0;
  std::uint64_t used = 0;  ///< with the dead records
};

class Oracle {
 public:
  struct Shape {
    std::uint64_t capacity;
    std::uint32_t header_size;
    variable::Limits limits;
    bool strict_runtime;
  };
  explicit Oracle(const Shape& shape);

  /// What SetVariable has to answer; carries the request out where that is success.
  EfiStatus set(const variable::VariableId& id, std::uint32_t attributes,
                std::span<const std::byte> data);
  /// A fresh start: volatile variables are gone.
  void reopen(variable::Phase phase);
  void reclaim();

  /// What GetVariable has to find, or nullptr.
  const OracleValue* get(const variable::VariableId& id) const;
  /// What GetNextVariableName has to list.
  OracleMap visible() const;
  /// What is left for non-volatile variables other than hardware-error records.
  std::uint64_t remaining() const;

 private:
  std::uint64_t record_size(const variable::VariableId& id, const OracleValue& value) const;
  std::uint64_t live(const OracleMap& map, bool hardware_error) const;
  EfiStatus store(OracleMap& map, OracleSpace& space, const variable::VariableId& id,
                  OracleValue value);
  std::uint64_t max_size(std::uint32_t attributes) const;

  Shape shape_;
  variable::Phase phase_ = variable::Phase::boot;
  OracleMap non_volatile_;
  OracleMap volatile_;
  OracleSpace common_;
  OracleSpace hardware_error_;
  OracleSpace volatile_space_;
};

}  // namespace efistore::test
