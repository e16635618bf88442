// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// efistored: the MM side as a daemon.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "backing.hpp"
#include "capsule_spool.hpp"
#include "common/locator.hpp"
#include "common/outcome.hpp"
#include "common/policies.hpp"
#include "config_reader.hpp"
#include "options.hpp"
#include "sandbox.hpp"
#include "server.hpp"
#include "service_manager.hpp"
#include "socket.hpp"
#include "user_budget.hpp"

namespace efistore::daemon {
namespace {

using tools::ExitCode;

void complain(const std::string& message) {
  tools::print_message("efistored", message);
}

/// The socket file that was made here goes if the start fails. A daemon that serves leaves it, as
/// one that is confined cannot remove it; the next one does. That of the service manager stays.
class SocketFile {
 public:
  SocketFile() = default;
  explicit SocketFile(std::string path) : path_(std::move(path)) {}
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;
  SocketFile(SocketFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  SocketFile& operator=(SocketFile&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~SocketFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }

  void keep() noexcept { path_.clear(); }

 private:
  std::string path_;
};

struct Listening {
  UniqueFd fd{};
  SocketFile file{};
};

Result<Listening> listen(const Options& options) {
  auto passed = take_listening_socket();
  if (!passed) return forward(std::move(passed));
  if (*passed) return Listening{.fd = std::move(**passed)};
  const std::string path = options.socket.value_or(std::string(tools::daemon_socket));
  auto fd = listen_at(path);
  if (!fd) return forward(std::move(fd));
  return Listening{.fd = std::move(*fd), .file = SocketFile(path)};
}

Result<Confinement> confinement_of(const Options& options, const Backing& backing) {
  Confinement confinement;
  if (options.user) {
    auto user = find_user(*options.user);
    if (!user) return forward(std::move(user));
    confinement.user = std::move(*user);
  }
  confinement.writable.push_back(backing.folder());
  if (options.capsule_folder) confinement.writable.emplace_back(*options.capsule_folder);
  confinement.readable.emplace_back(tools::boot_id_file);
  return confinement;
}

/// Takes from the configuration what it may have become, the permissions; the rest needs a restart.
class Reload {
 public:
  Reload(ConfigReader reader, uid_t own) : reader_(std::move(reader)), own_(own) {}

  void operator()(Server& server) {
    if (asked_) {  // the answer may be that of before the last change
      again_ = true;
      return;
    }
    auto done = reader_.ask();
    if (done) done = server.when_readable(reader_.fd(), [this, &server] { take(server); });
    if (!done) {
      refused(done.error().message);
    } else {
      asked_ = true;
    }
  }

 private:
  void take(Server& server) {
    asked_ = false;
    const auto permissions = reader_.take();
    if (!permissions) {
      refused(permissions.error().message);
    } else {
      server.set_permissions(PermissionTable(*permissions, own_));
    }
    if (std::exchange(again_, false)) (*this)(server);
  }
  static void refused(const std::string& why) {
    complain("the configuration is left as it was: " + why);
  }

