// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include <CLI/App.hpp>

#include "command.hpp"
#include "common/escape.hpp"
#include "common/file_io.hpp"
#include "json.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer = R"(Examples:
  efistore --store vars.fd reclaim)";

Outcome<ExitCode> run_reclaim(const GlobalOptions& global) {
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  auto session = Session::open(*locator, flash::OpenMode::read_write);
  if (!session) return tl::unexpected(session.error());
  runtime::Client& client = session->client();
  const auto before = client.store_info();
  if (!before) return fail_with(*locator, before.error());
  if (const auto done = client.reclaim(); !done) return fail_with(*locator, done.error());
  const auto now = client.store_info();
  if (!now) return fail_with(*locator, now.error());
  const std::uint32_t free_before = before->capacity - before->used;
  const std::uint32_t free_now = now->capacity - now->used;
  const std::uint32_t reclaimed = free_now > free_before ? free_now - free_before : 0;
  if (global.json) {
    print_json(Json{{"store", *locator}, {"reclaimed", reclaimed}, {"free", free_now}});
  } else {
    print(fmt::format("{}: {} bytes reclaimed, {} are free\n", escape(*locator, EscapeStyle::line),
                      reclaimed, free_now));
  }
  return ExitCode::success;
}

}  // namespace

void add_reclaim(CLI::App& app, Action& action) {
  auto* const command =
      app.add_subcommand("reclaim", "Compact the store: make the space of dead records free");
  command->footer(footer);
  command->callback([&action] { action = run_reclaim; });
}

}  // namespace efistore::tools
