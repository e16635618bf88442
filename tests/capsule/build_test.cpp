// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Capsules that are made: every well-formed capsule of other producers comes out of its contents as
// it was, and what does not fit is refused.
#include "efistore/capsule/build.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "efistore/capsule/dependency.hpp"
#include "efistore/capsule/verify.hpp"
#include "efistore/crypto/signing_key.hpp"

#include "capsule/capsule_support.hpp"

namespace efistore::capsule::test {
namespace {

using ::testing::HasSubstr;

Bytes bytes_of(std::string_view text) {
  const auto bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

/// A capsule with everything in it.
FmpContents sample() {
  PayloadContents payload;
  payload.type_id = type_a;
  payload.index = 7;
  payload.hardware_instance = 0x1122334455667788;
  payload.support = image_support::authentication;
  payload.signature = {.monotonic_count = 5, .der = bytes_of("der")};
  payload.body =
      make_body({.versions = PayloadVersions{.version = 2, .lowest_supported_version = 1},
                 .dependency = {},
                 .firmware = bytes_of("firmware")})
          .value();
  payload.vendor_code = bytes_of("vendor");
  PayloadContents old;
  old.header_version = 1;
  old.type_id = type_b;
  old.body = bytes_of("raw");
  return {.flags = flags::persist_across_reset | 0x1234,
          .header_size = 48,
          .drivers = {bytes_of("driver")},
          .payloads = {payload, old}};
}

Result<FmpContents> contents_of_bytes(const Bytes& bytes) {
  const MemorySource source(bytes);
  const auto capsule = parse_capsule(source);
  if (!capsule) return tl::unexpected(capsule.error());
  return contents_of(source, *capsule);
}

std::string refusal(const FmpContents& contents) {
  const auto bytes = encode(contents);
  if (bytes) return "encoded";
  EXPECT_EQ(Errc::invalid_argument, bytes.error().code);
  return bytes.error().message;
}

TEST(Build, CapsulesOfOthersComeOutOfTheirContentsAsTheyWere) {
  EFISTORE_NEED_VECTORS();
  const Bytes text = load("manifest.json");
  const auto manifest =
      nlohmann::json::parse(reinterpret_cast<const char*>(text.data()),
                            reinterpret_cast<const char*>(text.data()) + text.size());
  std::map<std::uint32_t, int> header_sizes;
  int one_line = 0;
  for (const auto& entry : manifest) {
    const std::string file = entry["file"];
    SCOPED_TRACE(file);
    if (file == "edk2/e38-empty.cap") continue;
    const Bytes bytes = load(file);
    const MemorySource source(bytes);
    const auto capsule = parse_capsule(source).value();
    const HeaderChoices choices{.flags = capsule.header.flags,
                                .header_size = capsule.header.header_size};
    if (capsule.kind == CapsuleKind::accept) {
      EXPECT_EQ(bytes, encode_accept(capsule.accepted_type.value(), choices).value());
      ++one_line;
    } else if (capsule.kind == CapsuleKind::revert) {
      EXPECT_EQ(bytes, encode_revert(choices).value());
      ++one_line;
    } else {
      const auto contents = contents_of(source, capsule);
      ASSERT_TRUE(contents) << contents.error().message;
      EXPECT_EQ(bytes, encode(*contents).value());
      ++header_sizes[contents->header_size];
    }
  }
  EXPECT_LT(15, header_sizes[32]) << "of GenerateCapsule";
  EXPECT_LT(5, header_sizes[28]) << "of mkeficapsule";
  EXPECT_LE(3, one_line);
}

TEST(Build, ContentsComeBackFromTheirBytes) {
  const FmpContents contents = sample();
  const auto bytes = encode(contents);
  ASSERT_TRUE(bytes) << bytes.error().message;
  const auto back = contents_of_bytes(*bytes);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(contents, *back);
}

TEST(Build, ItemsStandOneBehindTheOther) {
  const Bytes bytes = encode(sample()).value();
  const MemorySource source(bytes);
  const auto capsule = parse_capsule(source).value();
  EXPECT_EQ(48U, capsule.header.header_size);
  EXPECT_EQ((Range{48 + 8 + 3 * 8, 6}), capsule.fmp->drivers.at(0));
  const Payload& first = capsule.fmp->payloads.at(0);
  EXPECT_EQ(86U, first.header.offset);
  EXPECT_EQ((Range{86 + 48, 32 + 3 + 16 + 8}), first.image);
  EXPECT_EQ((Range{first.image.end(), 6}), first.vendor_code);
  const Payload& second = capsule.fmp->payloads.at(1);
  EXPECT_EQ(first.vendor_code.end(), second.header.offset);
  EXPECT_EQ((Range{second.header.offset + 32, 3}), second.image);
}

TEST(Build, WhatDoesNotFitIsRefused) {
  const auto changed = [](auto change) {
    FmpContents contents = sample();
    change(contents);
    return refusal(contents);
  };
  EXPECT_EQ("encoded", changed([](FmpContents&) {}));
  EXPECT_THAT(refusal({}), HasSubstr("1 to 255 drivers and payloads, not 0"));
  EXPECT_EQ("encoded", changed([](FmpContents& c) { c.drivers.resize(253, bytes_of("x")); }));
  EXPECT_THAT(changed([](FmpContents& c) { c.drivers.resize(254, bytes_of("x")); }),
              HasSubstr("not 256"));
  EXPECT_EQ("driver 0 has no bytes", changed([](FmpContents& c) { c.drivers[0].clear(); }));
  EXPECT_THAT(changed([](FmpContents& c) { c.header_size = 27; }), HasSubstr("28 bytes, not 27"));
  EXPECT_THAT(changed([](FmpContents& c) { c.payloads[0].header_version = 0; }),
              HasSubstr("payload 0: the image header's version is 0"));
  EXPECT_THAT(changed([](FmpContents& c) { c.payloads[1].header_version = 4; }),
              HasSubstr("payload 1: the image header's version is 4"));
  EXPECT_THAT(changed([](FmpContents& c) { c.payloads[1].hardware_instance = 1; }),
              HasSubstr("payload 1: an image header of version 1 has no hardware instance"));
  EXPECT_THAT(changed([](FmpContents& c) { c.payloads[0].header_version = 2; }),
              HasSubstr("payload 0: an image header of version 2 has no bits"));
  EXPECT_THAT(changed([](FmpContents& c) { c.payloads[0].signature->der.clear(); }),
              HasSubstr("payload 0: its signature has 0 bytes"));
  EXPECT_EQ("encoded", changed([](FmpContents& c) {
              c.payloads[0].signature->der.resize(max_certificate_data_size_bytes);
            }));
  EXPECT_THAT(changed([](FmpContents& c) {
                c.payloads[0].signature->der.resize(max_certificate_data_size_bytes + 1);
              }),
              HasSubstr("its signature has 1048577 bytes"));
}

TEST(Build, SizesThatTakeMoreThan32BitsAreRefused) {
  FmpContents contents = sample();
  contents.header_size = 0xffffffff;
  EXPECT_THAT(refusal(contents), HasSubstr("4294967295 are the most"));
  for (const auto& made : {encode_revert({.flags = 0, .header_size = 27}),
                           encode_accept(type_a, {.flags = 0, .header_size = 27}),
                           encode_accept(type_a, {.flags = 0, .header_size = 0xffffffff})}) {
    ASSERT_FALSE(made);
    EXPECT_EQ(Errc::invalid_argument, made.error().code);
  }
}

TEST(Build, WhatContentsHaveNoPlaceForIsNotLost) {
  const Bytes good = encode(sample()).value();
  const auto refused = [](const Bytes& bytes) {
    const auto contents = contents_of_bytes(bytes);
    if (contents) return std::string("taken");
    EXPECT_EQ(Errc::unsupported, contents.error().code);
    return contents.error().message;
  };
  EXPECT_EQ("taken", refused(good));
  Bytes bytes = good;
  bytes[47] = std::byte{1};
  EXPECT_THAT(refused(bytes), HasSubstr("behind the fields of the capsule header, 20 bytes from"));
  bytes = good;
  bytes[86 + 23] = std::byte{1};
  EXPECT_THAT(refused(bytes), HasSubstr("payload 0: the reserved bytes of the FMP image header"));
  // The first item one byte later.
  bytes = good;
  bytes[56] = std::byte{33};
  EXPECT_THAT(refused(bytes), HasSubstr("1 bytes stand before the first item, from byte 80 on"));
  EXPECT_THAT(refused(encode_revert().value()), HasSubstr("no FMP capsule"));
  // In the header of a resource.
  bytes = good;
  bytes.insert(bytes.begin(), good.begin(), good.begin() + 28);
  bytes[0] ^= std::byte{1};
  put_u32(bytes, 16, 28);
  put_u32(bytes, 24, static_cast<std::uint32_t>(bytes.size()));
  EXPECT_THAT(refused(bytes), HasSubstr("in the header of another capsule"));
}

TEST(Build, AMediumThatFailsIsNoUnsignedPayload) {
  CountingSource source(encode(sample()).value());
  const auto capsule = parse_capsule(source).value();
  source.fail_at(SIZE_MAX);
  ASSERT_TRUE(contents_of(source, capsule));
  const std::size_t reads = source.reads();
  EXPECT_LT(5U, reads);
  for (std::size_t i = 1; i <= reads; ++i) {
    source.fail_at(i);
    const auto contents = contents_of(source, capsule);
    ASSERT_FALSE(contents) << "read " << i;
    EXPECT_EQ(Errc::io, contents.error().code);
  }
}

TEST(Build, BodiesAreDependencyHeaderAndFirmware) {
  const auto dependency = compile_dependency("TRUE && ~FALSE").value();
  const auto firmware = bytes_of("firmware");
  const PayloadVersions versions{.version = 0x20001, .lowest_supported_version = 0x10000};
  const auto body =
      make_body({.versions = versions, .dependency = dependency, .firmware = firmware});
  ASSERT_TRUE(body) << body.error().message;
  const MemorySource source(*body);
  const auto image = parse_contents(source, {0, body->size()}, true);
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ((Range{0, dependency.size()}), image->dependency);
  EXPECT_EQ(0x20001U, image->payload_header->version);
  EXPECT_EQ(0x10000U, image->payload_header->lowest_supported_version);
  EXPECT_EQ(firmware, read_all(source, image->firmware).value());
  EXPECT_EQ(firmware, make_body({.versions = {}, .dependency = {}, .firmware = firmware}).value());

  const auto longer = [&] {
    auto bytes = dependency;
    bytes.push_back(std::byte{0});
    return bytes;
  }();
  for (const auto& parts :
       {BodyParts{.versions = versions, .dependency = dependency, .firmware = {}},
        BodyParts{.versions = {}, .dependency = dependency, .firmware = firmware},
        BodyParts{.versions = versions, .dependency = longer, .firmware = firmware},
        BodyParts{.versions = versions, .dependency = firmware, .firmware = firmware}}) {
    const auto refused = make_body(parts);
    ASSERT_FALSE(refused);
    EXPECT_EQ(Errc::invalid_argument, refused.error().code);
  }
}

TEST(Build, WhatIsSignedHereIsVerified) {
  const auto key = crypto::PrivateKey::generate(crypto::KeyKind::ec_p256).value();
  const auto certificate = crypto::make_self_signed(key, {.common_name = "signer"}).value();
  FmpContents contents = sample();
  PayloadContents& payload = contents.payloads[0];
  payload.signature->der = crypto::sign(signed_content(payload.body, 5), key, certificate,
                                        {.chain = {}, .content_info = true})
                               .value();
  const auto verdict = [&] {
    const Bytes bytes = encode(contents).value();
    const MemorySource source(bytes);
    const auto capsule = parse_capsule(source).value();
    const auto verified =
        VerifiedImage::verify(source, capsule.fmp->payloads.at(0), {}, std::span(&certificate, 1));
    return verified ? EfiStatus::success : verified.error().status;
  };
  EXPECT_EQ(EfiStatus::success, verdict());
  payload.signature->monotonic_count = 6;
  EXPECT_EQ(EfiStatus::security_violation, verdict());
  payload.signature->monotonic_count = 5;
  payload.body.back() ^= std::byte{1};
  EXPECT_EQ(EfiStatus::security_violation, verdict());
}

}  // namespace
}  // namespace efistore::capsule::test
