// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>
#include <sys/stat.h>

#include <CLI/App.hpp>
#include <ctime>
#include <filesystem>
#include <map>
#include <memory>
#include <random>

#include "efistore/base/bytes.hpp"
#include "efistore/variable/signature_list.hpp"

#include "common/file_io.hpp"
#include "secureboot.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer =
    R"(Makes keys of your own: for each of PK, KEK and db a private key (.key), a self-signed
certificate in PEM (.crt) and DER (.der), a signature list (.esl), and a request to enroll it (.auth)
that is signed by PK, or for db by KEK. Private keys are readable by their owner only; whoever has
them controls what boots. GUID has the owner that the lists name.

Examples:
  efistore secureboot generate keys
  efistore secureboot generate keys --name "Example Board" --type ec-p256)";

const std::map<std::string, crypto::KeyKind>& key_kinds() {
  static const std::map<std::string, crypto::KeyKind> kinds{
      {"rsa2048", crypto::KeyKind::rsa2048}, {"rsa3072", crypto::KeyKind::rsa3072},
      {"rsa4096", crypto::KeyKind::rsa4096}, {"ec-p256", crypto::KeyKind::ec_p256},
      {"ec-p384", crypto::KeyKind::ec_p384}, {"ec-p521", crypto::KeyKind::ec_p521}};
  return kinds;
}

struct GenerateOptions {
  std::string directory;
  std::string name = "efistore";
  std::string type = "rsa2048";
  unsigned days = 3650;
  std::optional<std::string> owner;
};

/// A random GUID (RFC 4122, version 4).
Guid random_guid() {
  std::random_device random;
  Guid guid;
  for (std::byte& byte : guid.bytes) byte = static_cast<std::byte>(random());
  guid.bytes[7] = (guid.bytes[7] & std::byte{0x0f}) | std::byte{0x40};
  guid.bytes[8] = (guid.bytes[8] & std::byte{0x3f}) | std::byte{0x80};
  return guid;
}

/// The new files, by name; all of them are made before the first is written.
using Files = std::vector<std::pair<std::string, std::vector<std::byte>>>;

void add_text(Files& files, std::string name, std::string_view text) {
  const auto bytes = as_bytes(text);
  files.emplace_back(std::move(name), std::vector<std::byte>(bytes.begin(), bytes.end()));
}

Outcome<Files> make_files(const GenerateOptions& options, const Guid& owner) {
  Files files;
  add_text(files, "GUID", to_string(owner) + "\n");
  const EfiTime now = EfiTime::from_unix(std::time(nullptr));
  std::optional<SigningPair> above;
  for (const auto* name : {"PK", "KEK", "db"}) {
    auto key = crypto::PrivateKey::generate(key_kinds().at(options.type));
    if (!key) return fail_with(key.error());
    auto certificate =
        crypto::make_self_signed(*key, {.common_name = fmt::format("{} {}", options.name, name),
                                        .days = options.days,
                                        .ca = true});
    if (!certificate) return fail_with("--name: " + certificate.error().message);
    const std::span<const std::byte> der = certificate->der();
    const auto list =
        variable::make_signature_list(variable::signature_types::x509, owner, std::span(&der, 1));
    const std::string stem(name);
    add_text(files, stem + ".key", key->to_pem());
    add_text(files, stem + ".crt", to_pem(*certificate));
    files.emplace_back(stem + ".der", std::vector<std::byte>(der.begin(), der.end()));
    SigningPair pair{std::move(*key), std::move(*certificate)};
    // PK signs for itself and for KEK, KEK for db.
    auto request = make_request(
        {.variable = find_key_variable(stem), .payload = list, .append = false, .time = now},
        above ? *above : pair);
    if (!request) return tl::unexpected(request.error());
    files.emplace_back(stem + ".esl", list);
    files.emplace_back(stem + ".auth", std::move(*request));
    above = std::move(pair);
  }
  return files;
}

Outcome<ExitCode> run_generate(const GenerateOptions& options) {
  const auto owner = options.owner ? Guid::parse(*options.owner) : random_guid();
  if (!owner) return fail_usage(fmt::format("--owner: \"{}\" is no GUID", *options.owner));
  const auto files = make_files(options, *owner);
  if (!files) return tl::unexpected(files.error());
  const std::filesystem::path directory(options.directory);
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return fail_with(fmt::format("{}: {}", options.directory, error.message()));
  for (const auto& [name, data] : *files) {
    if (std::filesystem::exists(std::filesystem::symlink_status(directory / name))) {
      return fail_with(fmt::format("{}: it is there already, and keys are not replaced",
                                   (directory / name).string()));
    }
  }
  const mode_t before = umask(0077);
  Outcome<void> done;
  std::vector<std::filesystem::path> made;
  for (const auto& [name, data] : *files) {
    done = create_file((directory / name).string(), data);
    if (!done) break;
    made.push_back(directory / name);
  }
  umask(before);
  if (done) return ExitCode::success;
  // Half a set is of no use, and would be in the way of the next.
  for (const auto& path : made) std::filesystem::remove(path, error);
  return tl::unexpected(done.error());
}

}  // namespace

void add_secureboot_generate(CLI::App& parent, Action& action) {
  auto* const command = parent.add_subcommand("generate", "Make keys of your own");
  const auto options = std::make_shared<GenerateOptions>();
  command->add_option("DIR", options->directory, "Where to put them")->required();
  command
      ->add_option("--name", options->name, "Common name of the certificates, before PK, KEK, db")
      ->type_name("NAME");
  std::vector<std::string> types;
  for (const auto& [type, kind] : key_kinds()) types.push_back(type);
  command
      ->add_option("--type", options->type,
                   "Kind of the keys: " + fmt::format("{}", fmt::join(types, ", ")))
      ->type_name("TYPE")
      ->check(CLI::IsMember(types));
  command->add_option("--days", options->days, "How long the certificates are valid")
      ->type_name("N")
      ->check(CLI::Range(1U, crypto::max_validity_days));
  command->add_option("--owner", options->owner, "GUID of the owner, by default a random one")
      ->type_name("GUID");
  command->footer(footer);
  command->callback([options, &action] {
    action = [options](const GlobalOptions&) { return run_generate(*options); };
  });
}

}  // namespace efistore::tools
