// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/capsule/verify.hpp"

#include <gmock/gmock.h>

#include <algorithm>

#include "efistore/capsule/capsule.hpp"

#include "capsule/capsule_support.hpp"

namespace efistore::capsule::test {
namespace {

using ::testing::HasSubstr;

/// "" if verified, else the status and the reason.
std::string verdict(const Source& source, const std::vector<std::string>& anchors,
                    const ImageForm& form = {}) {
  const auto capsule = parse_capsule(source);
  if (!capsule) return capsule.error().message;
  std::vector<crypto::Certificate> trusted;
  for (const std::string& anchor : anchors) trusted.push_back(certificate("keys/" + anchor));
  const auto image = VerifiedImage::verify(source, capsule->fmp->payloads.at(0), form, trusted);
  if (image) return "";
  return std::string(to_string(image.error().status)) + ": " + image.error().message;
}

std::string verdict_of(std::string_view name, const std::vector<std::string>& anchors,
                       const ImageForm& form = {}) {
  const Bytes bytes = load(name);
  return verdict(MemorySource(bytes), anchors, form);
}

TEST(Verify, TrustIsAChainOrTheSignerItself) {
  EFISTORE_NEED_VECTORS();
  EXPECT_EQ("", verdict_of("edk2/e10-signed-chain.cap", {"root.der"}));
  EXPECT_EQ("", verdict_of("edk2/e10-signed-chain.cap", {"int.der"}));
  EXPECT_EQ("", verdict_of("edk2/e10-signed-chain.cap", {"rogueroot.der", "root.der"}));
  EXPECT_EQ("", verdict_of("edk2/e16-signed-selfsigned.cap", {"selfsigned.der"}));
  // The signer alone is included: its issuer must be trusted itself.
  EXPECT_EQ("", verdict_of("uboot/u03-old-signed.cap", {"int.der"},
                           {.authenticated = true, .payload_header = false}));
  EXPECT_THAT(verdict_of("uboot/u03-old-signed.cap", {"root.der"},
                         {.authenticated = true, .payload_header = false}),
              HasSubstr("EFI_SECURITY_VIOLATION: no trusted certificate has signed it"));
  EXPECT_THAT(verdict_of("edk2/e19-signed-rogue.cap", {"root.der"}),
              HasSubstr("EFI_SECURITY_VIOLATION"));
  EXPECT_THAT(
      verdict_of("edk2/e10-signed-chain.cap", {}),
      HasSubstr("EFI_SECURITY_VIOLATION: no certificate is trusted for image type 6f5f2bd5"));
}

/// Attack: the header's bit that says that there is a signature is not signed.
TEST(Verify, AStrippedAuthenticationBitChangesNothing) {
  EFISTORE_NEED_VECTORS();
  EXPECT_EQ("", verdict_of("neg/n056.cap", {"root.der"}));
  EXPECT_THAT(verdict_of("edk2/e01-unsigned.cap", {"root.der"}),
              HasSubstr("EFI_INVALID_PARAMETER: FMP image authentication"));
}

/// Attack: CVE-2020-10759's class, a signature without content or signer.
TEST(Verify, SignaturesThatSignNothingAreRefused) {
  EFISTORE_NEED_VECTORS();
  for (const std::string name :
       {"n071", "n073", "n075", "n079", "n07b", "n081", "n083", "n085", "n086", "n087"}) {
    EXPECT_THAT(verdict_of("neg/" + name + ".cap", {"root.der"}),
                HasSubstr("EFI_SECURITY_VIOLATION"))
        << name;
  }
}

/// Attack: RAUC CVE-2026-34155's class, a length that leaves a part unsigned.
TEST(Verify, EveryBitOfTheSignedBytesCounts) {
  EFISTORE_NEED_VECTORS();
  const Bytes original = load("edk2/e15-signed-ecp256.cap");
  const MemorySource source(original);
  const auto capsule = parse_capsule(source);
  const auto image = parse_image(source, capsule->fmp->payloads[0], {});
  const std::uint64_t begin = image->authentication->signed_data.offset;
  EXPECT_EQ(original.size(), image->authentication->signed_data.end());
  const auto flipped = [&](std::uint64_t at, unsigned bit) {
    Bytes bytes = original;
    bytes[at] ^= static_cast<std::byte>(1U << bit);
    return verdict(MemorySource(bytes), {"root.der"});
  };
  for (std::uint64_t at = begin; at < begin + 24; ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) EXPECT_NE("", flipped(at, bit)) << at << "." << bit;
  }
  for (std::uint64_t at = begin + 24; at < original.size(); at += 97) {
    EXPECT_THAT(flipped(at, at % 8), HasSubstr("EFI_SECURITY_VIOLATION")) << at;
  }
  EXPECT_THAT(flipped(original.size() - 1, 0), HasSubstr("EFI_SECURITY_VIOLATION"));
  // The monotonic count is signed too.
  for (std::uint64_t at = 0; at < 8; ++at) {
    EXPECT_THAT(flipped(image->authentication->offset + at, 3),
                HasSubstr("EFI_SECURITY_VIOLATION"));
  }
}

Bytes large_capsule(std::size_t firmware_size) {
  Bytes bytes = load("edk2/e01-unsigned.cap");
  const std::size_t front = bytes.size() - 4096;
  bytes.resize(front + firmware_size);
  for (std::size_t i = front; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i / 251);
  put_u32(bytes, 24, static_cast<std::uint32_t>(bytes.size()));
  put_u32(bytes, 72, static_cast<std::uint32_t>(16 + firmware_size));
  return bytes;
}

constexpr ImageForm not_signed{.authenticated = false, .payload_header = true};

TEST(VerifiedSource, ReadsWhatWasVerified) {
  EFISTORE_NEED_VECTORS();
  const std::size_t size = 3 * piece_size_bytes + 1234;
  const Bytes bytes = large_capsule(size);
  const MemorySource source(bytes);
  const auto capsule = parse_capsule(source);
  const auto image = VerifiedImage::verify(source, capsule->fmp->payloads[0], not_signed, {});
  ASSERT_TRUE(image);
  const std::uint64_t begin = capsule->fmp->payloads[0].image.offset;
  EXPECT_EQ((Range{begin + 16, size}), image->image().firmware);
  const VerifiedSource verified(source, *image);
  EXPECT_EQ(source.size(), verified.size());
  for (const std::size_t offset :
       {begin - 1, begin, begin + piece_size_bytes - 7, begin + 2 * piece_size_bytes + 5,
        begin + 10, bytes.size() - 3, bytes.size()}) {
    for (const std::size_t count : {std::size_t{0}, std::size_t{3}, piece_size_bytes + 20}) {
      Bytes out(count);
      const Status read = verified.read(offset, out);
      ASSERT_EQ(offset >= begin && count <= bytes.size() - offset, read.has_value()) << offset;
      if (!read) {
        EXPECT_EQ(Errc::out_of_range, read.error().code);
        continue;
      }
      EXPECT_TRUE(std::ranges::equal(out, std::span(bytes).subspan(offset, count)));
    }
  }
}

/// Attack: CVE-2020-25860's class, another image between verification and writing.
TEST(VerifiedSource, BytesThatChangeAfterVerificationAreNotRead) {
  EFISTORE_NEED_VECTORS();
  CountingSource source(large_capsule(3 * piece_size_bytes));
  const auto capsule = parse_capsule(source);
  const auto image = VerifiedImage::verify(source, capsule->fmp->payloads[0], not_signed, {});
  ASSERT_TRUE(image);
  source.bytes().back() ^= std::byte{1};
  const VerifiedSource verified(source, *image);
  Bytes out(100);
  EXPECT_TRUE(verified.read(image->image().firmware.offset, out));
  const std::uint64_t last = source.bytes().size() - 100;
  const Status read = verified.read(last, out);
  ASSERT_FALSE(read);
  EXPECT_EQ(Errc::damaged, read.error().code);
  EXPECT_THAT(read.error().message, HasSubstr("have changed since they were verified"));
  // And again when they are as they were.
  source.bytes().back() ^= std::byte{1};
  EXPECT_TRUE(verified.read(last, out));
}

TEST(Verify, LargeFirmwareIsReadInPieces) {
  EFISTORE_NEED_VECTORS();
  const CountingSource source(large_capsule(std::size_t{64} << 20));
  const auto capsule = parse_capsule(source);
  ASSERT_TRUE(VerifiedImage::verify(source, capsule->fmp->payloads[0], not_signed, {}));
  EXPECT_EQ(piece_size_bytes, source.largest_read());
}

TEST(Verify, EveryFailedReadIsADeviceError) {
  EFISTORE_NEED_VECTORS();
  CountingSource source(load("edk2/e34-multi-signed-depex.cap"));
  const auto capsule = parse_capsule(source);
  const std::vector trusted = {certificate("keys/root.der")};
  const auto verify = [&] {
    return VerifiedImage::verify(source, capsule->fmp->payloads[1], {}, trusted);
  };
  source.fail_at(0);
  ASSERT_TRUE(verify());
  const std::size_t reads = source.reads();
  for (std::size_t read = 1; read <= reads; ++read) {
    source.fail_at(read);
    const auto image = verify();
    ASSERT_FALSE(image) << read;
    EXPECT_EQ(EfiStatus::device_error, image.error().status) << read;
    EXPECT_EQ(LastAttemptStatus::unsuccessful, image.error().last_attempt);
  }
}

TEST(Verify, DependencyIsThatWhichWasSigned) {
  EFISTORE_NEED_VECTORS();
  const Bytes bytes = load("edk2/e34-multi-signed-depex.cap");
  const MemorySource source(bytes);
  const auto capsule = parse_capsule(source);
  const std::vector trusted = {certificate("keys/root.der")};
  const auto image = VerifiedImage::verify(source, capsule->fmp->payloads[1], {}, trusted);
  ASSERT_TRUE(image);
  EXPECT_EQ("010000010000d52b5f6f5b3e0c4b9c5d2c9a4e4c1a010a0d", to_hex(image->dependency()));
  EXPECT_EQ(trusted[0], image->anchor());
}

}  // namespace
}  // namespace efistore::capsule::test
