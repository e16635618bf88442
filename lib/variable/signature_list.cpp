// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/variable/signature_list.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "efistore/base/bytes.hpp"
#include "efistore/crypto/certificate.hpp"

namespace efistore::variable {

namespace {

/// SignatureType, SignatureListSize, SignatureHeaderSize, SignatureSize.
constexpr std::size_t list_header_size = 28;
constexpr std::size_t owner_size = 16;

struct KnownType {
  Guid guid;
  std::string_view name;
  std::optional<std::uint32_t> data_size;  ///< without the owner; none if it varies
};

/// No known type has a SignatureHeader.
constexpr std::array known_types{
    KnownType{signature_types::sha1, "SHA1", 20},
    KnownType{signature_types::sha224, "SHA224", 28},
    KnownType{signature_types::sha256, "SHA256", 32},
    KnownType{signature_types::sha384, "SHA384", 48},
    KnownType{signature_types::sha512, "SHA512", 64},
    KnownType{signature_types::rsa2048, "RSA2048", 256},
    KnownType{signature_types::rsa2048_sha1, "RSA2048_SHA1", 256},
    KnownType{signature_types::rsa2048_sha256, "RSA2048_SHA256", 256},
    KnownType{signature_types::x509, "X509", std::nullopt},
    // The digest of a TBSCertificate and an EFI_TIME.
    KnownType{signature_types::x509_sha256, "X509_SHA256", 32 + 16},
    KnownType{signature_types::x509_sha384, "X509_SHA384", 48 + 16},
    KnownType{signature_types::x509_sha512, "X509_SHA512", 64 + 16},
};

const KnownType* find_type(const Guid& guid) noexcept {
  const auto found = std::ranges::find(known_types, guid, &KnownType::guid);
  return found == known_types.end() ? nullptr : &*found;
}

tl::unexpected<Error> broken(std::size_t offset, const std::string& what) {
  return fail(Errc::invalid_argument, fmt::format("signature list at byte {}: {}", offset, what));
}

/// One list at the front of `data`, which is what is left from `offset` on.
Result<SignatureList> parse_list(std::span<const std::byte> data, std::size_t offset) {
  ByteReader reader(data);
  const auto type = reader.take(16);
  const std::uint32_t list_size = reader.u32();
  const std::uint32_t header_size = reader.u32();
  const std::uint32_t signature_size = reader.u32();
  if (!reader.ok()) {
    return broken(offset, fmt::format("its header takes {} bytes, and there are {}",
                                      list_header_size, data.size()));
  }
  if (list_size < list_header_size || list_size > data.size()) {
    return broken(offset, fmt::format("SignatureListSize is {}, expected {} to {}", list_size,
                                      list_header_size, data.size()));
  }
  if (header_size > list_size - list_header_size) {
    return broken(offset, fmt::format("SignatureHeaderSize is {}, and there are {} bytes",
                                      header_size, list_size - list_header_size));
  }
  if (signature_size <= owner_size) {
    return broken(offset, fmt::format("SignatureSize is {}, expected more than the owner's {}",
                                      signature_size, owner_size));
  }
  const std::uint32_t signatures_size =
      list_size - static_cast<std::uint32_t>(list_header_size) - header_size;
  if (signatures_size % signature_size != 0) {
    return broken(offset, fmt::format("signatures of {} bytes do not fill {}", signature_size,
                                      signatures_size));
  }
  SignatureList list{.type = Guid::from_bytes(type),
                     .header = reader.take(header_size),
                     .signature_size = signature_size,
                     .signatures = {},
                     .offset = offset};
  for (std::uint32_t i = 0; i < signatures_size / signature_size; ++i) {
    const std::size_t at = offset + reader.position();
    const Guid owner = Guid::from_bytes(reader.take(owner_size));
    list.signatures.push_back({.type = list.type,
                               .owner = owner,
                               .data = reader.take(signature_size - owner_size),
                               .offset = at});
  }
  return list;
}

std::size_t size_of(const SignatureList& list) noexcept {
  return list_header_size + list.header.size() + list.signatures.size() * list.signature_size;
}

Status check_list(const SignatureList& list) {
  const KnownType* type = find_type(list.type);
  if (type == nullptr) {
    return broken(list.offset,
                  fmt::format("its type, {}, is none that is known", to_string(list.type)));
  }
  if (!list.header.empty()) {
    return broken(list.offset, fmt::format("SignatureHeaderSize is {}, expected 0 for {}",
                                           list.header.size(), type->name));
  }
  const std::size_t data_size = list.signature_size - owner_size;
  if (type->data_size && data_size != *type->data_size) {
    return broken(list.offset,
                  fmt::format("SignatureSize is {}, expected {} for {}", list.signature_size,
                              owner_size + *type->data_size, type->name));
  }
  return {};
}

Status check_certificate(const Signature& signature) {
  const auto certificate = crypto::Certificate::from_der(signature.data);
  if (!certificate) {
    return fail(Errc::invalid_argument, fmt::format("signature at byte {}: {}", signature.offset,
                                                    certificate.error().message));
  }
  if (certificate->key_type() == crypto::KeyType::other) {
    return fail(Errc::invalid_argument,
                fmt::format("signature at byte {}: the certificate's key is neither RSA nor EC",
                            signature.offset));
  }
  return {};
}

void append(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void append_list_header(std::vector<std::byte>& out, const Guid& type, std::size_t list_size,
                        std::size_t header_size, std::size_t signature_size) {
  std::array<std::byte, list_header_size> header{};
  ByteWriter writer(header);
  writer.bytes(type.bytes);
  writer.u32(static_cast<std::uint32_t>(list_size));
  writer.u32(static_cast<std::uint32_t>(header_size));
  writer.u32(static_cast<std::uint32_t>(signature_size));
  append(out, header);
}

/// A signature as it compares: its type, and owner and data.
using Key = std::pair<Guid, std::string_view>;

Key key_of(const Signature& signature, std::span<const std::byte> whole) noexcept {
  const auto bytes = whole.subspan(signature.offset, owner_size + signature.data.size());
  return {signature.type, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}};
}

}  // namespace

Result<std::vector<SignatureList>> parse_signature_lists(std::span<const std::byte> data) {
  std::vector<SignatureList> lists;
  std::size_t signatures = 0;
  // Every list takes at least its header, so this ends within the data.
  for (std::size_t at = 0; at < data.size();) {
    auto list = parse_list(data.subspan(at), at);
    if (!list) return forward(std::move(list));
    signatures += list->signatures.size();
    if (signatures > max_signatures) {
      return broken(at, fmt::format("there are more than {} signatures", max_signatures));
    }
    at += size_of(*list);
    lists.push_back(*std::move(list));
  }
  return lists;
}

Status check_signature_lists(std::span<const std::byte> data, bool platform_key) {
  auto lists = parse_signature_lists(data);
  if (!lists) return forward(std::move(lists));
  std::size_t signatures = 0;
  std::size_t certificates = 0;
  for (const SignatureList& list : *lists) {
    if (Status checked = check_list(list); !checked) return checked;
    signatures += list.signatures.size();
    if (list.type != signature_types::x509) {
      if (platform_key) return broken(list.offset, "a platform key is a certificate");
      continue;
    }
    certificates += list.signatures.size();
    if (certificates > max_listed_certificates) {
      return broken(list.offset,
                    fmt::format("there are more than {} certificates", max_listed_certificates));
    }
    for (const Signature& signature : list.signatures) {
      if (Status checked = check_certificate(signature); !checked) return checked;
    }
  }
  if (platform_key && !lists->empty() && signatures != 1) {
    return broken(0,
                  fmt::format("a platform key is one certificate, and there are {}", signatures));
  }
  return {};
}

std::vector<std::byte> new_signatures(std::span<const std::byte> present,
                                      std::span<const std::byte> added) {
  const auto present_lists = parse_signature_lists(present);
  const auto added_lists = parse_signature_lists(added);
  std::vector<std::byte> out;
  if (!added_lists) return out;
  std::set<Key> known;
  if (present_lists) {
    for (const SignatureList& list : *present_lists) {
      for (const Signature& signature : list.signatures) known.insert(key_of(signature, present));
    }
  }
  for (const SignatureList& list : *added_lists) {
    std::vector<std::byte> signatures;
    for (const Signature& signature : list.signatures) {
      if (!known.insert(key_of(signature, added)).second) continue;
      append(signatures, added.subspan(signature.offset, list.signature_size));
    }
    if (signatures.empty()) continue;
    append_list_header(out, list.type, list_header_size + list.header.size() + signatures.size(),
                       list.header.size(), list.signature_size);
    append(out, list.header);
    append(out, signatures);
  }
  return out;
}

std::vector<std::byte> make_signature_list(const Guid& type, const Guid& owner,
                                           std::span<const std::span<const std::byte>> entries) {
  std::vector<std::byte> out;
  if (entries.empty()) return out;
  const std::size_t signature_size = owner_size + entries.front().size();
  append_list_header(out, type, list_header_size + entries.size() * signature_size, 0,
                     signature_size);
  for (const auto entry : entries) {
    append(out, owner.bytes);
    append(out, entry);
  }
  return out;
}

std::string_view signature_type_name(const Guid& type) noexcept {
  const KnownType* known = find_type(type);
  return known == nullptr ? std::string_view() : known->name;
}

std::vector<std::byte> signature_support() {
  std::vector<std::byte> out;
  for (const Guid& type :
       {signature_types::sha1, signature_types::sha256, signature_types::sha384,
        signature_types::sha512, signature_types::rsa2048, signature_types::x509}) {
    append(out, type.bytes);
  }
  return out;
}

}  // namespace efistore::variable
