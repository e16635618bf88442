// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Signature lists, built byte by byte.
#include "efistore/variable/signature_list.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <optional>

#include "efistore/base/bytes.hpp"
#include "efistore/crypto/certificate.hpp"

#include "support/authority.hpp"

namespace efistore::variable {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace literals;
namespace types = signature_types;

using Bytes = std::vector<std::byte>;

constexpr Guid owner = "11223344-5566-7788-99aa-bbccddeeff00"_guid;
constexpr Guid other_owner = "01223344-5566-7788-99aa-bbccddeeff00"_guid;
constexpr Guid unknown_type = "99999999-5566-7788-99aa-bbccddeeff00"_guid;

/// A list with every field as one likes.
struct Fields {
  Guid type = types::sha256;
  std::optional<std::uint32_t> list_size = {};
  std::uint32_t header_size = 0;
  std::uint32_t signature_size = 48;
  Bytes rest = {};  ///< header and signatures
};

Bytes list_of(const Fields& fields) {
  Bytes bytes(28 + fields.rest.size());
  ByteWriter writer(bytes);
  writer.bytes(fields.type.bytes);
  writer.u32(fields.list_size.value_or(static_cast<std::uint32_t>(bytes.size())));
  writer.u32(fields.header_size);
  writer.u32(fields.signature_size);
  writer.bytes(fields.rest);
  return bytes;
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Bytes repeated(std::size_t count, std::uint8_t value = 0) {
  return Bytes(count, std::byte{value});
}

Bytes list(const Guid& type, std::initializer_list<Bytes> entries, const Guid& of = owner) {
  const std::vector<std::span<const std::byte>> spans(entries.begin(), entries.end());
  return make_signature_list(type, of, spans);
}

Bytes hash(std::uint8_t value) {
  return repeated(32, value);
}

/// The same for the same kind and number.
const Bytes& certificate(const std::string& kind = "EC:P-256", int number = 0) {
  static std::map<std::pair<std::string, int>, Bytes> made;
  Bytes& der = made[{kind, number}];
  if (der.empty()) der = test::issue(test::test_key(kind), {.serial = 100 + number}).der;
  return der;
}

std::string refusal(const Bytes& data, bool platform_key = false) {
  const Status status = check_signature_lists(data, platform_key);
  if (status) return "";
  EXPECT_EQ(Errc::invalid_argument, status.error().code);
  return status.error().message;
}

TEST(SignatureLists, AreReadWithTheirPlaces) {
  const Bytes data = list(types::sha256, {hash(1), hash(2)}) +
                     list_of({.type = unknown_type,
                              .header_size = 3,
                              .signature_size = 17,
                              .rest = repeated(3, 7) + repeated(16, 8) + repeated(1, 9)});
  const auto lists = parse_signature_lists(data);
  ASSERT_TRUE(lists) << lists.error().message;
  ASSERT_THAT(*lists, SizeIs(2));
  const SignatureList& first = lists->front();
  EXPECT_EQ(types::sha256, first.type);
  EXPECT_THAT(first.header, IsEmpty());
  EXPECT_EQ(48U, first.signature_size);
  EXPECT_EQ(0U, first.offset);
  ASSERT_THAT(first.signatures, SizeIs(2));
  EXPECT_EQ(types::sha256, first.signatures[1].type);
  EXPECT_EQ(owner, first.signatures[1].owner);
  EXPECT_TRUE(equal_bytes(hash(2), first.signatures[1].data));
  EXPECT_EQ(28U + 48U, first.signatures[1].offset);
  const SignatureList& second = lists->back();
  EXPECT_EQ(124U, second.offset);
  EXPECT_TRUE(equal_bytes(repeated(3, 7), second.header));
  ASSERT_THAT(second.signatures, SizeIs(1));
  EXPECT_EQ(124U + 28U + 3U, second.signatures[0].offset);
  EXPECT_TRUE(equal_bytes(repeated(1, 9), second.signatures[0].data));
}

TEST(SignatureLists, NoBytesAreNoLists) {
  EXPECT_THAT(*parse_signature_lists({}), IsEmpty());
  EXPECT_EQ("", refusal({}));
  EXPECT_EQ("", refusal({}, true));
}

TEST(SignatureLists, TruncatedAnywhereAreRefused) {
  const Bytes data = list(types::sha256, {hash(1)}) + list(types::sha1, {repeated(20)});
  for (std::size_t size = 1; size < data.size(); ++size) {
    if (size == 76) continue;  // the first list alone
    EXPECT_FALSE(parse_signature_lists(std::span(data).first(size))) << size;
  }
  EXPECT_FALSE(parse_signature_lists(data + repeated(1)));
}

TEST(SignatureLists, SizesThatDoNotAddUpAreRefused) {
  const Bytes rest = repeated(48);
  for (const std::uint32_t size : {0U, 27U, 28U + 47U, 28U + 49U, 0x80000000U, 0xffffffffU}) {
    EXPECT_FALSE(parse_signature_lists(list_of({.list_size = size, .rest = rest}))) << size;
  }
  for (const std::uint32_t size : {1U, 49U, 0xffffffe4U, 0xffffffffU}) {
    EXPECT_FALSE(parse_signature_lists(list_of({.header_size = size, .rest = rest}))) << size;
  }
  for (const std::uint32_t size : {0U, 1U, 15U, 16U, 47U, 96U, 0xffffffffU}) {
    EXPECT_FALSE(parse_signature_lists(list_of({.signature_size = size, .rest = rest}))) << size;
  }
}

TEST(SignatureLists, MessagesNameThePlace) {
  const Bytes data = list(types::sha256, {hash(1)}) + list_of({.list_size = 5});
  const auto lists = parse_signature_lists(data);
  ASSERT_FALSE(lists);
  EXPECT_EQ("signature list at byte 76: SignatureListSize is 5, expected 28 to 28",
            lists.error().message);
}

TEST(SignatureLists, NumberOfSignaturesIsLimited) {
  const auto many = [](std::size_t count) {
    return list_of({.type = unknown_type, .signature_size = 17, .rest = repeated(17 * count)});
  };
  EXPECT_TRUE(parse_signature_lists(many(max_signatures)));
  EXPECT_FALSE(parse_signature_lists(many(max_signatures + 1)));
}

struct TypeCase {
  std::string name;
  Guid guid;
  std::uint32_t size;
};

const std::vector<TypeCase> fixed_types{
    {"SHA1", types::sha1, 20},
    {"SHA224", types::sha224, 28},
    {"SHA256", types::sha256, 32},
    {"SHA384", types::sha384, 48},
    {"SHA512", types::sha512, 64},
    {"RSA2048", types::rsa2048, 256},
    {"RSA2048_SHA1", types::rsa2048_sha1, 256},
    {"RSA2048_SHA256", types::rsa2048_sha256, 256},
    {"X509_SHA256", types::x509_sha256, 48},
    {"X509_SHA384", types::x509_sha384, 64},
    {"X509_SHA512", types::x509_sha512, 80},
};

TEST(SignatureListTypes, HaveTheirSizesAndNames) {
  for (const auto& [name, guid, size] : fixed_types) {
    EXPECT_EQ(name, signature_type_name(guid));
    EXPECT_EQ("", refusal(list(guid, {repeated(size), repeated(size, 1)}))) << name;
    for (const std::uint32_t wrong : {size - 1, size + 1, 1U}) {
      EXPECT_THAT(refusal(list(guid, {repeated(wrong)})), HasSubstr("expected")) << name;
    }
    const Bytes with_header = list_of({.type = guid,
                                       .header_size = 1,
                                       .signature_size = 16 + size,
                                       .rest = repeated(1 + 16 + size)});
    EXPECT_TRUE(parse_signature_lists(with_header));
    EXPECT_THAT(refusal(with_header), HasSubstr("SignatureHeaderSize is 1")) << name;
  }
  EXPECT_EQ("X509", signature_type_name(types::x509));
}

TEST(SignatureListTypes, UnknownOnesAreRefused) {
  EXPECT_EQ("", signature_type_name(unknown_type));
  EXPECT_THAT(refusal(list(unknown_type, {hash(1)})), HasSubstr("is none that is known"));
  EXPECT_THAT(refusal(list(types::sha256, {hash(1)}) + list(unknown_type, {hash(1)})),
              HasSubstr("at byte 76"));
}

TEST(SignatureListTypes, EmptyListsAreAccepted) {
  EXPECT_EQ("", refusal(list_of({})));
  EXPECT_EQ("", refusal(list_of({}) + list(types::sha256, {hash(1)})));
  EXPECT_NE("", refusal(list_of({.signature_size = 47})));
  EXPECT_NE("", refusal(list_of({.type = unknown_type})));
}

TEST(SignatureListCertificates, MayBeOfRsaAndEc) {
  EXPECT_EQ("", refusal(list(types::x509, {certificate("RSA:2048")})));
  EXPECT_EQ("", refusal(list(types::x509, {certificate("EC:P-384")})));
  EXPECT_THAT(refusal(list(types::x509, {certificate("ED25519")})),
              HasSubstr("neither RSA nor EC"));
}

TEST(SignatureListCertificates, MustBeExactlyOneEach) {
  EXPECT_THAT(refusal(list(types::x509, {repeated(100, 0x30)})), HasSubstr("no certificate"));
  EXPECT_THAT(refusal(list(types::x509, {certificate() + repeated(1)})), HasSubstr("follow"));
  Bytes cut = certificate();
  cut.pop_back();
  EXPECT_THAT(refusal(list(types::x509, {cut})), HasSubstr("at byte 28"));
}

TEST(SignatureListCertificates, AreAllLookedAt) {
  const Bytes& good = certificate();
  Bytes bad = good;
  bad[0] = std::byte{0x31};
  EXPECT_EQ("", refusal(list(types::x509, {good, good})));
  EXPECT_THAT(refusal(list(types::x509, {good, bad})), HasSubstr("no certificate"));
}

TEST(SignatureListCertificates, NumberIsLimited) {
  Bytes data;
  for (std::size_t i = 0; i < max_listed_certificates; ++i) {
    data = data + list(types::x509, {certificate()});
  }
  EXPECT_EQ("", refusal(data));
  EXPECT_THAT(refusal(data + list(types::x509, {certificate()})), HasSubstr("more than 256"));
}

TEST(PlatformKey, IsOneCertificate) {
  EXPECT_EQ("", refusal(list(types::x509, {certificate()}), true));
  EXPECT_THAT(refusal(list(types::x509, {certificate(), certificate()}), true),
              HasSubstr("there are 2"));
  EXPECT_THAT(
      refusal(list(types::x509, {certificate()}) + list(types::x509, {certificate()}), true),
      HasSubstr("there are 2"));
  EXPECT_THAT(refusal(list(types::sha256, {hash(1)}), true), HasSubstr("is a certificate"));
  EXPECT_THAT(refusal(list_of({.type = types::x509, .signature_size = 17}), true),
              HasSubstr("there are 0"));
}

TEST(NewSignatures, AreThoseThatAreNotThere) {
  const Bytes present = list(types::sha256, {hash(1), hash(2)});
  EXPECT_EQ(list(types::sha256, {hash(3)}),
            new_signatures(present, list(types::sha256, {hash(2), hash(3), hash(1)})));
  EXPECT_EQ(Bytes(), new_signatures(present, list(types::sha256, {hash(2)})));
  EXPECT_EQ(Bytes(), new_signatures(present, present));
  EXPECT_EQ(present, new_signatures({}, present));
  EXPECT_EQ(Bytes(), new_signatures(present, {}));
}

TEST(NewSignatures, DifferByOwnerTypeAndSize) {
  const Bytes present = list(types::sha256, {hash(1)}) + list(types::x509, {certificate()});
  for (const Bytes& added : {list(types::sha256, {hash(1)}, other_owner),
                             list(types::x509, {certificate("EC:P-256", 1)}),
                             list(types::x509_sha256, {repeated(48)})}) {
    EXPECT_EQ(added, new_signatures(present, added));
  }
  // The same bytes under another type.
  const Bytes rsa = list(types::rsa2048, {repeated(256)});
  const Bytes rsa_sha1 = list(types::rsa2048_sha1, {repeated(256)});
  EXPECT_EQ(rsa_sha1, new_signatures(rsa, rsa_sha1));
}

TEST(NewSignatures, KeepTheirListsAndLeaveEmptyOnesOut) {
  const Bytes present = list(types::sha256, {hash(1)});
  const Bytes added = list(types::sha256, {hash(1)}) + list(types::sha1, {repeated(20)}) +
                      list_of({}) + list(types::sha256, {hash(2), hash(1)});
  EXPECT_EQ(list(types::sha1, {repeated(20)}) + list(types::sha256, {hash(2)}),
            new_signatures(present, added));
}

TEST(NewSignatures, AreNotTwiceInWhatIsAdded) {
  EXPECT_EQ(
      list(types::sha256, {hash(1)}),
      new_signatures({}, list(types::sha256, {hash(1), hash(1)}) + list(types::sha256, {hash(1)})));
}

TEST(NewSignatures, OfMalformedBytesAreNone) {
  EXPECT_EQ(Bytes(), new_signatures({}, repeated(10)));
  const Bytes added = list(types::sha256, {hash(1)});
  EXPECT_EQ(added, new_signatures(repeated(10), added));
}

TEST(MakeSignatureList, OfNothingIsNothing) {
  EXPECT_EQ(Bytes(), make_signature_list(types::sha256, owner, {}));
}

TEST(SignatureSupport, HasEdk2sOrder) {
  const Bytes support = signature_support();
  ASSERT_EQ(6U * 16U, support.size());
  std::vector<std::string_view> names;
  for (std::size_t at = 0; at < support.size(); at += 16) {
    names.push_back(signature_type_name(Guid::from_bytes(std::span(support).subspan(at))));
  }
  EXPECT_THAT(names, testing::ElementsAre("SHA1", "SHA256", "SHA384", "SHA512", "RSA2048", "X509"));
}

}  // namespace
}  // namespace efistore::variable
