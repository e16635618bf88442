// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/capsule/capsule.hpp"

#include <gmock/gmock.h>

#include <algorithm>

#include "efistore/capsule/last_attempt_status.hpp"

#include "capsule/capsule_support.hpp"

namespace efistore::capsule::test {
namespace {

using ::testing::HasSubstr;

std::string error_of(const Bytes& bytes) {
  const auto capsule = parse_capsule(MemorySource(bytes));
  return capsule ? "" : capsule.error().message;
}

/// What is said of the first payload's image.
std::string image_error(const Bytes& bytes, const ImageForm& form) {
  const MemorySource source(bytes);
  const auto capsule = parse_capsule(source);
  if (!capsule) return capsule.error().message;
  const auto image = parse_image(source, capsule->fmp->payloads.at(0), form);
  return image ? "" : image.error().message;
}

/// Each error names the field, where it stands, what it is and what was expected.
TEST(Capsule, ErrorsNameFieldOffsetAndExpectation) {
  EFISTORE_NEED_VECTORS();
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"n001", "capsule header at byte 0: it takes 28 bytes, and there are 27"},
      {"n004", "capsule header: CapsuleImageSize at byte 24 is 4207, expected 4208, the bytes"},
      {"n005", "capsule header: CapsuleImageSize at byte 24 is 0, expected 4208"},
      {"n006", "capsule header: CapsuleImageSize at byte 24 is 4294967295, expected 4208"},
      {"n007", "capsule header: HeaderSize at byte 16 is 0, expected 28 to 4208"},
      {"n009", "FMP capsule header at byte 4208: it takes 8 bytes, and there are 0"},
      {"n011", "FMP capsule header at byte 4201: it takes 8 bytes, and there are 7"},
      {"n020", "FMP capsule header: Version at byte 32 is 0, expected 1"},
      {"n021", "FMP capsule header: Version at byte 32 is 2, expected 1"},
      {"n023",
       "EmbeddedDriverCount and PayloadItemCount at byte 36 is 131070, expected at most 255"},
      {"n026", "FMP capsule header: ItemOffsetList[0] at byte 40 is 4176, expected 16 to 4175"},
      {"n027", "payload 0: FMP image header at byte 4207: it takes 4 bytes, and there are 1"},
      {"n040", "payload 0: FMP image header: Version at byte 48 is 0, expected 1 to 3"},
      {"n041", "payload 0: FMP image header: Version at byte 48 is 4, expected 1 to 3"},
      {"n045", "UpdateVendorCodeSize at byte 76 is 0, expected 1, what the image leaves"},
      {"n046", "UpdateVendorCodeSize at byte 76 is 0, expected 4112"},
      {"n047", "UpdateImageSize at byte 72 is 4294967295, expected at most 4112"},
      {"n048", "UpdateImageSize at byte 72 is"},
      {"n019", "more than 4 capsules are in one another"},
      {"x04", "display capsule: ImageType at byte 30 is 1, expected 0, a bitmap"},
      {"x06", "bitmap: biWidth at byte 62 is 2147483647, expected 1 to 16384"},
      {"x12", "capsule header: CapsuleImageSize at byte 24 is 41, expected an even number"},
  };
  for (const auto& [name, message] : cases) {
    EXPECT_THAT(error_of(load("neg/" + name + ".cap")), HasSubstr(message)) << name;
  }
}

