// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "secureboot.hpp"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <algorithm>
#include <ctime>

#include "efistore/variable/authentication.hpp"

#include "key_files.hpp"

namespace efistore::tools {

const KeyVariable* find_key_variable(std::string_view name) noexcept {
  const auto* const found = std::ranges::find(key_variables, name, &KeyVariable::name);
  return found == key_variables.end() ? nullptr : found;
}

std::string_view to_string(variable::SecureBootMode mode) noexcept {
  switch (mode) {
    case variable::SecureBootMode::setup:
      return "setup";
    case variable::SecureBootMode::user:
      return "user";
    case variable::SecureBootMode::audit:
      return "audit";
    case variable::SecureBootMode::deployed:
      return "deployed";
  }
  return "unknown";
}

void SigningOptions::add_to(CLI::App& command) {
  auto* const key =
      command.add_option("--key", key_file, "Private key to sign with, PEM")->type_name("FILE");
  auto* const certificate =
      command.add_option("--cert", certificate_file, "The key's certificate, PEM or DER")
          ->type_name("FILE");
  key->needs(certificate);
  certificate->needs(key);
}

Outcome<std::optional<SigningPair>> read_signing_pair(const SigningOptions& options) {
  if (!options.key_file || !options.certificate_file) return std::optional<SigningPair>{};
  auto key = read_private_key(*options.key_file);
  if (!key) return tl::unexpected(key.error());
  auto certificate = read_certificate(*options.certificate_file);
  if (!certificate) return tl::unexpected(certificate.error());
  return std::optional<SigningPair>({std::move(*key), std::move(*certificate)});
}

Outcome<std::vector<std::byte>> make_request(const KeyUpdate& update,
                                             const std::optional<SigningPair>& signer) {
  if (!signer) return variable::make_authentication(update.time, {}, update.payload);
  const std::uint32_t attributes = key_attributes | (update.append ? attributes::append_write : 0U);
  const auto content = variable::signed_content(update.variable->efi_name, update.variable->guid,
                                                attributes, update.time, update.payload);
  const auto signature = crypto::sign(content, signer->key, signer->certificate);
  if (!signature) return fail_with(signature.error());
  return variable::make_authentication(update.time, *signature, update.payload);
}

EfiTime next_time(runtime::Client& client, const KeyVariable& variable) {
  const EfiTime now = EfiTime::from_unix(std::time(nullptr));
  const auto present = client.read(variable.efi_name, variable.guid);
  if (!present || now.is_later_than(present->time)) return now;
  return EfiTime::from_unix(present->time.to_unix() + 1);
}

Outcome<Session> open_secure_boot(const std::string& locator, flash::OpenMode mode,
                                  bool physically_present) {
  if (physically_present && is_remote(locator)) {
    return fail_usage(
        "--physically-present is for the flash itself: who asks a daemon is not at the machine");
  }
  auto session =
      Session::open(locator, mode, {.services = {.physically_present = physically_present}});
  if (!session) return session;
  const auto state = session->client().state();
  if (!state) return fail_with(locator, state.error());
  if (!state->authenticated) {
    return fail_with(locator + ": the store is in the normal format, which has no secure boot");
  }
  // A daemon has done so when it started.
  if (variable::Services* const local = session->local()) {
    if (auto started = local->start_secure_boot(); !started) {
      return fail_with(locator, started.error());
    }
  }
  return session;
}

void add_secureboot(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("secureboot", "Show and enroll secure-boot keys");
  command->require_subcommand(1);
  command->group("Commands");
  for (const auto add : {add_secureboot_status, add_secureboot_enroll, add_secureboot_generate,
                         add_secureboot_mode}) {
    add(*command, action);
  }
}

}  // namespace efistore::tools
