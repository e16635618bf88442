// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>

#include <CLI/App.hpp>
#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <set>

#include "efistore/base/attributes.hpp"
#include "efistore/base/unique_fd.hpp"

#include "command.hpp"
#include "common/escape.hpp"
#include "common/file_io.hpp"
#include "json.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer =
    R"(One line for each variable that has changed, as it is now. Ends on SIGINT and SIGTERM, and fails
when the daemon ends. Several changes of a variable in a short time can be one line.

Examples:
  efistore --store unix:/run/efistore/efistored.sock watch
  efistore --json watch --count 1)";

struct WatchOptions {
  std::uint64_t count = 0;  ///< lines after which to end; 0: never
};

Outcome<void> show_change(const variable::VariableId& id, runtime::Client& client, bool json) {
  const auto now = client.read(id.name, id.guid);
  if (!now && now.status() != EfiStatus::not_found) {
    return fail_with(variable::to_string(id), now.error());
  }
  if (json) {
    const runtime::Variable none;
    Json line = variable_json(view_of(id, now ? *now : none));
    line["deleted"] = !now;
    print(line.dump() + "\n");
  } else {
    const std::string name = escape(variable::to_string(id), EscapeStyle::line);
    print(now ? fmt::format("set     {:<12} {:>7}  {}\n", attributes_to_string(now->attributes),
                            now->data.size(), name)
              : fmt::format("deleted {:<12} {:>7}  {}\n", "-", "-", name));
  }
  return {};
}

/// Prints what changed since `latest`, which it takes on; gives the lines.
Outcome<std::uint64_t> show_changes(runtime::Client& client, std::uint64_t& latest, bool json) {
  auto changes = client.changes(latest);
  if (!changes) return fail_with("changes", changes.error());
  latest = changes->latest;
  if (changes->lost) print_message(program_name, "warning: more changed than is remembered");
  // Of several changes what counts is the last.
  const std::set<variable::VariableId> ids(changes->ids.begin(), changes->ids.end());
  for (const variable::VariableId& id : ids) {
    if (auto shown = show_change(id, client, json); !shown) return tl::unexpected(shown.error());
  }
  if (auto flushed = flush_output(); !flushed) return tl::unexpected(flushed.error());
  return ids.size();
}

Outcome<ExitCode> run_watch(const GlobalOptions& global, const WatchOptions& options) {
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  if (!is_remote(*locator)) {
    return fail_with(*locator +
                     ": changes can be watched where a daemon makes them: unix:PATH or "
                     "/dev/efistore");
  }
  auto session = Session::open(*locator, flash::OpenMode::read_only);
  if (!session) return tl::unexpected(session.error());
  // Before the state is asked for, so that nothing falls in between.
  auto watch = session->client().transport().watch();
  if (!watch) return fail_with(watch.error());
  const auto state = session->client().state();
  if (!state) return fail_with(*locator, state.error());
  std::uint64_t latest = state->changes;

  sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGINT);
  ::sigaddset(&ends, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &ends, nullptr);
  const UniqueFd signals(::signalfd(-1, &ends, SFD_CLOEXEC));
  for (std::uint64_t shown = 0; options.count == 0 || shown < options.count;) {
    std::array<pollfd, 2> waiting{
        {{.fd = (*watch)->fd(), .events = (*watch)->events(), .revents = 0},
         {.fd = signals.get(), .events = POLLIN, .revents = 0}}};
    if (::poll(waiting.data(), waiting.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return fail_with("poll failed");
    }
    if (waiting[1].revents != 0) return ExitCode::success;
    if (auto taken = (*watch)->acknowledge(); !taken) return fail_with(taken.error());
    const auto lines = show_changes(session->client(), latest, global.json);
    if (!lines) return tl::unexpected(lines.error());
    shown += *lines;
  }
  return ExitCode::success;
}

}  // namespace

void add_watch(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("watch", "Show changes as they are made");
  const auto options = std::make_shared<WatchOptions>();
  command->add_option("--count", options->count, "End after so many lines")->type_name("N");
  command->footer(footer);
  command->callback([options, &action] {
    action = [options](const GlobalOptions& global) { return run_watch(global, *options); };
  });
}

}  // namespace efistore::tools