TEST(Capsule, ErrorsOfImagesNameFieldOffsetAndExpectation) {
  EFISTORE_NEED_VECTORS();
  const std::vector<std::pair<std::string, std::string>> authenticated = {
      {"n061", "FMP image authentication: dwLength at byte 104 is 23, expected 25 to"},
      {"n063", "dwLength at byte 104 is 4294967295, expected 25 to"},
      {"n064", "dwLength at byte 104 is 4294967288, expected 25 to"},
      {"n067", "wRevision at byte 108 is 0x0100, expected 0x0200"},
      {"n069", "CertType at byte 112 is a7717414-c616-4977-9420-844712a735bf, expected 4aafd29d"},
  };
  for (const auto& [name, message] : authenticated) {
    EXPECT_THAT(image_error(load("neg/" + name + ".cap"), {}), HasSubstr(message)) << name;
  }
  const std::vector<std::pair<std::string, std::string>> plain = {
      {"n090", "neither an FMP payload header nor a dependency stands at byte"},
      {"n091", "FMP payload header: HeaderSize at byte"},
      {"n092", "is 4294967295, expected 16 to"},
      {"n094", "is 16, expected 16, and firmware behind it"},
      {"n096", "it takes 16 bytes, and there are 15"},
      {"n097", "HeaderSize at byte"},
      {"n100", "no END (0x0d)"},
      {"n101", "the opcode at byte 0 is 0x0f, expected 0x00 to 0x0e"},
      {"n102", "the GUID at byte 0 is cut off by the end, 16"},
      {"n103", "the version at byte 0 is cut off by the end, 3"},
  };
  for (const auto& [name, message] : plain) {
    EXPECT_THAT(image_error(load("neg/" + name + ".cap"), {.authenticated = false}),
                HasSubstr(message))
        << name;
  }
}

TEST(Capsule, HeadersOfEverySizeCount) {
  EFISTORE_NEED_VECTORS();
  for (const std::string name : {"neg/n017.cap", "edk2/e01-unsigned.cap"}) {
    const Bytes bytes = load(name);
    const auto capsule = parse_capsule(MemorySource(bytes));
    ASSERT_TRUE(capsule) << capsule.error().message;
    EXPECT_EQ(CapsuleKind::fmp, capsule->kind);
    EXPECT_EQ(type_a, capsule->fmp->payloads.at(0).header.type_id);
  }
  const Bytes nested = load("neg/n017.cap");
  const auto capsule = parse_capsule(MemorySource(nested));
  ASSERT_EQ(1U, capsule->wrappers.size());
  EXPECT_EQ(type_a, capsule->outer().guid);
  EXPECT_EQ(4096U, capsule->outer().header_size);
  EXPECT_EQ(4096U, capsule->header.offset);
}

TEST(Capsule, AHeaderOfAResourceAroundOtherDataIsOfAnUnknownKind) {
  Bytes bytes(100);
  std::ranges::copy(type_a.bytes, bytes.begin());
  put_u32(bytes, 16, 28);
  put_u32(bytes, 24, 100);
  const auto capsule = parse_capsule(MemorySource(bytes));
  ASSERT_TRUE(capsule) << capsule.error().message;
  EXPECT_EQ(CapsuleKind::unknown, capsule->kind);
  EXPECT_TRUE(capsule->wrappers.empty());
  EXPECT_EQ((Range{28, 72}), capsule->header.body());
}

/// A valid one in `depth` headers.
Bytes wrapped(Bytes inner, std::size_t depth) {
  for (; depth > 0; --depth) {
    Bytes outer(28);
    std::ranges::copy(type_b.bytes, outer.begin());
    put_u32(outer, 16, 28);
    outer.insert(outer.end(), inner.begin(), inner.end());
    put_u32(outer, 24, static_cast<std::uint32_t>(outer.size()));
    inner = std::move(outer);
  }
  return inner;
}

TEST(Capsule, AsManyHeadersAroundItAsAreAllowed) {
  EFISTORE_NEED_VECTORS();
  const Bytes inner = load("edk2/e01-unsigned.cap");
  const Bytes most = wrapped(inner, max_wrappers);
  const auto capsule = parse_capsule(MemorySource(most));
  ASSERT_TRUE(capsule) << capsule.error().message;
  EXPECT_EQ(max_wrappers, capsule->wrappers.size());
  EXPECT_THAT(error_of(wrapped(inner, max_wrappers + 1)), HasSubstr("in one another"));
}

