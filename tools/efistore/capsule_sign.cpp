// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// capsule sign: signs the payloads of a capsule.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <map>
#include <memory>
#include <vector>

#include "efistore/capsule/build.hpp"
#include "efistore/crypto/signed_data.hpp"

#include "capsule.hpp"
#include "key_files.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer =
    R"(Signed are a payload's dependency, version and firmware, and the monotonic count; not its type,
index and vendor code, and no driver. A signature that is there is replaced. KEY is a file in PEM or a
URI "pkcs11:...", for which OpenSSL needs its provider "pkcs11".

Examples:
  efistore capsule sign new.cap -o signed.cap --key leaf.key --cert leaf.crt --chain ca.crt
  efistore capsule sign new.cap -o signed.cap --key "pkcs11:object=leaf" --cert leaf.crt
  efistore capsule sign new.cap -o new.cap --force --key leaf.key --cert leaf.crt --payload 0)";

const std::map<std::string, crypto::DigestKind>& digest_kinds() {
  static const std::map<std::string, crypto::DigestKind> kinds{
      {"sha256", crypto::DigestKind::sha256},
      {"sha384", crypto::DigestKind::sha384},
      {"sha512", crypto::DigestKind::sha512}};
  return kinds;
}

struct SignCapsuleOptions {
  std::string path;
  CapsuleOutput output;
  std::string key;
  std::string certificate_file;
  std::vector<std::string> chain_files;
  std::optional<std::string> monotonic_count;
  std::string digest = "sha256";
  std::vector<std::string> payloads;
};

struct Signer {
  crypto::PrivateKey key;
  crypto::Certificate certificate;
  std::vector<crypto::Certificate> chain;
};

Outcome<Signer> read_signer(const SignCapsuleOptions& options) {
  auto certificate = read_certificate(options.certificate_file);
  if (!certificate) return tl::unexpected(certificate.error());
  std::vector<crypto::Certificate> chain;
  for (const std::string& path : options.chain_files) {
    const auto certificates = read_certificates(path);
    if (!certificates) return tl::unexpected(certificates.error());
    chain.insert(chain.end(), certificates->begin(), certificates->end());
  }
  auto key = find_private_key(options.key);
  if (!key) return tl::unexpected(key.error());
  return Signer{std::move(*key), std::move(*certificate), std::move(chain)};
}

/// Which of `count` payloads are to be signed.
Outcome<std::vector<bool>> chosen_payloads(const SignCapsuleOptions& options, std::size_t count) {
  if (options.payloads.empty()) return std::vector<bool>(count, true);
  std::vector<bool> chosen(count);
  for (const std::string& text : options.payloads) {
    const auto index = parse_number({.option = "--payload", .text = text, .most = count - 1});
    if (!index) return tl::unexpected(index.error());
    chosen[*index] = true;
  }
  return chosen;
}

Outcome<void> sign_payload(capsule::PayloadContents& payload, const Signer& signer,
                           const SignCapsuleOptions& options) {
  std::uint64_t count = payload.signature ? payload.signature->monotonic_count : 0;
  if (options.monotonic_count) {
    const auto given =
        parse_number({.option = "--monotonic-count", .text = *options.monotonic_count});
    if (!given) return tl::unexpected(given.error());
    count = *given;
  }
  const auto content = capsule::signed_content(payload.body, count);
  auto der = crypto::sign(
      content, signer.key, signer.certificate,
      {.chain = signer.chain, .digest = digest_kinds().at(options.digest), .content_info = true});
  if (!der) return fail_with("--key: " + der.error().message);
  // A token may give anything.
  const auto made = crypto::SignedData::parse(*der);
  const Status verified =
      made ? made->verify_by(content, signer.certificate) : tl::unexpected(made.error());
  if (!verified) {
    return fail_with("the signature that was made is not one: " + verified.error().message);
  }
  payload.signature = {.monotonic_count = count, .der = *std::move(der)};
  // Versions below 3 have no such bits.
  if (payload.header_version >= 3) payload.support |= capsule::image_support::authentication;
  return {};
}

Outcome<ExitCode> run_sign(const SignCapsuleOptions& options) {
  const auto file = CapsuleFile::read(options.path);
  if (!file) return tl::unexpected(file.error());
  auto contents = capsule::contents_of(file->source(), file->capsule());
  if (!contents) {
    return fail_with(fmt::format("{}: {}", file->path(), contents.error().message));
  }
  if (contents->payloads.empty()) {
    return fail_with(fmt::format("{}: there is no payload to sign", file->path()));
  }
  const auto chosen = chosen_payloads(options, contents->payloads.size());
  if (!chosen) return tl::unexpected(chosen.error());
  const auto signer = read_signer(options);
  if (!signer) return tl::unexpected(signer.error());
  for (std::size_t i = 0; i < contents->payloads.size(); ++i) {
    if (!(*chosen)[i]) continue;
    if (auto done = sign_payload(contents->payloads[i], *signer, options); !done) {
      return tl::unexpected(done.error());
    }
  }
  const auto bytes = capsule::encode(*contents);
  if (!bytes) return fail_with(fmt::format("{}: {}", file->path(), bytes.error().message));
  if (auto written = options.output.write(*bytes); !written) {
    return tl::unexpected(written.error());
  }
  return ExitCode::success;
}

}  // namespace

void add_capsule_sign(CLI::App& parent, Action& action) {
  auto* const command = parent.add_subcommand("sign", "Sign the payloads of a capsule");
  const auto options = std::make_shared<SignCapsuleOptions>();
  command->add_option("FILE", options->path, "The capsule, - for standard input")->required();
  options->output.add_to(*command);
  command->add_option("--key", options->key, "The signer's private key: a file, or a pkcs11: URI")
      ->type_name("KEY")
      ->required();
  command
      ->add_option("--cert,--certificate", options->certificate_file,
                   "The signer's certificate, PEM or DER")
      ->type_name("FILE")
      ->required();
  command
      ->add_option("--chain", options->chain_files,
                   "Certificates between the signer and who is trusted, PEM or DER")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command
      ->add_option("--monotonic-count", options->monotonic_count,
                   "By default what the payload has, or 0")
      ->type_name("N");
  std::vector<std::string> digests;
  for (const auto& [name, kind] : digest_kinds()) digests.push_back(name);
  command
      ->add_option("--digest", options->digest,
                   fmt::format("{}; sha256 by default", fmt::join(digests, ", ")))
      ->type_name("DIGEST")
      ->check(CLI::IsMember(digests));
  command
      ->add_option("--payload", options->payloads,
                   "Sign this one alone, counted from 0; repeatable")
      ->type_name("INDEX")
      ->allow_extra_args(false);
  command->footer(footer);
  command->callback([options, &action] {
    action = [options](const GlobalOptions&) { return run_sign(*options); };
  });
}

}  // namespace efistore::tools
