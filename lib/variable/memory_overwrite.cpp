// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <algorithm>

#include "efistore/base/attributes.hpp"

#include "state.hpp"

namespace efistore::variable {

using namespace literals;

namespace {

constexpr std::u16string_view control_name = u"MemoryOverwriteRequestControl";
constexpr Guid control_guid = "e20939be-32d4-41be-a150-897f85d49829"_guid;
constexpr std::u16string_view lock_name = u"MemoryOverwriteRequestControlLock";
constexpr Guid lock_guid = "bb983ccf-151d-40e1-a07b-4a17be168292"_guid;

constexpr std::byte unlocked{0};
constexpr std::byte locked_without_key{1};
constexpr std::byte locked_with_key{2};

/// The lock variable shows the state, never the key.
EfiResult<bool> store_lock(Services::State& state, std::byte value) {
  auto done = update_variable(state, {.name = lock_name,
                                      .guid = lock_guid,
                                      .attributes = attributes::default_new,
                                      .data = std::span(&value, 1)});
  if (!done) return tl::unexpected(std::move(done).error());
  return true;
}

EfiResult<bool> change_locked(Services::State& state, std::span<const std::byte> data) {
  MemoryOverwriteLock& lock = state.memory_overwrite;
  if (!lock.key || data.size() != lock.key->size()) {
    return refuse(EfiStatus::access_denied, "memory-overwrite requests are locked");
  }
  if (!std::ranges::equal(data, *lock.key)) {
    // One guess: from here on only a reset unlocks.
    lock.key.reset();
    return refuse(EfiStatus::access_denied, "wrong key; locked until the next reset");
  }
  auto done = store_lock(state, unlocked);
  if (done) lock = {};
  return done;
}

EfiResult<bool> set_lock(Services::State& state, const SetRequest& request) {
  MemoryOverwriteLock& lock = state.memory_overwrite;
  if (request.attributes == 0 || request.data.empty()) {
    return refuse(EfiStatus::write_protected, "the lock variable cannot be deleted");
  }
  if (request.attributes != attributes::default_new ||
      (request.data.size() != 1 && request.data.size() != MemoryOverwriteLock::Key{}.size())) {
    return refuse(EfiStatus::invalid_parameter,
                  "the lock takes attributes nv,bs,rt and 1 or 8 bytes");
  }
  if (lock.locked) return change_locked(state, request.data);
  if (request.data.size() == 1) {
    const std::byte value = request.data[0];
    if (value != unlocked && value != locked_without_key) {
      return refuse(EfiStatus::invalid_parameter, "the lock takes 0, 1 or a key of 8 bytes");
    }
    auto done = store_lock(state, value);
    if (done) lock.locked = value == locked_without_key;
    return done;
  }
  // Copied first: the request may point into the store, where the lock's update can move
  // everything.
  MemoryOverwriteLock::Key key;
  std::ranges::copy(request.data, key.begin());
  auto done = store_lock(state, locked_with_key);
  if (done) lock = {.locked = true, .key = key};
  return done;
}

}  // namespace

EfiResult<bool> check_memory_overwrite(Services::State& state, const SetRequest& request) {
  if (request.name == lock_name && request.guid == lock_guid) return set_lock(state, request);
  if (request.name != control_name || request.guid != control_guid) return false;
  if (request.attributes != attributes::default_new || request.data.size() != 1) {
    return refuse(EfiStatus::invalid_parameter,
                  "memory-overwrite control takes attributes nv,bs,rt and 1 byte");
  }
  if (state.memory_overwrite.locked) {
    return refuse(EfiStatus::access_denied, "memory-overwrite requests are locked");
  }
  return false;
}

EfiResult<void> initialize_memory_overwrite_lock(Services::State& state) {
  const store::Record* const record = state.nv.find(lock_name, lock_guid);
  if (state.memory_overwrite.locked || record == nullptr) return {};
  if (std::ranges::equal(record->data, std::span(&unlocked, 1))) return {};
  auto done = store_lock(state, unlocked);
  if (!done) return tl::unexpected(std::move(done).error());
  return {};
}

}  // namespace efistore::variable