TEST(Capsule, FlagsThatDoNotGoTogether) {
  EFISTORE_NEED_VECTORS();
  const auto flags_error = [](std::string_view name) {
    const Bytes bytes = load(name);
    const Status checked = check_flags(parse_capsule(MemorySource(bytes))->header);
    return checked ? "" : checked.error().message;
  };
  EXPECT_THAT(flags_error("neg/n012.cap"), HasSubstr("Flags at byte 20 is 0x00020000, expected"));
  EXPECT_THAT(flags_error("neg/n013.cap"), HasSubstr("Flags at byte 20 is 0x00040000, expected"));
  EXPECT_EQ("", flags_error("neg/n015.cap"));
  EXPECT_EQ("", flags_error("edk2/e03-unsigned-initreset-oem.cap"));
  CapsuleHeader header;
  header.guid = guids::fmp_capsule;
  header.flags = flags::persist_across_reset | flags::populate_system_table;
  EXPECT_FALSE(check_flags(header));
  header.guid = type_a;
  EXPECT_TRUE(check_flags(header));
}

TEST(Capsule, DisplayCapsule) {
  EFISTORE_NEED_VECTORS();
  Bytes bytes = load("neg/x01.cap");
  const auto capsule = parse_capsule(MemorySource(bytes));
  ASSERT_TRUE(capsule) << capsule.error().message;
  ASSERT_EQ(CapsuleKind::display, capsule->kind);
  EXPECT_EQ(16U, capsule->display->width_pixels);
  EXPECT_EQ(8U, capsule->display->height_pixels);
  EXPECT_EQ(10U, capsule->display->offset_x);
  EXPECT_EQ(20U, capsule->display->offset_y);
  bytes.back() ^= std::byte{1};
  EXPECT_THAT(error_of(bytes), HasSubstr("CheckSum at byte 29 is 107, expected 10"));
}

TEST(Capsule, JsonCapsule) {
  EFISTORE_NEED_VECTORS();
  Bytes bytes = load("neg/x20.cap");
  const auto capsule = parse_capsule(MemorySource(bytes));
  ASSERT_TRUE(capsule) << capsule.error().message;
  ASSERT_EQ(CapsuleKind::json, capsule->kind);
  EXPECT_EQ(1U, capsule->json->capsule_id);
  EXPECT_EQ((Range{40, 7}), capsule->json->payload);
  put_u32(bytes, 36, 8);
  EXPECT_THAT(error_of(bytes), HasSubstr("PayloadLength at byte 36 is 8, expected 7"));
  put_u32(bytes, 28, 2);
  EXPECT_THAT(error_of(bytes), HasSubstr("Version at byte 28 is 2, expected 1"));
}

TEST(Capsule, FileNames) {
  EFISTORE_NEED_VECTORS();
  Bytes bytes = load("neg/x12.cap");
  // "a.cap" and the odd byte: the last character becomes a NUL.
  bytes.resize(28);
  for (const char c : std::string_view("a.cap\0b\0", 8)) {
    bytes.push_back(static_cast<std::byte>(c));
    bytes.push_back(std::byte{0});
  }
  put_u32(bytes, 24, static_cast<std::uint32_t>(bytes.size()));
  const auto capsule = parse_capsule(MemorySource(bytes));
  ASSERT_TRUE(capsule) << capsule.error().message;
  EXPECT_THAT(capsule->file_names, ::testing::ElementsAre(u"a.cap", u"b"));
  bytes.resize(bytes.size() - 2);
  put_u32(bytes, 24, static_cast<std::uint32_t>(bytes.size()));
  EXPECT_THAT(error_of(bytes), HasSubstr("lacks its NUL"));
}

TEST(Capsule, AcceptAndRevert) {
  EFISTORE_NEED_VECTORS();
  Bytes accept = load("uboot/u05-old-accept.cap");
  EXPECT_EQ(type_a, parse_capsule(MemorySource(accept))->accepted_type);
  // U-Boot reads 16 bytes behind the header whether they are there or not.
  accept.resize(28);
  put_u32(accept, 24, 28);
  EXPECT_THAT(error_of(accept), HasSubstr("CapsuleImageSize at byte 24 is 28, expected 44"));
  Bytes revert = load("uboot/u06-old-revert.cap");
  EXPECT_EQ(CapsuleKind::revert, parse_capsule(MemorySource(revert))->kind);
  revert.push_back(std::byte{0});
  put_u32(revert, 24, 29);
  EXPECT_THAT(error_of(revert), HasSubstr("expected 28: the header alone"));
}

