// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Policies from hostile bytes: the first byte tells whether the rest is entries back to back or the
// file in which they are kept, the latter as it is and with a checksum that fits. What is read
// comes back the same, can be registered, and decides on names made of the input's own.
#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/base/crc32.hpp"
#include "efistore/variable/policy_file.hpp"

#include "target.hpp"

namespace efistore::fuzz {
namespace {

using variable::Policy;
using variable::PolicyLock;
using variable::PolicyTable;

constexpr std::size_t sum_offset = 12;
constexpr std::size_t summed_offset = 16;

bool is_digit(char16_t c) {
  return (c >= u'0' && c <= u'9') || (c >= u'A' && c <= u'F') || (c >= u'a' && c <= u'f');
}

/// The rule of which policy applies, written down once more and the long way.
const Policy* best_of(std::span<const Policy> policies, std::u16string_view name,
                      const Guid& guid) {
  const Policy* best = nullptr;
  std::size_t fewest = 0;
  for (const Policy& policy : policies) {
    const std::u16string pattern = policy.name.value_or(u"");
    const bool fits =
        policy.guid == guid &&
        (!policy.name || std::ranges::equal(pattern, name, [](char16_t p, char16_t c) {
          return p == u'#' ? is_digit(c) : p == c;
        }));
    const auto wildcards =
        policy.name ? static_cast<std::size_t>(std::ranges::count(pattern, u'#')) : 255;
    if (!fits || (best != nullptr && wildcards >= fewest)) continue;
    best = &policy;
    fewest = wildcards;
  }
  return best;
}

/// Names for which the policy, or one like it, may be.
std::vector<std::u16string> names_near(const Policy& policy) {
  std::u16string name = policy.name.value_or(u"Other");
  std::vector<std::u16string> names{name, name + u"x"};
  for (const char16_t digit : {u'0', u'f', u'g'}) {
    names.push_back(name);
    std::ranges::replace(names.back(), u'#', digit);
  }
  return names;
}

void evaluate(const PolicyTable& table, std::u16string_view name, const Guid& guid) {
  const Policy* const best = best_of(table.policies(), name, guid);
  const auto info = table.info(name, guid);
  require(info.has_value() == (best != nullptr), "info() finds what applies");
  require(!info || *info == best, "info() gives the best");
  const auto state = table.lock_state_info(name, guid);
  require(state.has_value() == (best != nullptr && best->state.has_value()),
          "state info is of locks on a state");
  for (const bool exists : {false, true}) {
    const std::vector<std::byte> data{best != nullptr && best->state ? std::byte{best->state->value}
                                                                     : std::byte{0}};
    const auto lookup = [&](std::u16string_view, const Guid&) {
      using Data = std::optional<std::span<const std::byte>>;
      return exists ? Data(data) : Data();
    };
    const EfiStatus status = table.check({.name = name, .guid = guid}, lookup).status();
    const bool locked = best != nullptr && (best->lock == PolicyLock::now ||
                                            (best->lock != PolicyLock::none && exists));
    require(status == (locked ? EfiStatus::write_protected : EfiStatus::success),
            "a deletion is refused while the variable is locked, and only then");
  }
}

void check_policies(const std::vector<Policy>& policies) {
  PolicyTable table;
  std::vector<std::byte> expected;
  for (const Policy& policy : policies) {
    const bool known = std::ranges::any_of(table.policies(), [&policy](const Policy& other) {
      return other.guid == policy.guid && other.name == policy.name;
    });
    const auto entry = variable::encode_policy(policy);
    require(entry.has_value(), "what was read is encoded");
    const EfiStatus status = table.register_entry(*entry).status();
    if (status == EfiStatus::out_of_resources) return;
    require(status == (known ? EfiStatus::already_started : EfiStatus::success),
            "what was read is registered, once");
    if (!known) expected.insert(expected.end(), entry->begin(), entry->end());
  }
  require(table.dump() == expected, "a dump has the entries' bytes");
  constexpr std::size_t most = 16;
  for (const Policy& policy : std::span(policies).first(std::min(most, policies.size()))) {
    for (const std::u16string& name : names_near(policy)) evaluate(table, name, policy.guid);
  }
}

void check_entries(std::span<const std::byte> bytes) {
  const auto policies = variable::read_policies(bytes);
  if (!policies) {
    require(policies.error().code == Errc::invalid_argument, "refusals are invalid_argument");
    return;
  }
  std::vector<std::byte> again;
  for (const Policy& policy : *policies) {
    const auto entry = variable::encode_policy(policy).value();
    again.insert(again.end(), entry.begin(), entry.end());
  }
  require(std::ranges::equal(again, bytes), "entries come back the same");
  check_policies(*policies);
}

void check_file(std::span<const std::byte> bytes) {
  const auto file = variable::read_policy_file(bytes);
  if (!file) {
    require(file.error().code == Errc::damaged, "refusals are damaged");
    return;
  }
  const auto again = variable::encode_policy_file(*file);
  require(again.has_value(), "a file that was read can be written");
  require(std::ranges::equal(*again, bytes), "a file comes back the same");
  check_policies(file->policies);
}

std::vector<std::byte> with_sum(std::span<const std::byte> bytes) {
  std::vector<std::byte> file(bytes.begin(), bytes.end());
  ByteWriter(std::span(file).subspan(sum_offset)).u32(crc32(bytes.subspan(summed_offset)));
  return file;
}

}  // namespace
}  // namespace efistore::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data, size)).subspan(1);
  if ((data[0] & 1) == 0) {
    efistore::fuzz::check_entries(bytes);
    return 0;
  }
  efistore::fuzz::check_file(bytes);
  if (bytes.size() >= efistore::fuzz::summed_offset) {
    efistore::fuzz::check_file(efistore::fuzz::with_sum(bytes));
  }
  return 0;
}
