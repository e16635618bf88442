// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <filesystem>
#include <memory>

#include "common/file_io.hpp"
#include "key_files.hpp"
#include "secureboot.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer =
    R"(A FILE is a certificate (PEM or DER), a signature list (.esl) or a signed request (.auth);
certificates and lists of several files go together. What is enrolled replaces what was there, but
for --append. In setup and audit mode no signature is needed; in user and deployed mode a request
is signed by PK, or for db, dbx, dbt and dbr by KEK: a .auth file is, and the rest is signed with
--key and --cert. --all takes db, KEK and PK from a directory that `generate` has made, in one
step; a power cut leaves all of them or none.

Examples:
  efistore --store vars.fd secureboot enroll --all keys
  efistore --store vars.fd secureboot enroll db vendor.crt --append --key KEK.key --cert KEK.crt
  efistore --store vars.fd secureboot enroll dbx DBXUpdate.bin --append)";

struct EnrollOptions {
  std::string variable;
  std::vector<std::string> files;
  std::optional<std::string> directory;
  bool append = false;
  std::optional<std::string> owner;
  SigningOptions signing;
};

/// The content for a variable, from all its files.
Outcome<KeyFile> read_key_files(const std::vector<std::string>& files, const Guid& owner) {
  KeyFile together;
  for (const std::string& path : files) {
    auto file = read_key_file(path, owner);
    if (!file) return file;
    if (!file->signed_request.empty()) {
      if (files.size() > 1) {
        return fail_with(path + ": a signed request stands alone, without further files");
      }
      return file;
    }
    together.lists.insert(together.lists.end(), file->lists.begin(), file->lists.end());
  }
  return together;
}

Outcome<ExitCode> enroll_all(const std::string& locator, const EnrollOptions& options) {
  struct Ready {
    const KeyVariable* variable;
    std::vector<std::byte> request;
  };
  std::vector<Ready> ready;
  for (const auto* name : {"db", "KEK", "PK"}) {
    const std::string path = (std::filesystem::path(*options.directory) / name).string() + ".auth";
    auto file = read_key_file(path, Guid{});
    if (!file) return tl::unexpected(file.error());
    if (file->signed_request.empty()) return fail_with(path + ": a signed request was expected");
    ready.push_back({find_key_variable(name), std::move(file->signed_request)});
  }
  auto session = open_secure_boot(locator, flash::OpenMode::read_write);
  if (!session) return tl::unexpected(session.error());
  std::vector<variable::SetRequest> requests;
  requests.reserve(ready.size());
  for (const Ready& one : ready) {
    requests.push_back({.name = one.variable->efi_name,
                        .guid = one.variable->guid,
                        .attributes = key_attributes,
                        .data = one.request});
  }
  if (const auto done = session->client().set_all(requests); !done)
    return fail_with(locator, done.error());
  return ExitCode::success;
}

Outcome<ExitCode> enroll_one(const std::string& locator, const EnrollOptions& options) {
  const KeyVariable* const variable = find_key_variable(options.variable);
  if (variable == nullptr) {
    return fail_usage(
        fmt::format("\"{}\": PK, KEK, db, dbx, dbt or dbr was expected", options.variable));
  }
  const auto owner = options.owner ? Guid::parse(*options.owner) : Guid{};
  if (!owner) return fail_usage(fmt::format("--owner: \"{}\" is no GUID", *options.owner));
  const auto signer = read_signing_pair(options.signing);
  if (!signer) return tl::unexpected(signer.error());
  const auto file = read_key_files(options.files, *owner);
  if (!file) return tl::unexpected(file.error());
  if (!file->signed_request.empty() && *signer) {
    return fail_usage("--key: " + options.files.front() + " is signed already");
  }
  auto session = open_secure_boot(locator, flash::OpenMode::read_write);
  if (!session) return tl::unexpected(session.error());
  std::vector<std::byte> request = file->signed_request;
  if (request.empty()) {
    auto made = make_request({.variable = variable,
                              .payload = file->lists,
                              .append = options.append,
                              .time = next_time(session->client(), *variable)},
                             *signer);
    if (!made) return tl::unexpected(made.error());
    request = std::move(*made);
  }
  const std::uint32_t attributes =
      key_attributes | (options.append ? attributes::append_write : 0U);
  const auto done = session->client().set_variable({.name = variable->efi_name,
                                                    .guid = variable->guid,
                                                    .attributes = attributes,
                                                    .data = request});
  if (!done) return fail_with(variable->name, done.error());
  return ExitCode::success;
}

Outcome<ExitCode> run_enroll(const GlobalOptions& global, const EnrollOptions& options) {
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  if (options.directory) {
    if (!options.variable.empty() || options.signing.key_file || options.owner) {
      return fail_usage("--all stands alone: the directory has all there is to enroll");
    }
    return enroll_all(*locator, options);
  }
  if (options.variable.empty() || options.files.empty()) {
    return fail_usage("a variable and a file are required, or --all DIR");
  }
  return enroll_one(*locator, options);
}

}  // namespace

void add_secureboot_enroll(CLI::App& parent, Action& action) {
  auto* const command = parent.add_subcommand("enroll", "Enroll keys");
  const auto options = std::make_shared<EnrollOptions>();
  command->add_option("VARIABLE", options->variable, "PK, KEK, db, dbx, dbt or dbr");
  command->add_option("FILE", options->files, "What to enroll");
  auto* const all =
      command->add_option("--all", options->directory, "Enroll the keys that `generate` made")
          ->type_name("DIR");
  auto* const append = command->add_flag("--append", options->append, "Add to what is there");
  command->add_option("--owner", options->owner, "The owner of certificates in PEM or DER")
      ->type_name("GUID");
  options->signing.add_to(*command);
  all->excludes(append);
  command->footer(footer);
  command->callback([options, &action] {
    action = [options](const GlobalOptions& global) { return run_enroll(global, *options); };
  });
}

}  // namespace efistore::tools
