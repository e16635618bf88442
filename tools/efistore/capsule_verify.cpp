// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// capsule verify: whether what would be written is signed by somebody who is trusted.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <memory>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/capsule/dependency.hpp"
#include "efistore/capsule/verify.hpp"

#include "capsule.hpp"
#include "certificate_text.hpp"
#include "common/escape.hpp"
#include "common/file_io.hpp"
#include "key_files.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer =
    R"(Each payload must be signed by one of the trusted certificates, or by one that leads to it through
those in the signature. Dates and usages of certificates are not looked at. Types, hardware instances,
vendor code and drivers are not signed by anybody; dependencies and versions are shown, and not held
against what is installed.

Examples:
  efistore capsule verify firmware.cap --trusted root.crt
  efistore capsule verify u-boot.cap --trusted root.crt --no-header --json)";

struct VerifyOptions {
  std::string path;
  std::vector<std::string> trusted_files;
  bool no_header = false;
};

/// What is said of the payloads, in both forms, and the first refusal.
struct Verdicts {
  Json payloads = Json::array();
  std::string text;
  std::optional<std::string> refusal;
};

void add_refusal(Verdicts& verdicts, Json& json, const std::string& name,
                 const capsule::Refusal& refusal) {
  json["verdict"] = "refused";
  json["status"] = to_string(refusal.status);
  json["last_attempt_status"] = static_cast<std::uint32_t>(refusal.last_attempt);
  json["message"] = refusal.message;
  verdicts.text += fmt::format(
      "{}: refused: {} (last attempt status {:#x}, {}): {}\n", name, to_string(refusal.status),
      static_cast<std::uint32_t>(refusal.last_attempt), capsule::to_string(refusal.last_attempt),
      escape(refusal.message, EscapeStyle::line));
  if (!verdicts.refusal) {
    verdicts.refusal = fmt::format("{}: {}: {}", name, to_string(refusal.status), refusal.message);
  }
}

void add_success(Verdicts& verdicts, Json& json, const std::string& name,
                 const capsule::VerifiedImage& verified) {
  const capsule::Image& image = verified.image();
  json["verdict"] = "verified";
  json["status"] = to_string(EfiStatus::success);
  json["trusted"] = certificate_json(*verified.anchor());
  verdicts.text += fmt::format("{}: verified: by {}", name,
                               escape(verified.anchor()->subject(), EscapeStyle::line));
  if (image.payload_header) {
    const capsule::PayloadHeader& header = *image.payload_header;
    json["version"] = header.version;
    json["lowest_supported_version"] = header.lowest_supported_version;
    verdicts.text += fmt::format(", version {:#010x}, lowest supported {:#010x}", header.version,
                                 header.lowest_supported_version);
  }
  if (image.dependency) {
    const auto expression = capsule::dependency_text(verified.dependency());
    const std::string text = expression ? *expression : expression.error().message;
    json["dependency"] = text;
    verdicts.text += fmt::format(", if {}", escape(text, EscapeStyle::line));
  }
  json["firmware_size"] = image.firmware.size;
  verdicts.text += fmt::format(", {} bytes of firmware\n", image.firmware.size);
}

Verdicts judge(const CapsuleFile& file, const VerifyOptions& options,
               std::span<const crypto::Certificate> trusted) {
  Verdicts verdicts;
  const auto source = file.source();
  const auto& payloads = file.capsule().fmp->payloads;
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    const capsule::ImageHeader& header = payloads[i].header;
    Json json{{"payload", i},
              {"type_id", to_string(header.type_id)},
              {"index", header.index},
              {"hardware_instance", header.hardware_instance}};
    const std::string name = fmt::format("payload {}", i);
    const auto verified = capsule::VerifiedImage::verify(
        source, payloads[i], {.authenticated = true, .payload_header = !options.no_header},
        trusted);
    if (verified) {
      add_success(verdicts, json, name, *verified);
    } else {
      add_refusal(verdicts, json, name, verified.error());
    }
    verdicts.payloads.push_back(std::move(json));
  }
  const std::size_t drivers = file.capsule().fmp->drivers.size();
  if (drivers > 0) {
    verdicts.text +=
        fmt::format("{} driver{}, which no signature covers\n", drivers, drivers == 1 ? "" : "s");
  }
  return verdicts;
}

/// Why the capsule as a whole has nothing that could be verified.
std::optional<capsule::Refusal> refusal_of_whole(const capsule::Capsule& capsule) {
  using capsule::LastAttemptStatus;
  if (const Status flags = capsule::check_flags(capsule.outer()); !flags) {
    return capsule::refusal_of(flags.error());
  }
  if (!capsule.fmp) {
    return capsule::Refusal{EfiStatus::unsupported, LastAttemptStatus::invalid_format,
                            "it is no FMP capsule, and no other kind is signed"};
  }
  if (capsule.fmp->payloads.empty()) {
    return capsule::Refusal{EfiStatus::unsupported, LastAttemptStatus::image_not_provided,
                            "it has drivers alone, which no signature covers"};
  }
  return std::nullopt;
}

Outcome<ExitCode> run_verify(const GlobalOptions& global, const VerifyOptions& options) {
  std::vector<crypto::Certificate> trusted;
  for (const std::string& path : options.trusted_files) {
    const auto certificates = read_certificates(path);
    if (!certificates) return tl::unexpected(certificates.error());
    trusted.insert(trusted.end(), certificates->begin(), certificates->end());
  }
  const auto file = CapsuleFile::read(options.path);
  if (!file) return tl::unexpected(file.error());
  if (const auto refusal = refusal_of_whole(file->capsule())) {
    return fail_with(
        fmt::format("{}: {}: {}", file->path(), to_string(refusal->status), refusal->message));
  }
  const Verdicts verdicts = judge(*file, options, trusted);
  if (global.json) {
    print_json(Json{{"file", file->path()},
                    {"verified", !verdicts.refusal},
                    {"drivers", file->capsule().fmp->drivers.size()},
                    {"payloads", verdicts.payloads}});
  } else {
    print(verdicts.text);
  }
  if (verdicts.refusal) {
    return fail_with(fmt::format("{}: {}", file->path(), *verdicts.refusal));
  }
  return ExitCode::success;
}

}  // namespace

void add_capsule_verify(CLI::App& parent, Action& action) {
  auto* const command = parent.add_subcommand("verify", "Verify the signatures in a capsule");
  const auto options = std::make_shared<VerifyOptions>();
  command->add_option("FILE", options->path, "The capsule, - for standard input")->required();
  command
      ->add_option("--trusted", options->trusted_files,
                   "Certificates who may have signed, PEM or DER; repeatable")
      ->type_name("FILE")
      ->allow_extra_args(false)
      ->required();
  command->add_flag("--no-header", options->no_header,
                    "The payloads have no FMP payload header, and so no version");
  command->footer(footer);
  command->callback([options, &action] {
    action = [options](const GlobalOptions& global) { return run_verify(global, *options); };
  });
}

}  // namespace efistore::tools
