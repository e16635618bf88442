// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "statistics.hpp"

#include <cstring>
#include <string>

namespace efistore::mm {

bool AccessStatistics::Key::operator==(const Key& other) const noexcept {
  // The standard library compares char16_t and std::byte one at a time.
  return name.size() == other.name.size() &&
         std::memcmp(guid.bytes.data(), other.guid.bytes.data(), guid.bytes.size()) == 0 &&
         std::memcmp(name.data(), other.name.data(), name.size() * sizeof(char16_t)) == 0;
}

std::size_t AccessStatistics::Hash::operator()(const Key& key) const {
  std::uint64_t guid_part = 0;
  std::memcpy(&guid_part, key.guid.bytes.data(), sizeof(guid_part));
  return std::hash<std::u16string_view>{}(key.name) ^
         static_cast<std::size_t>(guid_part * 0x9e3779b97f4a7c15ULL);
}

void AccessStatistics::note(std::u16string_view name, const Guid& guid, std::uint32_t attributes,
                            Access access) {
  auto place = places_.find({name, guid});
  if (place == places_.end()) {
    if (entries_.size() == max_entries) return;
    const Entry& added = entries_.emplace_back(Entry{.id = {std::u16string(name), guid}});
    place = places_.emplace(Key{added.id.name, guid}, entries_.size() - 1).first;
  }
  Entry& entry = entries_[place->second];
  switch (access) {
    case Access::read:
      ++entry.reads;
      break;
    case Access::write:
      ++entry.writes;
      break;
    case Access::remove:
      ++entry.deletions;
      return;  // with the attributes that it had
  }
  entry.attributes = attributes;
}

const AccessStatistics::Entry* AccessStatistics::next(std::u16string_view name,
                                                      const Guid& guid) const noexcept {
  const auto place = places_.find({name, guid});
  if (place == places_.end() || place->second + 1 == entries_.size()) return nullptr;
  return &entries_[place->second + 1];
}

}  // namespace efistore::mm