  ConfigReader reader_;
  uid_t own_;
  bool asked_ = false;
  bool again_ = false;
};

/// The process that reads the configuration once more, where there is one.
Result<std::optional<ConfigReader>> start_reader(const Options& options, int argc,
                                                 const char* const* argv) {
  if (!options.config) return std::nullopt;
  auto reader = ConfigReader::start([argc, argv]() -> tools::Outcome<std::vector<Permission>> {
    const auto read = parse_command_line(argc, argv);
    if (!read) return tl::unexpected(tools::Failure{read.error().code, read.error().text});
    return read->permissions;
  });
  if (!reader) return forward(std::move(reader));
  return std::optional(std::move(*reader));
}

/// On a machine that has an ESRT of its firmware's, and on one that shows none, nothing is missed.
void show_resources(ModuleNode& node, const Backing& backing) {
  if (!backing.esrt()) {
    complain("no ESRT: " + backing.esrt().error().message);
    return;
  }
  if (backing.esrt()->empty()) return;
  const Status shown = node.show_esrt(*backing.esrt());
  if (shown || shown.error().code == Errc::already_exists ||
      shown.error().code == Errc::unsupported) {
    return;
  }
  complain("no ESRT: " + shown.error().message);
}

std::optional<UserBudget> budget_of(const Options& options, uid_t own) {
  auto budget = variable::WriteBudget::create(
      {.bytes_per_hour = options.budget_bytes_per_hour,
       .burst_bytes = options.burst_bytes.value_or(options.budget_bytes_per_hour),
       .own_debts = true});
  if (!budget) return std::nullopt;  // 0, which asks for none
  return UserBudget(std::move(*budget), std::chrono::steady_clock::now, own);
}

Status serve(mm::Dispatcher& dispatcher, Server& server, Backing& backing,
             const ServiceManager& manager) {
  auto recovering = backing.start_recovery();
  if (!recovering) return forward(std::move(recovering));
  Status recovered;
  auto awaited = server.when_readable(*recovering, [&] {
    auto remark = backing.finish_recovery();
    if (!remark) {
      recovered = forward(std::move(remark));
      server.stop();
      return;
    }
    if (!remark->empty()) complain(*remark);
    dispatcher.serve_with(backing.services(), true);
    server.announce_readiness();
    manager.tell("STATUS=Reads and writes.");
  });
  if (!awaited) return awaited;
  server.announce_readiness();
  manager.tell("READY=1\nSTATUS=Reads; the flash is being recovered.");
  auto done = server.run();
  manager.tell("STOPPING=1");
  return done ? recovered : done;
}

/// Of which no daemon before this one was near.
std::uint64_t random_number() {
  std::random_device source;
  return (std::uint64_t{source()} << 31) | 1;
}

Status run(const Options& options, int argc, const char* const* argv) {
  std::signal(SIGPIPE, SIG_IGN);
  // Before anything is open that it could keep.
  auto reader = start_reader(options, argc, argv);
  if (!reader) return forward(std::move(reader));
  std::vector<variable::Policy> policies;
  for (const std::string& file : options.policy_files) {
    auto entries = read_policy_entries(file);
    if (!entries) return fail(Errc::invalid_argument, entries.error().message);
    std::ranges::move(*entries, std::back_inserter(policies));
  }
  auto resources = options.kmod ? update::load_resources(options.firmware_folder)
                                : std::vector<update::Resource>();
  if (!resources) return forward(std::move(resources));
  auto backing =
      Backing::open({.store = options.store,
                     .read_only = options.read_only,
                     .boot_phase = options.boot_phase,
                     .max_variable_size_bytes = options.max_variable_size_bytes,
                     .hardware_error_storage_bytes = options.hardware_error_storage_bytes,
                     .policies = std::move(policies),
                     .resources = std::move(*resources)});
  if (!backing) {
    return fail(backing.error().code, tools::describe_open_error(options.store, backing.error()));
  }
  std::optional<CapsuleSpool> capsules;
  if (options.capsule_folder) {
    auto spool = CapsuleSpool::open(*options.capsule_folder);
    if (!spool) return forward(std::move(spool));
    capsules.emplace(std::move(*spool));
  }
  uid_t own = ::geteuid();
  if (options.user) {
    const auto user = find_user(*options.user);
    if (!user) return fail(user.error().code, user.error().message);
    own = user->uid;
  }
  auto budget = budget_of(options, own);
  mm::Dispatcher dispatcher((*backing)->services(), {.capsules = capsules ? &*capsules : nullptr,
                                                     .policies = backing->get(),
                                                     .limiter = budget ? &*budget : nullptr,
                                                     .first_change = random_number()});
  dispatcher.serve_with((*backing)->services(), false);

  ServerOptions server_options{.permissions = PermissionTable(options.permissions, own),
                               .idle = std::chrono::seconds(options.idle_seconds),
                               .watchdog = watchdog_interval()};
  // Before anybody waits: a large one takes long to read.
  if (options.capture) {
    auto capture = Capture::open(*options.capture);
    if (!capture) return forward(std::move(capture));
    server_options.capture.emplace(std::move(*capture));
  }
  auto listening = listen(options);
  if (!listening) return forward(std::move(listening));
  server_options.listener = std::move(listening->fd);
  if (options.kmod) {
    auto node = ModuleNode::open(options.module_node);
    if (!node) return forward(std::move(node));
    show_resources(*node, **backing);
    server_options.module.emplace(std::move(*node));
  }
  auto confinement = confinement_of(options, **backing);
  if (!confinement) return forward(std::move(confinement));

  std::optional<Reload> reload;
  if (*reader) reload.emplace(std::move(**reader), own);
  const auto manager = ServiceManager::connect();
  Server* serving = nullptr;
  auto server = Server::create(
      dispatcher, std::move(server_options),
      {.on_reload =
           [&] {
             if (reload) (*reload)(*serving);
           },
       .on_idle = [&] { static_cast<void>((*backing)->services().reclaim_when_idle()); },
       .on_watchdog = [&] { manager.tell("WATCHDOG=1"); },
       .complain = complain});
  if (!server) return forward(std::move(server));
  serving = server->get();
  if (auto confined = confine(*confinement); !confined) return confined;
  listening->file.keep();
  return serve(dispatcher, **server, **backing, manager);
}

int main_program(int argc, const char* const* argv) {
  const auto options = parse_command_line(argc, argv);
  if (!options) {
    const EarlyExit& leave = options.error();
    if (leave.code == ExitCode::success) {
      fmt::print("{}", leave.text);
    } else {
      complain(leave.text);
    }
    return static_cast<int>(leave.code);
  }
  const auto done = run(*options, argc, argv);
  if (done) return static_cast<int>(ExitCode::success);
  complain(done.error().message);
  return static_cast<int>(ExitCode::failure);
}

}  // namespace
}  // namespace efistore::daemon

int main(int argc, char** argv) {
  try {
    return efistore::daemon::main_program(argc, argv);
  } catch (const std::exception& error) {  // out of memory, in effect
    std::fprintf(stderr, "efistored: %s\n", error.what());
    return static_cast<int>(efistore::tools::ExitCode::failure);
  }
}
