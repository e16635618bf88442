// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// capsule inspect: everything that stands in a capsule, and where.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <memory>

#include "efistore/base/bytes.hpp"
#include "efistore/base/ucs2.hpp"
#include "efistore/capsule/dependency.hpp"
#include "efistore/crypto/digest.hpp"
#include "efistore/crypto/signed_data.hpp"

#include "capsule.hpp"
#include "capsule_document.hpp"
#include "certificate_text.hpp"
#include "common/escape.hpp"
#include "common/file_io.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer =
    R"(Shows each field with the byte of the file at which it stands. Nothing is verified: `efistore
capsule verify` does that.

Examples:
  efistore capsule inspect firmware.cap
  efistore capsule inspect firmware.cap --json | jq '.payloads[].payload_header.version')";

/// What is shown of a capsule, in both forms.
struct Shown {
  Json json = Json::object();
  std::string text;
  /// Why the image of a payload cannot be taken apart.
  std::optional<std::string> fault;

  void add(const ShownStructure& structure) { text += "\n" + structure.text(); }
};

std::string_view name_of_kind(capsule::CapsuleKind kind) {
  switch (kind) {
    case capsule::CapsuleKind::fmp:
      return "FMP capsule";
    case capsule::CapsuleKind::display:
      return "display capsule";
    case capsule::CapsuleKind::json:
      return "JSON capsule";
    case capsule::CapsuleKind::file_name:
      return "capsule of file names";
    case capsule::CapsuleKind::accept:
      return "accept capsule";
    case capsule::CapsuleKind::revert:
      return "revert capsule";
    case capsule::CapsuleKind::unknown:
      break;
  }
  return "capsule of an unknown kind";
}

/// The bytes are in memory, so that nothing can fail.
std::vector<std::byte> bytes_at(const CapsuleFile& file, const capsule::Range& range) {
  return capsule::read_all(file.source(), range).value_or(std::vector<std::byte>());
}

/// Bytes that are shown by their size and digest.
void add_bytes(ShownStructure& structure, const CapsuleFile& file, const std::string& name,
               const capsule::Range& range) {
  const std::string digest = to_hex(crypto::sha256(bytes_at(file, range)));
  structure.add({"data", name}, 0, range.size, fmt::format("{} bytes", range.size));
  structure.note("SHA-256", digest);
}

Json range_with_digest(const CapsuleFile& file, const capsule::Range& range) {
  return Json{{"offset", range.offset},
              {"size", range.size},
              {"sha256", to_hex(crypto::sha256(bytes_at(file, range)))}};
}

/// Shows bytes under `title` and gives their JSON.
Json show_bytes(Shown& shown, const CapsuleFile& file, const std::string& title,
                const capsule::Range& range) {
  ShownStructure structure(title, range.offset);
  add_bytes(structure, file, "bytes", range);
  shown.add(structure);
  return range_with_digest(file, range);
}

Json show_header(Shown& shown, const capsule::CapsuleHeader& header, const std::string& title) {
  ShownStructure structure(title, header.offset);
  const std::string guid = to_string(header.guid);
  const std::string names = capsule_flags_to_string(header.flags);
  structure.add({"guid", "CapsuleGuid"}, 0, guid, guid);
  structure.add({"header_size", "HeaderSize"}, 16, header.header_size);
  structure.add({"flags", "Flags"}, 20, header.flags,
                fmt::format("{:#010x} ({})", header.flags, names));
  structure.set("flag_names", names);
  structure.add({"image_size", "CapsuleImageSize"}, 24, header.image_size);
  shown.add(structure);
  return structure.json();
}

ShownStructure image_header(const capsule::ImageHeader& header, const std::string& title) {
  ShownStructure structure(title, header.offset);
  const std::string type = to_string(header.type_id);
  structure.add({"version", "Version"}, 0, header.version);
  structure.add({"type_id", "UpdateImageTypeId"}, 4, type, type);
  structure.add({"index", "UpdateImageIndex"}, 20, header.index);
  structure.add({"image_size", "UpdateImageSize"}, 24, header.image_size);
  structure.add({"vendor_code_size", "UpdateVendorCodeSize"}, 28, header.vendor_code_size);
  if (header.version >= 2) {
    structure.add({"hardware_instance", "UpdateHardwareInstance"}, 32, header.hardware_instance,
                  fmt::format("{:#x}", header.hardware_instance));
  }
  if (header.version >= 3) {
    const bool authentication = (header.support & capsule::image_support::authentication) != 0;
    const bool dependency = (header.support & capsule::image_support::dependency) != 0;
    structure.add({"support", "ImageCapsuleSupport"}, 40, header.support,
                  fmt::format("{:#x}{}{}", header.support, authentication ? " authentication" : "",
                              dependency ? " dependency" : ""));
  }
  return structure;
}

std::string certificate_line(const crypto::Certificate& certificate) {
  return fmt::format("{} (issuer {}, {}, sha256 {})", certificate.subject(), certificate.issuer(),
                     key_text(certificate), to_hex(certificate.fingerprint()));
}

void add_signature(ShownStructure& structure, std::span<const std::byte> der) {
  const auto signed_data = crypto::SignedData::parse(der);
  if (!signed_data) {
    structure.note("not accepted", signed_data.error().message);
    structure.set("error", signed_data.error().message);
    return;
  }
  structure.note("signer", certificate_line(signed_data->signer()));
  structure.set("signer", certificate_json(signed_data->signer()));
  Json certificates = Json::array();
  for (const crypto::Certificate& certificate : signed_data->certificates()) {
    certificates.push_back(certificate_json(certificate));
    if (certificate != signed_data->signer()) {
      structure.note("certificate", certificate_line(certificate));
    }
  }
  structure.set("certificates", std::move(certificates));
}

Json show_authentication(Shown& shown, const CapsuleFile& file,
                         const capsule::ImageAuthentication& authentication,
                         const std::string& payload) {
  const capsule::Range& data = authentication.certificate_data;
  ShownStructure structure(payload + ": authentication", authentication.offset);
  structure.add({"monotonic_count", "MonotonicCount"}, 0, authentication.monotonic_count);
  // Parsing takes no other values, and dwLength tells where the data ends.
  const std::uint64_t length = data.end() - authentication.offset - 8;
  structure.add({"length", "dwLength"}, 8, length);
  structure.add({"revision", "wRevision"}, 12, 0x0200, "0x0200");
  structure.add({"certificate_type", "wCertificateType"}, 14, 0x0ef1, "0x0ef1");
  const std::string type = to_string(authentication.cert_type);
  structure.add({"cert_type", "CertType"}, 16, type, type + " (PKCS7)");
  structure.add({"data", "CertData"}, 32, Json{{"offset", data.offset}, {"size", data.size}},
                fmt::format("{} bytes", data.size));
  add_signature(structure, bytes_at(file, data));
  shown.add(structure);
  return structure.json();
}

Json show_dependency(Shown& shown, const CapsuleFile& file, const capsule::Range& range,
                     const std::string& payload) {
  const auto bytes = bytes_at(file, range);
  const auto expression = capsule::dependency_text(bytes);
  const std::string text = expression ? *expression : expression.error().message;
  ShownStructure structure(payload + ": dependency", range.offset);
  structure.add({"data", "opcodes"}, 0, to_hex(bytes), fmt::format("{} bytes", range.size));
  structure.set("size", range.size);
  structure.note("expression", text);
  structure.set("expression", text);
  shown.add(structure);
  return structure.json();
}

Json show_payload_header(Shown& shown, const capsule::PayloadHeader& header,
                         const std::string& payload) {
  ShownStructure structure(payload + ": FMP payload header", header.offset);
  structure.add({"signature", "Signature"}, 0, "MSS1", "MSS1");
  structure.add({"header_size", "HeaderSize"}, 4, header.header_size);
  structure.add({"version", "FwVersion"}, 8, header.version,
                fmt::format("{:#010x} ({})", header.version, header.version));
  structure.add({"lowest_supported_version", "LowestSupportedVersion"}, 12,
                header.lowest_supported_version,
                fmt::format("{:#010x} ({})", header.lowest_supported_version,
                            header.lowest_supported_version));
  shown.add(structure);
  return structure.json();
}

Json show_payload(Shown& shown, const CapsuleFile& file, std::size_t number) {
  const capsule::Payload& payload = file.capsule().fmp->payloads[number];
  const std::string name = fmt::format("payload {}", number);
  const ShownStructure header = image_header(payload.header, name + ": image header");
  shown.add(header);
  Json json{{"header", header.json()},
            {"image", Json{{"offset", payload.image.offset}, {"size", payload.image.size}}}};
  const auto source = file.source();
  const auto form = capsule::guess_image_form(source, payload);
  const auto image = form ? capsule::parse_image(source, payload, *form)
                          : Result<capsule::Image>(tl::unexpected(form.error()));
  if (image) {
    json["authentication"] = image->authentication
                                 ? show_authentication(shown, file, *image->authentication, name)
                                 : Json(nullptr);
    json["dependency"] =
        image->dependency ? show_dependency(shown, file, *image->dependency, name) : Json(nullptr);
    json["payload_header"] = image->payload_header
                                 ? show_payload_header(shown, *image->payload_header, name)
                                 : Json(nullptr);
    json["firmware"] = show_bytes(shown, file, name + ": firmware", image->firmware);
  } else {
    const std::string fault = fmt::format("{}: {}", name, image.error().message);
    if (!shown.fault) shown.fault = fault;
    json["error"] = image.error().message;
  }
  json["vendor_code"] = payload.vendor_code.size == 0
                            ? Json(nullptr)
                            : show_bytes(shown, file, name + ": vendor code", payload.vendor_code);
  return json;
}

void show_fmp(Shown& shown, const CapsuleFile& file) {
  const capsule::FmpCapsule& fmp = *file.capsule().fmp;
  ShownStructure structure("FMP capsule header", fmp.offset);
  structure.add({"version", "Version"}, 0, 1);
  structure.add({"driver_count", "EmbeddedDriverCount"}, 4, fmp.drivers.size());
  structure.add({"payload_count", "PayloadItemCount"}, 6, fmp.payloads.size());
  Json offsets = Json::array();
  std::string text;
  const auto add_offset = [&](std::uint64_t at) {
    offsets.push_back(at - fmp.offset);
    text += fmt::format("{}{}", text.empty() ? "" : ", ", at - fmp.offset);
  };
  for (const capsule::Range& driver : fmp.drivers) add_offset(driver.offset);
  for (const capsule::Payload& payload : fmp.payloads) add_offset(payload.header.offset);
  structure.add({"item_offsets", "ItemOffsetList"}, 8, std::move(offsets), text);
  shown.add(structure);
  shown.json["fmp"] = structure.json();
  Json& drivers = shown.json["drivers"] = Json::array();
  for (std::size_t i = 0; i < fmp.drivers.size(); ++i) {
    drivers.push_back(show_bytes(shown, file, fmt::format("driver {}", i), fmp.drivers[i]));
  }
  Json& payloads = shown.json["payloads"] = Json::array();
  for (std::size_t i = 0; i < fmp.payloads.size(); ++i) {
    payloads.push_back(show_payload(shown, file, i));
  }
}

void show_display(Shown& shown, const CapsuleFile& file) {
  const capsule::DisplayCapsule& display = *file.capsule().display;
  const capsule::Range body = file.capsule().header.body();
  ShownStructure structure("display capsule", body.offset);
  const auto checksum = std::to_integer<unsigned>(bytes_at(file, {body.offset + 1, 1}).at(0));
  structure.add({"version", "Version"}, 0, 1);
  structure.add({"checksum", "CheckSum"}, 1, checksum, fmt::format("{:#04x}", checksum));
  structure.add({"image_type", "ImageType"}, 2, 0, "0 (bitmap)");
  structure.add({"mode", "Mode"}, 4, display.mode);
  structure.add({"offset_x", "OffsetX"}, 8, display.offset_x);
  structure.add({"offset_y", "OffsetY"}, 12, display.offset_y);
  structure.note("picture",
                 fmt::format("{} by {} pixels", display.width_pixels, display.height_pixels));
  structure.set("width", display.width_pixels);
  structure.set("height", display.height_pixels);
  shown.add(structure);
  shown.json["display"] = structure.json();
  shown.json["display"]["picture"] = show_bytes(shown, file, "picture", display.picture);
}

void show_json_capsule(Shown& shown, const CapsuleFile& file) {
  const capsule::JsonCapsule& json = *file.capsule().json;
  ShownStructure structure("JSON capsule", file.capsule().header.body().offset);
  structure.add({"version", "Version"}, 0, 1);
  structure.add({"capsule_id", "CapsuleId"}, 4, json.capsule_id);
  structure.add({"payload_length", "PayloadLength"}, 8, json.payload.size);
  shown.add(structure);
  shown.json["json"] = structure.json();
  shown.json["json"]["payload"] = show_bytes(shown, file, "payload", json.payload);
}

void show_file_names(Shown& shown, const CapsuleFile& file) {
  const std::uint64_t begin = file.capsule().header.body().offset;
  ShownStructure structure("file names", begin);
  Json names = Json::array();
  std::uint64_t at = 0;
  for (const std::u16string& name : file.capsule().file_names) {
    structure.add({fmt::format("name_{}", names.size()), "name"}, at, nullptr, to_utf8(name));
    names.push_back(Json{{"offset", begin + at}, {"name", to_utf8(name)}});
    at += 2 * (name.size() + 1);
  }
  shown.add(structure);
  shown.json["file_names"] = std::move(names);
}

Shown show(const CapsuleFile& file) {
  Shown shown;
  const capsule::Capsule& capsule = file.capsule();
  shown.text = fmt::format("{}: {}, {} bytes\n", escape(file.path(), EscapeStyle::line),
                           name_of_kind(capsule.kind), file.size());
  shown.json = {
      {"file", file.path()}, {"size", file.size()}, {"kind", capsule::to_string(capsule.kind)}};
  Json& wrappers = shown.json["wrappers"] = Json::array();
  for (const capsule::CapsuleHeader& header : capsule.wrappers) {
    wrappers.push_back(show_header(shown, header, "header around the capsule"));
  }
  shown.json["header"] = show_header(shown, capsule.header, "capsule header");
  switch (capsule.kind) {
    case capsule::CapsuleKind::fmp:
      show_fmp(shown, file);
      break;
    case capsule::CapsuleKind::display:
      show_display(shown, file);
      break;
    case capsule::CapsuleKind::json:
      show_json_capsule(shown, file);
      break;
    case capsule::CapsuleKind::file_name:
      show_file_names(shown, file);
      break;
    case capsule::CapsuleKind::accept: {
      ShownStructure structure("acceptance", capsule.header.body().offset);
      const std::string type = to_string(*capsule.accepted_type);
      structure.add({"type_id", "image type"}, 0, type, type);
      shown.add(structure);
      shown.json["accepted"] = structure.json();
      break;
    }
    case capsule::CapsuleKind::revert:
      break;
    case capsule::CapsuleKind::unknown:
      shown.json["body"] = show_bytes(shown, file, "body", capsule.header.body());
      break;
  }
  return shown;
}

}  // namespace

void add_capsule_inspect(CLI::App& parent, Action& action) {
  auto* const command = parent.add_subcommand("inspect", "Show every field of a capsule");
  const auto path = std::make_shared<std::string>();
  command->add_option("FILE", *path, "The capsule, - for standard input")->required();
  command->footer(footer);
  command->callback([path, &action] {
    action = [path](const GlobalOptions& global) -> Outcome<ExitCode> {
      const auto file = CapsuleFile::read(*path);
      if (!file) return tl::unexpected(file.error());
      const Shown shown = show(*file);
      if (global.json) {
        print_json(shown.json);
      } else {
        print(shown.text);
      }
      if (shown.fault) return fail_with(fmt::format("{}: {}", file->path(), *shown.fault));
      return ExitCode::success;
    };
  });
}

}  // namespace efistore::tools
