// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "policy_text.hpp"

#include <fmt/format.h>

#include <charconv>
#include <vector>

#include "efistore/base/attributes.hpp"
#include "efistore/variable/variable_id.hpp"

#include "command.hpp"
#include "size.hpp"

namespace efistore::tools {

namespace {

using variable::Policy;
using variable::PolicyLock;

Outcome<std::uint32_t> size_from(std::string_view option, const std::string& text) {
  const auto size = parse_size(text);
  if (!size || *size >= Policy::no_max_size) {
    return fail_usage(fmt::format("{}: \"{}\": a number of bytes was expected", option, text));
  }
  return static_cast<std::uint32_t>(*size);
}

Outcome<std::uint32_t> attributes_from(std::string_view option, const std::string& text) {
  const auto attributes = attributes_from_string(text);
  if (!attributes) {
    return fail_usage(fmt::format(
        "{}: \"{}\": some of nv,bs,rt,hr,aw,at,ap,eaw or a number were expected", option, text));
  }
  return *attributes;
}

std::optional<std::uint8_t> byte_from(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x")) {
    text.remove_prefix(2);
    base = 16;
  }
  std::uint8_t value = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value, base);
  if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  return value;
}

Outcome<void> set_lock(Policy& policy, const std::string& text) {
  for (const PolicyLock lock : {PolicyLock::none, PolicyLock::now, PolicyLock::on_create}) {
    if (text != lock_name(lock)) continue;
    policy.lock = lock;
    return {};
  }
  // Names can hold a =, values cannot.
  const std::size_t equals = text.rfind('=');
  if (equals == std::string::npos) {
    return fail_usage(
        fmt::format("--lock: \"{}\": none, now, on-create or NAME-GUID=VALUE was expected", text));
  }
  auto id = variable::parse_variable_id(std::string_view(text).substr(0, equals));
  const auto value = byte_from(std::string_view(text).substr(equals + 1));
  if (!id || !value) {
    return fail_usage(fmt::format(
        "--lock: \"{}\": a variable and, behind the =, a value from 0 to 255 were expected", text));
  }
  policy.lock = PolicyLock::on_var_state;
  policy.state = variable::PolicyState{
      .name = std::move(id->name), .guid = id->guid, .value = *value, .padding = 0};
  return {};
}

Outcome<void> set_numbers(Policy& policy, const PolicyOptions& options) {
  struct Number {
    std::string_view option;
    const std::optional<std::string>& text;
    Outcome<std::uint32_t> (*parse)(std::string_view, const std::string&);
    std::uint32_t& value;
  };
  for (const Number& number :
       {Number{"--min", options.min, size_from, policy.min_size_bytes},
        Number{"--max", options.max, size_from, policy.max_size_bytes},
        Number{"--must", options.must, attributes_from, policy.attributes_must_have},
        Number{"--cant", options.cant, attributes_from, policy.attributes_cant_have}}) {
    if (!number.text) continue;
    const auto value = number.parse(number.option, *number.text);
    if (!value) return tl::unexpected(value.error());
    number.value = *value;
  }
  return {};
}

}  // namespace

Outcome<Policy> policy_from_options(const PolicyOptions& options) {
  if (!options.name) return fail_usage("a NAME or -f FILE is required");
  auto id = variable_from_argument(*options.name);
  if (!id) return tl::unexpected(std::move(id).error());
  Policy policy{.guid = id->guid};
  if (id->name != u"*") policy.name = std::move(id->name);
  if (auto done = set_numbers(policy, options); !done) {
    return tl::unexpected(std::move(done).error());
  }
  if (policy.max_size_bytes == 0) {
    return fail_usage("--max: 0 bytes are a deletion; --lock says when there is to be none");
  }
  if (policy.min_size_bytes > policy.max_size_bytes) {
    return fail_usage(fmt::format("--min {} is more than --max {}", policy.min_size_bytes,
                                  policy.max_size_bytes));
  }
  const std::uint32_t both = policy.attributes_must_have & policy.attributes_cant_have;
  if (both != 0) {
    return fail_usage(
        fmt::format("{} in --must and in --cant as well", attributes_to_string(both)));
  }
  if (options.lock) {
    if (auto done = set_lock(policy, *options.lock); !done) {
      return tl::unexpected(std::move(done).error());
    }
  }
  return policy;
}

std::string_view lock_name(PolicyLock lock) noexcept {
  switch (lock) {
    case PolicyLock::none:
      return "none";
    case PolicyLock::now:
      return "now";
    case PolicyLock::on_create:
      return "on-create";
    case PolicyLock::on_var_state:
      return "on-state";
  }
  return "none";
}

std::string policy_line(const Policy& policy) {
  std::vector<std::string> demands;
  if (policy.min_size_bytes != 0) demands.push_back(fmt::format("min {}", policy.min_size_bytes));
  if (policy.max_size_bytes != Policy::no_max_size) {
    demands.push_back(fmt::format("max {}", policy.max_size_bytes));
  }
  if (policy.attributes_must_have != 0) {
    demands.push_back("must " + attributes_to_string(policy.attributes_must_have));
  }
  if (policy.attributes_cant_have != 0) {
    demands.push_back("cant " + attributes_to_string(policy.attributes_cant_have));
  }
  if (policy.state) {
    demands.push_back(fmt::format("lock {}={:#04x}",
                                  variable::to_string(policy.state->name, policy.state->guid),
                                  policy.state->value));
  } else if (policy.lock != PolicyLock::none) {
    demands.push_back(fmt::format("lock {}", lock_name(policy.lock)));
  }
  if (demands.empty()) demands.emplace_back("anything goes");
  std::string line = to_string(policy) + " ";
  for (const std::string& demand : demands) line += " " + demand;
  return line;
}

}  // namespace efistore::tools