/// Only headers are read, never more at a time than a limit.
TEST(Capsule, ReadsWhatItNeeds) {
  EFISTORE_NEED_VECTORS();
  Bytes bytes = load("edk2/e01-unsigned.cap");
  const std::size_t more = std::size_t{64} << 20;
  bytes.resize(bytes.size() + more);
  put_u32(bytes, 24, static_cast<std::uint32_t>(bytes.size()));
  put_u32(bytes, 72, static_cast<std::uint32_t>(4112 + more));
  const CountingSource source(std::move(bytes));
  const auto capsule = parse_capsule(source);
  ASSERT_TRUE(capsule) << capsule.error().message;
  ASSERT_TRUE(parse_image(source, capsule->fmp->payloads[0], {.authenticated = false}));
  EXPECT_GE(64U, source.largest_read());
  EXPECT_GE(12U, source.reads());
}

/// A medium that fails is told apart from a capsule that is wrong.
TEST(Capsule, EveryFailedReadIsTold) {
  EFISTORE_NEED_VECTORS();
  for (const std::string name : {"edk2/e34-multi-signed-depex.cap", "neg/n017.cap", "neg/x01.cap",
                                 "neg/x20.cap", "uboot/u05-old-accept.cap", "neg/x06.cap"}) {
    CountingSource source(load(name));
    const auto parse = [&source] {
      const auto capsule = parse_capsule(source);
      if (!capsule || !capsule->fmp)
        return capsule ? Status() : Status(tl::unexpected(capsule.error()));
      for (const Payload& payload : capsule->fmp->payloads) {
        const auto form = guess_image_form(source, payload);
        if (!form) return Status(tl::unexpected(form.error()));
        const auto image = parse_image(source, payload, *form);
        if (!image) return Status(tl::unexpected(image.error()));
      }
      return Status();
    };
    source.fail_at(0);
    (void)parse();
    const std::size_t reads = source.reads();
    ASSERT_LT(0U, reads);
    for (std::size_t read = 1; read <= reads; ++read) {
      source.fail_at(read);
      const Status status = parse();
      ASSERT_FALSE(status) << name << ", read " << read;
      EXPECT_EQ(Errc::io, status.error().code) << name << ", read " << read;
    }
  }
}

/// Whatever one byte becomes: an error or a capsule whose parts are inside of it.
TEST(Capsule, EveryByteOfTheHeadersInEveryValueIsSafe) {
  EFISTORE_NEED_VECTORS();
  const Bytes original = load("edk2/e34-multi-signed-depex.cap");
  for (std::size_t at = 0; at < 160; ++at) {
    for (unsigned value = 0; value < 256; ++value) {
      Bytes bytes = original;
      bytes[at] = static_cast<std::byte>(value);
      const MemorySource source(bytes);
      const auto capsule = parse_capsule(source);
      if (!capsule || !capsule->fmp) continue;
      for (const Payload& payload : capsule->fmp->payloads) {
        ASSERT_LE(payload.vendor_code.end(), bytes.size());
        const auto image = parse_image(source, payload, {});
        if (!image) continue;
        ASSERT_LE(image->firmware.end(), payload.image.end());
      }
    }
  }
}

/// fwupd reads a status above 7 as success.
TEST(LastAttemptStatus, EveryStatusHasAStandardOneThatIsNoSuccess) {
  for (std::uint32_t value = 0; value < 0x4000; ++value) {
    const auto standard = standard_status(LastAttemptStatus{value});
    EXPECT_GE(LastAttemptStatus::power_battery, standard);
    EXPECT_EQ(value == 0, standard == LastAttemptStatus::success) << value;
  }
}

}  // namespace
}  // namespace efistore::capsule::test
