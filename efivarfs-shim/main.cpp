// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// efivarfs-shim: a variable store as a file system.
#include <fmt/format.h>
#include <syslog.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "efistore/store/variable_store.hpp"
#include "efistore/variable/limits.hpp"
#include "efistore/variable/services.hpp"
#include "efistore/variable/write_budget.hpp"

#include "common/escape.hpp"
#include "common/firmware_boot.hpp"
#include "common/locator.hpp"
#include "common/outcome.hpp"
#include "common/policies.hpp"
#include "common/session.hpp"
#include "file_system.hpp"
#include "fuse_operations.hpp"
#include "loop_signals.hpp"
#include "mount_point.hpp"
#include "mounted_session.hpp"
#include "options.hpp"
#include "privileges.hpp"

namespace efistore::shim {
namespace {

constexpr const char* program_name = "efivarfs-shim";
constexpr std::uint32_t default_idle_s = 30;
/// How long a request waits for a daemon that is being restarted.
constexpr std::chrono::seconds daemon_patience{10};

/// One line on standard error.
void complain(std::string_view message) {
  tools::print_message(program_name, message);
}

/// Where messages go: standard error until the program leaves it for the background, then the
/// system's log.
struct Log {
  const std::string& store;
  bool in_background = false;

  void error(const std::string& message) const {
    if (in_background) {
      const std::string line = tools::escape(store + ": " + message, tools::EscapeStyle::line);
      ::syslog(LOG_ERR, "%s", line.c_str());
    } else {
      complain(message);
    }
  }
};

timespec current_time() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

/// As the command says it, and what a mount can do besides.
tl::unexpected<Error> store_error(const std::string& store, Error error) {
  error.message = tools::describe_open_error(store, error);
  if (error.code == Errc::permission) error.message += "; -o ro mounts what can only be read";
  return tl::unexpected<Error>(std::move(error));
}

/// A store with the policies that are kept beside it.
struct OpenedStore {
  store::VariableStore store;
  std::vector<variable::Policy> policies;
};

/// Where the policies cannot be had the store is opened for reading only, with a message.
Result<OpenedStore> open_store(const Options& options) {
  const auto mode = options.read_only ? flash::OpenMode::read_only : flash::OpenMode::read_write;
  auto device = tools::open_locator(options.store, mode);
  if (!device) return store_error(options.store, std::move(device).error());
  bool read_only = options.read_only;
  std::vector<variable::Policy> policies;
  if (!read_only) {
    auto kept = tools::policies_of(options.store, **device);
    if (kept) {
      policies = std::move(*kept);
    } else {
      read_only = true;
      complain(
          fmt::format("{} is mounted for reading only: {}", options.store, kept.error().message));
    }
  }
  auto opened = store::VariableStore::open(std::move(*device), {.read_only = read_only});
  if (!opened) return store_error(options.store, std::move(opened).error());
  return OpenedStore{.store = std::move(*opened), .policies = std::move(policies)};
}

Result<variable::Services> create_services(OpenedStore opened, const Options& options) {
  auto limits = variable::Limits::for_layout(opened.store.layout());
  if (options.hardware_error_storage_bytes) {
    limits.hardware_error_storage_size = *options.hardware_error_storage_bytes;
  }
  if (options.max_variable_size_bytes) {
    limits.max_variable_size = *options.max_variable_size_bytes;
    limits.max_authenticated_size = *options.max_variable_size_bytes;
  }
  return variable::Services::create(std::move(opened.store),
                                    {.limits = limits,
                                     .phase = variable::Phase::boot_early,
                                     .strict_runtime = options.strict_runtime,
                                     .policies = std::move(opened.policies)});
}

std::optional<BudgetPolicy> budget_policy(const Options& options) {
  const std::uint32_t hourly = options.budget_bytes_per_hour.value_or(0);
  auto budget = variable::WriteBudget::create(
      {.bytes_per_hour = hourly, .burst_bytes = options.burst_bytes.value_or(hourly)});
  if (!budget) return std::nullopt;  // 0, which asks for none
  return BudgetPolicy{std::move(*budget), std::chrono::steady_clock::now};
}

std::vector<std::string> mount_options(const Options& options, bool read_only) {
  std::vector<std::string> all = options.mount_options;
  if (!options.has_mount_option("fsname")) {
    all.push_back("fsname=" + escape_mount_option(options.store));
  }
  // Everybody may read the kernel's efivarfs; somebody who is not root may not offer that.
  if (::geteuid() == 0 && !options.has_mount_option("allow_other")) all.emplace_back("allow_other");
  if (read_only) all.emplace_back("ro");
  // The last word, also after mount(8)'s "dev,suid".
  for (const char* always : {"default_permissions", "nosuid", "nodev", "noexec"}) {
    all.emplace_back(always);
  }
  all.push_back(fmt::format("subtype={}", file_system_subtype));
  return all;
}

tl::unexpected<EarlyExit> failure(Error error) {
  return tl::unexpected(EarlyExit{ExitCode::failure, std::move(error.message)});
}

/// Whose variables are mounted: those of services in this process, or a daemon's.
struct Source {
  std::optional<variable::Services> services{};
  std::optional<runtime::Client> client{};
  bool read_only = false;
};

tl::expected<Source, EarlyExit> open_local(const Options& options) {
  auto opened = open_store(options);
  if (!opened) return failure(std::move(opened).error());
  const bool damaged = opened->store.report().damaged;
  const bool read_only = opened->store.read_only() || damaged;
  if (const std::string& why = opened->store.report().not_written_because; !why.empty()) {
    complain(fmt::format("{} is mounted for reading only: {}", options.store, why));
  }
  if (damaged && !options.read_only) {
    complain(
        fmt::format("{} is damaged and mounted for reading only; `efistore check` has the "
                    "details",
                    options.store));
  }
  auto services = create_services(std::move(*opened), options);
  if (!services) return failure(store_error(options.store, std::move(services).error()).value());
  return Source{.services = std::move(*services), .read_only = read_only};
}

/// The same store also after the program has left its folder, when it connects again.
std::string lasting_locator(const std::string& locator) {
  constexpr std::string_view prefix = "unix:";
  if (!locator.starts_with(prefix)) return locator;
  std::error_code error;
  const auto path = std::filesystem::absolute(locator.substr(prefix.size()), error);
  return error ? locator : std::string(prefix) + path.string();
}

tl::expected<Source, EarlyExit> open_remote(const Options& options) {
  for (const auto& [given, name] :
       {std::pair{options.strict_runtime, "strict_runtime"},
        std::pair{options.max_variable_size_bytes.has_value(), "max_variable_size"},
        std::pair{options.hardware_error_storage_bytes.has_value(), "hardware_error_storage"},
        std::pair{options.idle_seconds.has_value(), "idle"},
        std::pair{options.budget_bytes_per_hour.has_value(), "budget"}}) {
    if (!given) continue;
    return tl::unexpected(EarlyExit{
        ExitCode::usage,
        fmt::format("-o {}: {} is a daemon's, which decides that itself", name, options.store)});
  }
  auto transport = tools::connect_to(lasting_locator(options.store), daemon_patience);
  if (!transport) return tl::unexpected(EarlyExit{ExitCode::failure, transport.error().message});
  auto client = runtime::Client::create(std::move(*transport));
  if (!client) return failure(store_error(options.store, std::move(client).error()).value());
  const auto state = client->state();
  if (!state) return failure({Errc::io, options.store + ": " + state.error().reason});
  const bool may_write = includes(state->rights, mm::Rights::write);
  if (!may_write && !options.read_only) {
    complain(fmt::format("{} is mounted for reading only: the daemon lets you read, and no more",
                         options.store));
  }
  return Source{.client = std::move(*client), .read_only = options.read_only || !may_write};
}

tl::expected<void, EarlyExit> run(const Options& options, Log& log) {
  // Before anything is mounted, so that no signal can leave a mount behind.
  if (auto done = block_end_signals(); !done) return failure(std::move(done).error());
  std::signal(SIGPIPE, SIG_IGN);

  // The store comes first: who does not get it must not touch the mount point of who has it.
  const bool remote = tools::is_remote(options.store);
  auto source = remote ? open_remote(options) : open_local(options);
  if (!source) return tl::unexpected(std::move(source).error());

  // Before the store is written to: a mount that cannot be is not a boot.
  auto mount_point = prepare_mount_point(options.mount_point, options.replace);
  if (!mount_point) return failure(std::move(mount_point).error());
  std::unique_ptr<VariableAccess> variables;
  if (remote) {
    variables = make_remote_access(std::move(*source->client));
  } else {
    if (const auto booted = tools::boot_firmware(*source->services); !booted) {
      complain(fmt::format("{}: what firmware sets at boot is out of date: {}: {}", options.store,
                           to_string(booted.status()), booted.error().reason));
    }
    variables = make_local_access(std::move(*source->services), budget_policy(options));
  }

  FileSystemOptions file_options;
  file_options.uid = options.uid.value_or(::geteuid());
  file_options.gid = options.gid.value_or(::getegid());
  if (options.reserve_bytes) file_options.reserve_bytes = *options.reserve_bytes;
  file_options.clock = current_time;
  file_options.on_device_error = [&log](const std::string& reason) { log.error(reason); };
  FileSystem files(std::move(variables), std::move(file_options));
  if (files.unlisted() > 0) {
    complain(fmt::format("{}: {} variables have names that no file can have, and are left out",
                         options.store, files.unlisted()));
  }

  auto session =
      MountedSession::mount(files, {.mount_point = *mount_point,
                                    .mount_options = mount_options(options, source->read_only),
                                    .debug = options.debug});
  if (!session) {
    const bool usage = session.error().code == Errc::invalid_argument;
    return tl::unexpected(
        EarlyExit{usage ? ExitCode::usage : ExitCode::failure, std::move(session).error().message});
  }
  // The parent leaves here with success: the mount is up, and requests wait for the child.
  if (fuse_daemonize(options.foreground ? 1 : 0) != 0) {
    return failure({Errc::io, "cannot go to the background"});
  }
  log.in_background = !options.foreground;
  if (auto done = drop_privileges(); !done) return failure(std::move(done).error());
  const std::chrono::seconds idle(
      source->read_only || remote ? 0 : options.idle_seconds.value_or(default_idle_s));
  if (auto done = session->serve(idle, remote); !done) return failure(std::move(done).error());
  return {};
}

int main_program(int argc, char** argv) {
  const auto options = parse_command_line(argc, argv, std::getenv("EFISTORE"));
  if (!options) {
    const EarlyExit& leave = options.error();
    if (leave.code == ExitCode::success) {
      fmt::print("{}", leave.text);
    } else {
      complain(leave.text);
    }
    return static_cast<int>(leave.code);
  }
  ::openlog(program_name, LOG_PID, LOG_DAEMON);
  Log log{options->store};
  const auto done = run(*options, log);
  if (done) return static_cast<int>(ExitCode::success);
  log.error(done.error().text);
  return static_cast<int>(done.error().code);
}

}  // namespace
}  // namespace efistore::shim

int main(int argc, char** argv) {
  try {
    return efistore::shim::main_program(argc, argv);
  } catch (const std::exception& error) {  // out of memory, in effect
    std::fprintf(stderr, "efivarfs-shim: %s\n", error.what());
    return static_cast<int>(efistore::shim::ExitCode::failure);
  }
}
