// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "info_remote.hpp"

#include <fmt/format.h>

#include "efistore/base/attributes.hpp"

#include "common/escape.hpp"
#include "common/file_io.hpp"
#include "json.hpp"
#include "secureboot.hpp"
#include "size.hpp"

namespace efistore::tools {

namespace {

std::string_view phase_name(variable::Phase phase) noexcept {
  switch (phase) {
    case variable::Phase::boot_early:
      return "before EndOfDxe";
    case variable::Phase::boot:
      return "boot";
    case variable::Phase::runtime:
      return "runtime";
  }
  return "unknown";
}

std::string_view health_of(const runtime::StoreInfo& info) noexcept {
  return info.damaged ? "damaged" : info.read_only ? "read-only" : "clean";
}

std::string rights_text(mm::Rights rights) {
  std::string text;
  for (const auto& [right, name] :
       {std::pair{mm::Rights::read, "read"}, std::pair{mm::Rights::write, "write"},
        std::pair{mm::Rights::lock, "lock"}, std::pair{mm::Rights::update, "update"}}) {
    if (!includes(rights, right)) continue;
    if (!text.empty()) text += ',';
    text += name;
  }
  return text.empty() ? "none" : text;
}

}  // namespace

Outcome<ExitCode> run_remote_info(const std::string& locator, bool json) {
  auto session = Session::open(locator, flash::OpenMode::read_only);
  if (!session) return tl::unexpected(session.error());
  const auto state = session->client().state();
  if (!state) return fail_with(locator, state.error());
  const auto info = session->client().store_info();
  if (!info) return fail_with(locator, info.error());
  const auto limits = session->client().query_variable_info(attributes::default_new);
  if (!limits) return fail_with(locator, limits.error());
  const char* const format = state->authenticated ? "auth" : "normal";
  const std::uint32_t free = info->capacity - info->used;
  const std::uint32_t reclaimable = info->used - info->live;
  if (json) {
    print_json(Json{{"store", locator},
                    {"format", format},
                    {"health", health_of(*info)},
                    {"volume_size", info->volume_size},
                    {"block_size", info->block_size},
                    {"phase", phase_name(state->phase)},
                    {"writable", state->writable},
                    {"rights", rights_text(state->rights)},
                    {"secure_boot_mode", to_string(state->secure_boot_mode)},
                    {"changes", state->changes},
                    {"variables", info->live_records},
                    {"dead_records", info->dead_records},
                    {"space",
                     {{"capacity", info->capacity},
                      {"live", info->live},
                      {"reclaimable", reclaimable},
                      {"free", free}}},
                    {"limits",
                     {{"maximum_storage_size", limits->maximum_storage_size},
                      {"remaining_storage_size", limits->remaining_storage_size},
                      {"maximum_variable_size", limits->maximum_variable_size}}}});
    return ExitCode::success;
  }
  const auto line = [](std::string_view key, std::string_view value) {
    print(fmt::format("{:<22}{}\n", key, value));
  };
  line("store", escape(locator, EscapeStyle::line));
  line("volume", fmt::format("{} in blocks of {}", format_size(info->volume_size),
                             format_size(info->block_size)));
  line("format", format);
  line("health", health_of(*info));
  line("phase", phase_name(state->phase));
  line("writable", state->writable ? "yes" : "no");
  line("you may", rights_text(state->rights));
  line("variables", fmt::format("{} (dead records: {})", info->live_records, info->dead_records));
  line("space for records", fmt::format("{} bytes", info->capacity));
  line("  live", fmt::format("{} bytes", info->live));
  line("  reclaimable", fmt::format("{} bytes", reclaimable));
  line("  free", fmt::format("{} bytes", free));
  line("largest variable", fmt::format("{} bytes", limits->maximum_variable_size));
  line("remaining storage",
       fmt::format("{} of {} bytes", limits->remaining_storage_size, limits->maximum_storage_size));
  return ExitCode::success;
}

}  // namespace efistore::tools
