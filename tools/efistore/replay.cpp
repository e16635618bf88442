// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "efistore/base/bytes.hpp"
#include "efistore/mm/frame.hpp"
#include "efistore/mm/protocol.hpp"

#include "command.hpp"
#include "common/capture_format.hpp"
#include "common/escape.hpp"
#include "common/file_io.hpp"
#include "common/firmware_boot.hpp"
#include "json.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer =
    R"(Makes the requests of a capture that `efistored --capture` wrote, each with the rights it was made
with, and compares the replies. A store on flash is in the phase that an operating system sees.

Examples:
  efistore --store copy.fd replay frames.pcapng)";

constexpr std::size_t max_shown_differences = 20;
constexpr std::size_t max_transports = 16;

/// The status in a frame, and what kind of frame it is.
struct Summary {
  std::string what;
  EfiStatus status = EfiStatus::success;
  bool management = false;
};

std::optional<Summary> summarize(std::span<const std::byte> frame) {
  const auto header = mm::parse_frame_header(frame);
  if (!header) return std::nullopt;
  ByteReader reader(frame.subspan(mm::header_size(header->version), header->message_size));
  Summary summary;
  if (header->protocol == mm::guids::policy_protocol) {
    reader.skip(8);
    summary.what = fmt::format("policy command {}", reader.u32());
  } else {
    summary.management = header->protocol == mm::guids::management_protocol;
    summary.what =
        fmt::format("{} function {}", summary.management ? "management" : "variable", reader.u64());
  }
  summary.status = static_cast<EfiStatus>(reader.u64());
  if (!reader.ok()) return std::nullopt;
  return summary;
}

/// What differs, in words; nothing if the replies are the same.
std::optional<std::string> difference(std::span<const std::byte> was,
                                      std::span<const std::byte> is) {
  if (equal_bytes(was, is)) return std::nullopt;
  const auto before = summarize(was);
  const auto now = summarize(is);
  if (!before || !now) return "the replies differ";
  if (before->status != now->status || before->what != now->what) {
    return fmt::format("{}: {} was answered, now {}", before->what, to_string(before->status),
                       to_string(now->status));
  }
  // What the MM side tells of itself is another one's.
  if (before->management) return std::nullopt;
  return fmt::format("{}: {} as before, with other bytes", before->what, to_string(now->status));
}

Outcome<Session> open_for_replay(const std::string& locator) {
  auto session = Session::open(locator, flash::OpenMode::read_write,
                               {.services = {.phase = variable::Phase::boot_early}});
  if (!session) return session;
  if (variable::Services* const local = session->local()) {
    if (auto booted = boot_firmware(*local); !booted) return fail_with(locator, booted.error());
  }
  return session;
}

/// Sends frames as those who sent them.
class Replayer {
 public:
  Replayer(std::string locator, Session session)
      : locator_(std::move(locator)), session_(std::move(session)) {}

  /// Begins as the daemon of another section did, without what the one before it had in memory. A
  /// daemon that makes the requests stays as it is.
  Outcome<void> begin_section() {
    if (session_->local() == nullptr) return {};
    transports_.clear();
    session_.reset();
    auto session = open_for_replay(locator_);
    if (!session) return tl::unexpected(std::move(session).error());
    session_.emplace(std::move(*session));
    return {};
  }

  Result<std::span<const std::byte>> send(const CapturedFrame& request) {
    runtime::Transport& transport = transport_for(request);
    const auto buffer = transport.buffer();
    if (request.frame.size() > buffer.size()) {
      return fail(Errc::no_space, "the frame is larger than the communicate buffer");
    }
    std::ranges::copy(request.frame, buffer.begin());
    const auto size = transport.communicate(request.frame.size());
    if (!size) return tl::unexpected(size.error());
    return std::span<const std::byte>(buffer.first(*size));
  }

 private:
  runtime::Transport& transport_for(const CapturedFrame& request) {
    mm::Dispatcher* const local = session_->local_dispatcher();
    if (local == nullptr) return session_->client().transport();
    // A capture may name as many as it likes, and each has a buffer.
    if (transports_.size() >= max_transports) transports_.clear();
    auto& transport = transports_[{request.session, request.rights}];
    if (!transport) {
      transport = runtime::make_in_process_transport(
          *local, {.rights = static_cast<mm::Rights>(request.rights), .session = request.session});
    }
    return *transport;
  }

  std::string locator_;
  std::optional<Session> session_;
  std::map<std::pair<std::uint64_t, std::uint32_t>, std::unique_ptr<runtime::Transport>>
      transports_;
};

Outcome<ExitCode> run_replay(const GlobalOptions& global, const std::string& path) {
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  const auto bytes = read_input(path, max_capture_size_bytes);
  if (!bytes) return tl::unexpected(bytes.error());
  const auto frames = parse_capture(*bytes);
  if (!frames) return fail_with(fmt::format("{}: {}", path, frames.error().message));
  auto session = open_for_replay(*locator);
  if (!session) return tl::unexpected(std::move(session).error());

  Replayer replayer(*locator, std::move(*session));
  std::size_t requests = 0;
  std::size_t section = 0;
  std::vector<std::string> differences;
  for (std::size_t i = 0; i < frames->size(); ++i) {
    const CapturedFrame& request = (*frames)[i];
    if (request.direction != FrameDirection::request) continue;
    ++requests;
    if (std::exchange(section, request.section) != request.section && requests > 1) {
      if (auto begun = replayer.begin_section(); !begun) {
        return tl::unexpected(std::move(begun).error());
      }
    }
    const auto reply = replayer.send(request);
    if (!reply) return fail_with(fmt::format("request {}: {}", requests, reply.error().message));
    // The daemon answers before it looks at the next request.
    const CapturedFrame* const was = i + 1 < frames->size() ? &(*frames)[i + 1] : nullptr;
    if (was == nullptr || was->direction != FrameDirection::reply) continue;
    if (auto differs = difference(was->frame, *reply)) {
      differences.push_back(fmt::format("request {}: {}", requests, *differs));
    }
  }
  if (global.json) {
    print_json(Json{{"requests", requests}, {"differences", differences}});
  } else {
    for (const std::string& line :
         std::span(differences).first(std::min(differences.size(), max_shown_differences))) {
      print(escape(line, EscapeStyle::line) + "\n");
    }
    print(fmt::format("{} requests, {} answered otherwise\n", requests, differences.size()));
  }
  if (differences.empty()) return ExitCode::success;
  return fail_with(fmt::format("{}: {} of {} requests are answered otherwise", path,
                               differences.size(), requests));
}

}  // namespace

void add_replay(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("replay", "Make the requests of a capture once more");
  const auto path = std::make_shared<std::string>();
  command->add_option("FILE", *path, "The capture, - for standard input")->required();
  command->footer(footer);
  command->callback([path, &action] {
    action = [path](const GlobalOptions& global) { return run_replay(global, *path); };
  });
}

}  // namespace efistore::tools
