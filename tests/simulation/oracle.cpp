// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "simulation/oracle.hpp"

#include <algorithm>

namespace efistore::test {

namespace {

constexpr std::uint32_t nv = 0x01;
constexpr std::uint32_t bs = 0x02;
constexpr std::uint32_t rt = 0x04;
constexpr std::uint32_t hr = 0x08;
constexpr std::uint32_t append = 0x40;

std::uint64_t pad(std::uint64_t size) {
  return (size + 3) / 4 * 4;
}

}  // namespace

Oracle::Oracle(const Shape& shape)
    : shape_(shape),
      common_{.capacity = shape.capacity - shape.limits.hardware_error_storage_size},
      hardware_error_{.capacity = shape.limits.hardware_error_storage_size},
      volatile_space_{.capacity = shape.limits.volatile_store_size - 28} {}

std::uint64_t Oracle::record_size(const variable::VariableId& id, const OracleValue& value) const {
  return shape_.header_size + 2 * (id.name.size() + 1) + value.data.size();
}

std::uint64_t Oracle::live(const OracleMap& map, bool hardware_error) const {
  std::uint64_t bytes = 0;
  for (const auto& [id, value] : map) {
    if (((value.attributes & hr) != 0) == hardware_error) bytes += pad(record_size(id, value));
  }
  return bytes;
}

std::uint64_t Oracle::max_size(std::uint32_t attributes) const {
  if ((attributes & hr) != 0) return shape_.limits.max_hardware_error_size;
  return (attributes & nv) != 0 ? shape_.limits.max_variable_size : shape_.limits.max_volatile_size;
}

EfiStatus Oracle::store(OracleMap& map, OracleSpace& space, const variable::VariableId& id,
                        OracleValue value) {
  const std::uint64_t size = record_size(id, value);
  if (size + space.used > space.capacity) {
    const bool is_volatile = &map == &volatile_;
    if (phase_ == variable::Phase::runtime && shape_.strict_runtime && !is_volatile) {
      return EfiStatus::out_of_resources;
    }
    OracleMap after = map;
    after[id] = value;
    const bool hardware_error = !is_volatile && (value.attributes & hr) != 0;
    if (live(after, hardware_error) > space.capacity) return EfiStatus::out_of_resources;
    map = std::move(after);
    // A reclaim compacts everything, not only the part that was short.
    if (is_volatile) {
      space.used = live(map, false) + live(map, true);
    } else {
      reclaim();
    }
    return EfiStatus::success;
  }
  map[id] = std::move(value);
  space.used += pad(size);
  return EfiStatus::success;
}

EfiStatus Oracle::set(const variable::VariableId& id, std::uint32_t attributes,
                      std::span<const std::byte> data) {
  const bool runtime = phase_ == variable::Phase::runtime;
  if ((attributes & ~0x7fU) != 0 || (attributes & (bs | rt)) == rt || attributes == nv) {
    return EfiStatus::invalid_parameter;
  }
  if ((attributes & hr) != 0 && hardware_error_.capacity == 0) return EfiStatus::invalid_parameter;
  const std::uint64_t name_size = 2 * (id.name.size() + 1);
  if (name_size + data.size() > max_size(attributes) - shape_.header_size) {
    return EfiStatus::invalid_parameter;
  }
  const bool deletion =
      (attributes & (bs | rt)) == 0 || (data.empty() && (attributes & append) == 0);
  if (!deletion) {
    const bool error_record = id.guid == guids::hardware_error_variable;
    if (error_record ? (attributes & ~append) != (nv | bs | rt | hr) : (attributes & hr) != 0) {
      return EfiStatus::invalid_parameter;
    }
  }
  OracleValue value{attributes & ~append, {data.begin(), data.end()}};
  for (OracleMap* map : {&volatile_, &non_volatile_}) {
    const auto found = map->find(id);
    if (found == map->end()) continue;
    const OracleValue& old = found->second;
    if (runtime && (old.attributes & rt) == 0) return EfiStatus::write_protected;
    if (attributes != 0 && value.attributes != old.attributes) return EfiStatus::invalid_parameter;
    if (runtime && map == &volatile_) return EfiStatus::write_protected;
    if (deletion) {
      map->erase(found);
      return EfiStatus::success;
    }
    if ((attributes & append) != 0) {
      if (shape_.header_size + name_size + old.data.size() + data.size() >
          max_size(old.attributes)) {
        return EfiStatus::invalid_parameter;
      }
      value.data.insert(value.data.begin(), old.data.begin(), old.data.end());
    } else if (value == old) {
      return EfiStatus::success;
    }
    if (map == &volatile_) return store(volatile_, volatile_space_, id, std::move(value));
    return store(non_volatile_, (value.attributes & hr) != 0 ? hardware_error_ : common_, id,
                 std::move(value));
  }
  if ((attributes & append) != 0 && data.empty()) return EfiStatus::success;
  if (deletion) return EfiStatus::not_found;
  if (runtime && (attributes & (nv | rt)) != (nv | rt)) return EfiStatus::invalid_parameter;
  if ((attributes & nv) == 0) return store(volatile_, volatile_space_, id, std::move(value));
  return store(non_volatile_, (attributes & hr) != 0 ? hardware_error_ : common_, id,
               std::move(value));
}

void Oracle::reopen(variable::Phase phase) {
  phase_ = phase;
  volatile_.clear();
  volatile_space_.used = 0;
}

void Oracle::reclaim() {
  common_.used = live(non_volatile_, false);
  hardware_error_.used = live(non_volatile_, true);
}

const OracleValue* Oracle::get(const variable::VariableId& id) const {
  for (const OracleMap* map : {&volatile_, &non_volatile_}) {
    const auto found = map->find(id);
    if (found == map->end()) continue;
    const bool hidden = phase_ == variable::Phase::runtime && (found->second.attributes & rt) == 0;
    return hidden ? nullptr : &found->second;
  }
  return nullptr;
}

OracleMap Oracle::visible() const {
  OracleMap all = volatile_;
  all.insert(non_volatile_.begin(), non_volatile_.end());
  if (phase_ == variable::Phase::runtime) {
    std::erase_if(all, [](const auto& entry) { return (entry.second.attributes & rt) == 0; });
  }
  return all;
}

std::uint64_t Oracle::remaining() const {
  const bool dead_count = phase_ == variable::Phase::runtime && shape_.strict_runtime;
  return common_.capacity - (dead_count ? common_.used : live(non_volatile_, false));
}

}  // namespace efistore::test
