// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <map>

#include "efistore/base/bytes.hpp"
#include "efistore/variable/signature_list.hpp"

#include "certificate_text.hpp"
#include "common/escape.hpp"
#include "common/file_io.hpp"
#include "json.hpp"
#include "secureboot.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer = R"(Examples:
  efistore --store vars.fd secureboot status
  efistore --store mtd:uefi-vars secureboot status --json)";

std::string type_text(const Guid& type) {
  const std::string_view name = variable::signature_type_name(type);
  return name.empty() ? to_string(type) : std::string(name);
}

Json key_variable_json(const runtime::Variable& view) {
  Json json{{"size", view.data.size()}, {"time", to_string(view.time)}};
  const auto lists = variable::parse_signature_lists(view.data);
  if (!lists) {
    json["error"] = lists.error().message;
    return json;
  }
  json["signatures"] = Json::array();
  for (const variable::SignatureList& list : *lists) {
    for (const variable::Signature& signature : list.signatures) {
      Json entry{{"type", type_text(list.type)}, {"owner", to_string(signature.owner)}};
      const auto certificate = list.type == variable::signature_types::x509
                                   ? crypto::Certificate::from_der(signature.data)
                                   : fail(Errc::not_found, {});
      if (certificate) {
        entry["certificate"] = certificate_json(*certificate);
      } else {
        entry["data"] = to_hex(signature.data);
      }
      json["signatures"].push_back(std::move(entry));
    }
  }
  return json;
}

bool flag(runtime::Client& client, std::u16string_view name) {
  const auto view = client.read(name, guids::global_variable);
  return view && view->data.size() == 1 && view->data[0] != std::byte{0};
}

struct Flag {
  std::u16string_view efi_name;
  const char* name;
  const char* key;
};
constexpr std::array flags{
    Flag{u"SecureBoot", "SecureBoot", "secure_boot"},
    Flag{u"SetupMode", "SetupMode", "setup_mode"},
    Flag{u"AuditMode", "AuditMode", "audit_mode"},
    Flag{u"DeployedMode", "DeployedMode", "deployed_mode"},
    Flag{u"VendorKeys", "VendorKeys", "vendor_keys"},
};

void print_as_json(runtime::Client& client, variable::SecureBootMode mode) {
  Json json{{"mode", to_string(mode)}};
  for (const Flag& shown : flags) json[shown.key] = flag(client, shown.efi_name);
  Json& keys = json["variables"] = Json::object();
  for (const KeyVariable& variable : key_variables) {
    const auto view = client.read(variable.efi_name, variable.guid);
    keys[std::string(variable.name)] = view ? key_variable_json(*view) : Json(nullptr);
  }
  print_json(json);
}

void print_certificate(const variable::Signature& signature) {
  const auto certificate = crypto::Certificate::from_der(signature.data);
  if (!certificate) {
    print(fmt::format("  X509: {}\n", escape(certificate.error().message, EscapeStyle::line)));
    return;
  }
  print(fmt::format("  {}\n", escape(certificate->subject(), EscapeStyle::line)));
  const auto line = [](const char* key, const std::string& value) {
    print(fmt::format("    {:<8} {}\n", key, escape(value, EscapeStyle::line)));
  };
  if (certificate->issuer() != certificate->subject()) line("issuer", certificate->issuer());
  line("serial", certificate->serial());
  line("valid", fmt::format("{} to {}", date_text(certificate->not_before()),
                            date_text(certificate->not_after())));
  line("key", key_text(*certificate));
  line("sha256", to_hex(certificate->fingerprint()));
  line("owner", to_string(signature.owner));
}

void print_key_variable(const KeyVariable& variable, runtime::Client& client) {
  const auto view = client.read(variable.efi_name, variable.guid);
  if (!view) {
    print(fmt::format("{}: none\n", variable.name));
    return;
  }
  const auto lists = variable::parse_signature_lists(view->data);
  if (!lists) {
    print(fmt::format("{}: malformed: {}\n", variable.name,
                      escape(lists.error().message, EscapeStyle::line)));
    return;
  }
  std::map<std::string, std::size_t> counts;
  for (const auto& list : *lists) counts[type_text(list.type)] += list.signatures.size();
  std::string totals;
  for (const auto& [type, count] : counts) {
    totals += fmt::format("{}{} {}", totals.empty() ? "" : ", ", count, type);
  }
  print(fmt::format("{}: {}, set {}\n", variable.name, totals.empty() ? "empty" : totals,
                    to_string(view->time)));
  for (const auto& list : *lists) {
    if (list.type != variable::signature_types::x509) continue;
    for (const auto& signature : list.signatures) print_certificate(signature);
  }
}

Outcome<ExitCode> run_status(const GlobalOptions& global) {
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  auto session = open_secure_boot(*locator, flash::OpenMode::read_only);
  if (!session) return tl::unexpected(session.error());
  if (auto done = warn_of_damage(*locator, *session); !done) return tl::unexpected(done.error());
  runtime::Client& client = session->client();
  const auto state = client.state();
  if (!state) return fail_with(*locator, state.error());
  if (global.json) {
    print_as_json(client, state->secure_boot_mode);
    return ExitCode::success;
  }
  print(fmt::format("{:<13} {}\n", "mode", to_string(state->secure_boot_mode)));
  for (const Flag& shown : flags) {
    print(fmt::format("{:<13} {}\n", shown.name, flag(client, shown.efi_name) ? 1 : 0));
  }
  for (const KeyVariable& variable : key_variables) print_key_variable(variable, client);
  return ExitCode::success;
}

}  // namespace

void add_secureboot_status(CLI::App& parent, Action& action) {
  auto* const command = parent.add_subcommand("status", "Show the mode and the keys");
  command->footer(footer);
  command->callback([&action] { action = run_status; });
}

}  // namespace efistore::tools
