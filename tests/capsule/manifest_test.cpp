// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Every field of every well-formed capsule, as the tools that made them say.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "efistore/capsule/capsule.hpp"
#include "efistore/crypto/digest.hpp"

#include "capsule/capsule_support.hpp"

namespace efistore::capsule::test {
namespace {

using nlohmann::json;

/// The parsed payload in the manifest's words.
json payload_fields(const Source& source, const Payload& payload) {
  const ImageHeader& header = payload.header;
  json fields = {{"offset", header.offset},
                 {"ImageHeaderVersion", header.version},
                 {"UpdateImageTypeId", to_string(header.type_id)},
                 {"UpdateImageIndex", header.index},
                 {"UpdateImageSize", header.image_size},
                 {"UpdateVendorCodeSize", header.vendor_code_size},
                 {"UpdateHardwareInstance", header.hardware_instance},
                 {"ImageCapsuleSupport", header.support}};
  const auto image = parse_image(source, payload, guess_image_form(source, payload).value());
  if (!image) return image.error().message;
  if (image->authentication) {
    const auto size = image->authentication->certificate_data.size;
    fields["auth"] = {{"MonotonicCount", image->authentication->monotonic_count},
                      {"dwLength", size + 24},
                      {"wRevision", "0x200"},
                      {"wCertificateType", "0xef1"},
                      {"CertType", to_string(image->authentication->cert_type)},
                      {"p7_len", size}};
  }
  if (image->dependency) fields["depex"] = to_hex(read_all(source, *image->dependency).value());
  if (image->payload_header) {
    fields["fmp_payload_header"] = {
        {"HeaderSize", image->payload_header->header_size},
        {"FwVersion", fmt::format("{:#010x}", image->payload_header->version)},
        {"LowestSupportedVersion",
         fmt::format("{:#010x}", image->payload_header->lowest_supported_version)}};
  }
  fields["payload_size"] = image->firmware.size;
  fields["payload_sha256"] = to_hex(crypto::sha256(read_all(source, image->firmware).value()));
  return fields;
}

TEST(Manifest, EveryFieldIsFound) {
  EFISTORE_NEED_VECTORS();
  const Bytes text = load("manifest.json");
  const json manifest = json::parse(reinterpret_cast<const char*>(text.data()),
                                    reinterpret_cast<const char*>(text.data()) + text.size());
  std::size_t payloads = 0;
  for (const json& entry : manifest) {
    const std::string file = entry["file"];
    SCOPED_TRACE(file);
    const Bytes bytes = load(file);
    const MemorySource source(bytes);
    const auto capsule = parse_capsule(source);
    if (file == "edk2/e38-empty.cap") {
      EXPECT_EQ(Errc::unsupported, capsule.error().code);
      continue;
    }
    ASSERT_TRUE(capsule) << capsule.error().message;
    const CapsuleHeader& header = capsule->header;
    EXPECT_EQ(entry["CapsuleGuid"], to_string(header.guid));
    EXPECT_EQ(entry["HeaderSize"], header.header_size);
    EXPECT_EQ(entry["Flags"], fmt::format("{:#010x}", header.flags));
    EXPECT_EQ(entry["CapsuleImageSize"], header.image_size);
    if (entry.contains("body")) {
      EXPECT_EQ(entry["body"], to_string(capsule->accepted_type.value()));
    }
    if (!entry.contains("payloads")) continue;
    EXPECT_EQ(entry["drivers"].size(), capsule->fmp->drivers.size());
    ASSERT_EQ(entry["payloads"].size(), capsule->fmp->payloads.size());
    for (std::size_t i = 0; i < capsule->fmp->payloads.size(); ++i, ++payloads) {
      json wanted = entry["payloads"][i];
      wanted.erase("payload_is");
      EXPECT_EQ(wanted, payload_fields(source, capsule->fmp->payloads[i])) << "payload " << i;
    }
  }
  EXPECT_LT(25U, payloads);
}

}  // namespace
}  // namespace efistore::capsule::test
