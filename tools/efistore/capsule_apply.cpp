// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// capsule apply: firmware onto the flash of this machine.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "efistore/update/staging.hpp"

#include "capsule.hpp"
#include "common/escape.hpp"
#include "common/file_io.hpp"
#include "firmware.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer =
    R"(Everything is checked before anything is written: signatures, versions, dependencies, room. An update
that a power loss cut is gone on with first.

Examples:
  efistore --store mtd:uefi-vars capsule apply firmware.cap
  efistore --store mtd:uefi-vars capsule apply --dry-run firmware.cap)";

struct ApplyOptions {
  std::vector<std::string> paths;
  FirmwareOptions firmware;
  bool dry_run = false;
};

std::string_view name_of(update::Event::Kind kind) noexcept {
  switch (kind) {
    case update::Event::Kind::verifying:
      return "verifying";
    case update::Event::Kind::comparing:
      return "comparing";
    case update::Event::Kind::writing:
      return "writing";
  }
  return "";
}

/// A bar for somebody who watches, lines of JSON for a program, and nothing otherwise.
class ProgressReport {
 public:
  explicit ProgressReport(bool json) : json_(json), terminal_(::isatty(STDERR_FILENO) == 1) {}

  void operator()(const update::Event& event) {
    const auto percent = static_cast<unsigned>(
        event.total_bytes == 0 ? 0 : event.done_bytes * 100 / event.total_bytes);
    // No more than a line for each percent.
    if (last_ == std::tuple(event.kind, event.payload, percent)) return;
    last_ = std::tuple(event.kind, event.payload, percent);
    if (json_) {
      const Json line{{"event", name_of(event.kind)},
                      {"payload", event.payload},
                      {"resource", event.resource->name},
                      {"done", event.done_bytes},
                      {"total", event.total_bytes}};
      print(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    } else if (terminal_) {
      constexpr unsigned width = 40;
      const unsigned filled = percent * width / 100;
      fmt::print(stderr, "\r{:<9} {} [{:#<{}}{: <{}}] {:3} %", name_of(event.kind),
                 escape(event.resource->name, EscapeStyle::line), "", filled, "", width - filled,
                 percent);
      std::fflush(stderr);
      is_open_ = true;
    }
  }
  /// Ends the bar's line.
  void end() {
    if (is_open_) fmt::print(stderr, "\n");
    is_open_ = false;
  }

 private:
  bool json_;
  bool terminal_;
  bool is_open_ = false;
  std::optional<std::tuple<update::Event::Kind, std::size_t, unsigned>> last_;
};

void print_outcome(const std::string& path, const update::UpdateOutcome& outcome, bool dry_run) {
  for (const update::PayloadOutcome& payload : outcome.payloads) {
    if (payload.resource == nullptr || payload.status != EfiStatus::success) continue;
    std::string text =
        fmt::format("{}: payload {}: {}", escape(path, EscapeStyle::line), payload.payload,
                    escape(payload.resource->name, EscapeStyle::line));
    if (payload.version) text += fmt::format(", version {:#x}", *payload.version);
    if (payload.resource->banks.size() > 1) text += fmt::format(", bank {}", payload.bank);
    text += fmt::format(": {} {} of {} blocks of {} bytes", dry_run ? "would write" : "wrote",
                        payload.blocks.count(),
                        (payload.firmware_size_bytes + payload.block_size_bytes - 1) /
                            std::max(payload.block_size_bytes, 1U),
                        payload.block_size_bytes);
    if (dry_run) {
      for (const update::BlockSet::Run& run : payload.blocks.runs()) {
        text += fmt::format("\n  bytes {:#x} to {:#x}",
                            std::uint64_t{run.first} * payload.block_size_bytes,
                            std::uint64_t{run.end()} * payload.block_size_bytes - 1);
      }
    }
    print(text + "\n");
  }
  if (outcome.reset_required && !dry_run) print("Restart to run it.\n");
}

Outcome<ExitCode> run_apply(const GlobalOptions& global, const ApplyOptions& options) {
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  auto progress = std::make_shared<ProgressReport>(global.json);
  auto firmware =
      Firmware::open(*locator, options.firmware,
                     options.dry_run ? flash::OpenMode::read_only : flash::OpenMode::read_write,
                     [progress](const update::Event& event) { (*progress)(event); });
  if (!firmware) return tl::unexpected(std::move(firmware).error());
  update::Updater& updater = (*firmware)->updater();
  for (const std::string& path : options.paths) {
    const auto source = update::FileSource::open(path);
    if (!source) return fail_with(source.error());
    const update::UpdateOutcome outcome =
        options.dry_run ? updater.plan(**source) : updater.apply(**source);
    progress->end();
    if (global.json) {
      Json line = outcome_json(outcome);
      line["capsule"] = path;
      print(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    } else {
      print_outcome(path, outcome, options.dry_run);
    }
    if (outcome.status != EfiStatus::success) {
      return fail_with(fmt::format("{}: {}: {}", path, to_string(outcome.status), outcome.reason));
    }
  }
  return ExitCode::success;
}

}  // namespace

void add_capsule_apply(CLI::App& capsule, Action& action) {
  auto* const command =
      capsule.add_subcommand("apply", "Write the firmware of capsules to this machine's flash");
  command->footer(footer);
  auto options = std::make_shared<ApplyOptions>();
  command->add_option("FILE", options->paths, "The capsules, in their order")->required();
  command->add_flag("--dry-run", options->dry_run, "Say what would be written, and write nothing");
  options->firmware.add_to(*command);
  command->callback([&action, options] {
    action = [options](const GlobalOptions& global) { return run_apply(global, *options); };
  });
}

}  // namespace efistore::tools
