// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <memory>

#include "secureboot.hpp"

namespace efistore::tools {

namespace {

using namespace literals;
using variable::SecureBootMode;
using variable::SetRequest;

constexpr const char* footer =
    R"(The modes are those of the UEFI specification, 32.3. From setup mode one comes to user mode, and
from audit to deployed mode, by enrolling a PK (`secureboot enroll`). To setup mode one comes by
deleting PK: with its --key and --cert or, as in a firmware's setup screen, by saying that one is
at the machine (--physically-present), by which one also leaves deployed mode for user mode.

Examples:
  efistore --store vars.fd secureboot mode deployed
  efistore --store vars.fd secureboot mode setup --key PK.key --cert PK.crt
  efistore --store vars.fd secureboot mode user --physically-present)";

constexpr Guid custom_mode_guid = "c076ec0c-7028-4399-a072-71ee5c448b9f"_guid;
constexpr std::uint32_t mode_attributes =
    attributes::bootservice_access | attributes::runtime_access;
constexpr std::uint32_t custom_mode_attributes =
    attributes::non_volatile | attributes::bootservice_access;

struct ModeOptions {
  std::string mode;
  bool physically_present = false;
  SigningOptions signing;
};

constexpr std::byte zero{0};
constexpr std::byte one{1};

SetRequest mode_request(std::u16string_view name, const std::byte& value) {
  return {.name = name,
          .guid = guids::global_variable,
          .attributes = mode_attributes,
          .data = std::span(&value, 1)};
}

variable::EfiResult<void> delete_platform_key(runtime::Client& client,
                                              std::span<const std::byte> request, bool custom) {
  const auto custom_mode = [](const std::byte& value) {
    return SetRequest{.name = u"CustomMode",
                      .guid = custom_mode_guid,
                      .attributes = custom_mode_attributes,
                      .data = std::span(&value, 1)};
  };
  const SetRequest deletion{
      .name = u"PK", .guid = guids::global_variable, .attributes = key_attributes, .data = request};
  if (!custom) return client.set_variable(deletion);
  return client.set_all(std::array{custom_mode(one), deletion, custom_mode(zero)});
}

Outcome<ExitCode> enter_setup_mode(runtime::Client& client, const ModeOptions& options,
                                   const std::optional<SigningPair>& signer) {
  const KeyVariable& platform_key = *find_key_variable("PK");
  if (!signer && !options.physically_present) {
    return fail_usage("setup mode needs PK's --key and --cert, or --physically-present");
  }
  const auto state = client.state();
  if (!state) return fail_with("PK", state.error());
  if (state->secure_boot_mode == SecureBootMode::audit) {
    return fail_with("audit mode ends with a platform key: enroll one");
  }
  const auto request = make_request(
      {.variable = &platform_key, .payload = {}, .time = next_time(client, platform_key)}, signer);
  if (!request) return tl::unexpected(request.error());
  const auto done = delete_platform_key(client, *request, !signer);
  if (!done) return fail_with("PK", done.error());
  return ExitCode::success;
}

Outcome<ExitCode> change_mode(runtime::Client& client, const ModeOptions& options,
                              const std::optional<SigningPair>& signer) {
  const auto state = client.state();
  if (!state) return fail_with("the mode", state.error());
  const SecureBootMode now = state->secure_boot_mode;
  if (to_string(now) == options.mode) return ExitCode::success;
  if (options.mode == "setup") return enter_setup_mode(client, options, signer);
  variable::EfiResult<void> done;
  if (options.mode == "audit") {
    done = client.set_variable(mode_request(u"AuditMode", one));
  } else if (options.mode == "deployed") {
    done = client.set_variable(mode_request(u"DeployedMode", one));
  } else if (now == SecureBootMode::deployed) {
    done = client.set_variable(mode_request(u"DeployedMode", zero));
  } else {
    return fail_with(
        fmt::format("from {} mode to user mode leads a platform key: enroll one", to_string(now)));
  }
  if (!done) {
    return fail_with(fmt::format("from {} to {} mode", to_string(now), options.mode), done.error());
  }
  return ExitCode::success;
}

Outcome<ExitCode> run_mode(const GlobalOptions& global, const ModeOptions& options) {
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  const auto signer = read_signing_pair(options.signing);
  if (!signer) return tl::unexpected(signer.error());
  auto session =
      open_secure_boot(*locator, flash::OpenMode::read_write, options.physically_present);
  if (!session) return tl::unexpected(session.error());
  return change_mode(session->client(), options, *signer);
}

}  // namespace

void add_secureboot_mode(CLI::App& parent, Action& action) {
  auto* const command = parent.add_subcommand("mode", "Change the secure-boot mode");
  const auto options = std::make_shared<ModeOptions>();
  command->add_option("MODE", options->mode, "setup, user, audit or deployed")
      ->required()
      ->check(CLI::IsMember({"setup", "user", "audit", "deployed"}));
  command->add_flag("--physically-present", options->physically_present,
                    "Whoever runs this is at the machine");
  options->signing.add_to(*command);
  command->footer(footer);
  command->callback([options, &action] {
    action = [options](const GlobalOptions& global) { return run_mode(global, *options); };
  });
}

}  // namespace efistore::tools
