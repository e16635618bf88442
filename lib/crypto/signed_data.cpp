// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/crypto/signed_data.hpp"

#include <fmt/format.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <optional>

#include "efistore/base/bytes.hpp"

#include "algorithms.hpp"
#include "certificate_access.hpp"
#include "der.hpp"

namespace efistore::crypto {

namespace {

/// OBJECT IDENTIFIER 1.2.840.113549.1.7.2, signedData, with tag and length.
constexpr std::array<std::uint8_t, 11> signed_data_identifier{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                                              0xf7, 0x0d, 0x01, 0x07, 0x02};
/// Of the domain of a chain: 112 bits, which RSA of 2048 bits has.
constexpr int auth_level = 2;

tl::unexpected<Error> refuse(const std::string& what) {
  return fail(Errc::invalid_argument, what);
}

void append_der_header(std::vector<std::byte>& out, std::uint8_t tag, std::size_t size) {
  out.push_back(std::byte{tag});
  std::vector<std::byte> length;
  for (std::size_t rest = size; rest > 0; rest >>= 8) {
    length.insert(length.begin(), static_cast<std::byte>(rest & 0xff));
  }
  if (size < 0x80) {
    out.push_back(static_cast<std::byte>(size));
  } else {
    out.push_back(static_cast<std::byte>(0x80 | length.size()));
    out.insert(out.end(), length.begin(), length.end());
  }
}

/// SignedData in a ContentInfo.
std::vector<std::byte> wrapped(std::span<const std::byte> signed_data) {
  std::vector<std::byte> explicit_tag;
  append_der_header(explicit_tag, der_tag::context_0, signed_data.size());
  const auto identifier = std::as_bytes(std::span(signed_data_identifier));
  std::vector<std::byte> out;
  append_der_header(out, der_tag::sequence,
                    identifier.size() + explicit_tag.size() + signed_data.size());
  out.insert(out.end(), identifier.begin(), identifier.end());
  out.insert(out.end(), explicit_tag.begin(), explicit_tag.end());
  out.insert(out.end(), signed_data.begin(), signed_data.end());
  return out;
}

/// The SignedData inside of `whole`, which is one or is a ContentInfo.
Result<DerValue> find_signed_data(const DerValue& whole) {
  if (whole.tag != der_tag::sequence) return refuse("it does not begin with a SEQUENCE");
  std::span<const std::byte> rest = whole.content;
  const auto first = take_der(rest);
  if (!first || first->tag != der_tag::object_identifier) return whole;
  if (!equal_bytes(first->whole, std::as_bytes(std::span(signed_data_identifier)))) {
    return refuse("the ContentInfo holds something else than SignedData");
  }
  const auto content = take_der(rest);
  if (!content || content->tag != der_tag::context_0 || !rest.empty()) {
    return refuse("the ContentInfo does not hold one SignedData");
  }
  std::span<const std::byte> inside = content->content;
  const auto signed_data = take_der(inside);
  if (!signed_data || signed_data->tag != der_tag::sequence || !inside.empty()) {
    return refuse("the ContentInfo does not hold one SignedData");
  }
  return *signed_data;
}

/// The included certificates, counted before any of them is looked into.
Result<std::vector<Certificate>> included_certificates(const DerValue& signed_data) {
  // version, digestAlgorithms, contentInfo, certificates
  std::span<const std::byte> rest = signed_data.content;
  std::optional<DerValue> field;
  for (int i = 0; i < 4; ++i) field = take_der(rest);
  if (!field || field->tag != der_tag::context_0) return refuse("no certificates are included");
  std::vector<Certificate> certificates;
  for (std::span<const std::byte> set = field->content; !set.empty();) {
    const auto der = take_der(set);
    if (!der) return refuse("the included certificates are malformed");
    if (certificates.size() == max_included_certificates) {
      return refuse(
          fmt::format("more than {} certificates are included", max_included_certificates));
    }
    auto certificate = Certificate::from_der(der->whole);
    if (!certificate) return forward(std::move(certificate), "an included certificate");
    certificates.push_back(*std::move(certificate));
  }
  return certificates;
}

Result<Pkcs7Ptr> read_pkcs7(std::span<const std::byte> content_info) {
  PKCS7* pkcs7 = PKCS7_new_ex(library_context(), nullptr);
  const unsigned char* in = raw(content_info);
  // Frees what it was given if it fails.
  if (d2i_PKCS7(&pkcs7, &in, static_cast<long>(content_info.size())) == nullptr) {
    return refuse(fmt::format("it is not PKCS#7: {}", last_reason()));
  }
  return Pkcs7Ptr(pkcs7);
}

int nid_of(const X509_ALGOR* algorithm) noexcept {
  const ASN1_OBJECT* identifier = nullptr;
  X509_ALGOR_get0(&identifier, nullptr, nullptr, algorithm);
  return OBJ_obj2nid(identifier);
}

/// Parameters may be left out or be NULL: what is accepted here has none.
bool has_parameters(const X509_ALGOR* algorithm) noexcept {
  int type = V_ASN1_UNDEF;
  X509_ALGOR_get0(nullptr, &type, nullptr, algorithm);
  return type != V_ASN1_UNDEF && type != V_ASN1_NULL;
}

/// What UEFI 2.10, 8.2.2 demands of the fields around the SignerInfo.
Status check_signed_data(const PKCS7_SIGNED* signed_data) {
  if (ASN1_INTEGER_get(signed_data->version) != 1) return refuse("its version is not 1");
  if (sk_X509_ALGOR_num(signed_data->md_algs) != 1) {
    return refuse("it does not name exactly one digest algorithm");
  }
  const PKCS7* content = signed_data->contents;
  if (!PKCS7_type_is_data(content)) return refuse("the type of its content is not data");
  if (content->d.data != nullptr) return refuse("it brings content of its own");
  if (signed_data->crl != nullptr) return refuse("it brings revocation lists");
  if (sk_PKCS7_SIGNER_INFO_num(signed_data->signer_info) != 1) {
    return refuse("it does not have exactly one signer");
  }
  return {};
}

/// Signed attributes replace the content under the signature, so they must speak of it: RFC 2315,
/// 9.2. OpenSSL compares the digest when it verifies.
Status check_attributes(const STACK_OF(X509_ATTRIBUTE) * attributes) {
  if (attributes == nullptr) return {};
  int types = 0;
  int digests = 0;
  for (int i = 0; i < sk_X509_ATTRIBUTE_num(attributes); ++i) {
    X509_ATTRIBUTE* attribute = sk_X509_ATTRIBUTE_value(attributes, i);
    const int nid = OBJ_obj2nid(X509_ATTRIBUTE_get0_object(attribute));
    if (nid != NID_pkcs9_contentType && nid != NID_pkcs9_messageDigest) continue;
    if (X509_ATTRIBUTE_count(attribute) != 1) return refuse("a signed attribute has many values");
    ++(nid == NID_pkcs9_contentType ? types : digests);
    const ASN1_TYPE* value = X509_ATTRIBUTE_get0_type(attribute, 0);
    if (nid == NID_pkcs9_contentType && (ASN1_TYPE_get(value) != V_ASN1_OBJECT ||
                                         OBJ_obj2nid(value->value.object) != NID_pkcs7_data)) {
      return refuse("the signed attributes are those of another type of content");
    }
  }
  if (types != 1 || digests != 1) {
    return refuse("the signed attributes do not name the type and the digest of the content once");
  }
  return {};
}

Result<Certificate> find_signer(const PKCS7_SIGNER_INFO* info,
                                std::span<const Certificate> certificates) {
  const PKCS7_ISSUER_AND_SERIAL* wanted = info->issuer_and_serial;
  // Byte by byte, and not as names compare: whoever signs copies it from the certificate.
  const auto issuer = to_der(i2d_X509_NAME, static_cast<const X509_NAME*>(wanted->issuer));
  const Certificate* found = nullptr;
  for (const Certificate& candidate : certificates) {
    const X509* x509 = CertificateAccess::x509(candidate);
    if (!equal_bytes(to_der(i2d_X509_NAME, X509_get_issuer_name(x509)), issuer) ||
        ASN1_INTEGER_cmp(X509_get0_serialNumber(x509), wanted->serial) != 0) {
      continue;
    }
    if (found != nullptr && *found != candidate) {
      return refuse("two included certificates have the signer's issuer and serial number");
    }
    found = &candidate;
  }
  if (found == nullptr) return refuse("the signer's certificate is not included");
  return *found;
}

Status check_signer_info(const PKCS7_SIGNED* signed_data, const PKCS7_SIGNER_INFO* info,
                         const Certificate& signer) {
  if (ASN1_INTEGER_get(info->version) != 1) return refuse("the version of its signer is not 1");
  const int digest = nid_of(info->digest_alg);
  if (!is_accepted_digest(digest)) {
    return refuse("its digest is not SHA-256, SHA-384 or SHA-512");
  }
  const X509_ALGOR* named = sk_X509_ALGOR_value(signed_data->md_algs, 0);
  if (nid_of(named) != digest) return refuse("it names one digest, and its signer another");
  const EVP_PKEY* key = public_key(signer);
  if (Status checked = check_key(key); !checked) {
    return refuse("the signer: " + checked.error().message);
  }
  if (Status checked = check_signature_algorithm(nid_of(info->digest_enc_alg), key, digest);
      !checked) {
    return refuse(checked.error().message);
  }
  if (has_parameters(named) || has_parameters(info->digest_alg) ||
      has_parameters(info->digest_enc_alg)) {
    return refuse("one of its algorithms has parameters");
  }
  return check_attributes(info->auth_attr);
}

/// The certificates, without taking part in their ownership.
X509StackPtr stack_of(std::span<const Certificate> certificates) {
  X509StackPtr stack(sk_X509_new_null());
  for (const Certificate& certificate : certificates) {
    if (sk_X509_push(stack.get(), CertificateAccess::x509(certificate)) == 0) return nullptr;
  }
  return stack;
}

/// Whether a link of a chain may be made of it: a signature by it, and the signature on it.
bool is_usable_link(const Certificate& certificate) {
  return check_key(public_key(certificate)) &&
         check_certificate_signature(CertificateAccess::x509(certificate));
}

Status verify_chain(const Certificate& signer, std::span<const Certificate> included,
                    const Certificate& anchor) {
  if (Status key = check_key(public_key(anchor)); !key) {
    return refuse("the trusted certificate: " + key.error().message);
  }
  if (Status checked = check_certificate_signature(CertificateAccess::x509(signer)); !checked) {
    return refuse("the signer: " + checked.error().message);
  }
  std::vector<Certificate> links;
  std::ranges::copy_if(included, std::back_inserter(links), is_usable_link);
  const X509StackPtr untrusted = stack_of(links);
  const X509StackPtr trusted = stack_of({&anchor, 1});
  const StorePtr store(X509_STORE_new());
  const StoreContextPtr context(X509_STORE_CTX_new_ex(library_context(), nullptr));
  if (!untrusted || !trusted || !store || !context ||
      X509_STORE_CTX_init(context.get(), store.get(), CertificateAccess::x509(signer),
                          untrusted.get()) != 1) {
    return refuse("there is no memory for a chain of certificates");
  }
  X509_STORE_CTX_set0_trusted_stack(context.get(), trusted.get());
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME);
  X509_VERIFY_PARAM_set_depth(param, max_intermediate_certificates);
  X509_VERIFY_PARAM_set_auth_level(param, auth_level);
  if (X509_verify_cert(context.get()) != 1) {
    return refuse(fmt::format(
        "no chain leads from the signer to the trusted certificate: {} ({} of the {} included "
        "certificates can be links)",
        X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())), links.size(),
        included.size()));
  }
  return {};
}

/// Of bytes in memory, which must live as long.
ContentReader reader_of(std::span<const std::byte> content) {
  return [content](std::span<std::byte> out) mutable -> Result<std::size_t> {
    const auto next = content.first(std::min(content.size(), out.size()));
    std::ranges::copy(next, out.begin());
    content = content.subspan(next.size());
    return next.size();
  };
}

}  // namespace

Result<SignedData> SignedData::parse(std::span<const std::byte> der) {
  if (der.size() > max_signed_data_size_bytes) {
    return refuse(fmt::format("{} bytes are more than {}", der.size(), max_signed_data_size_bytes));
  }
  const auto whole = check_der(der);
  if (!whole) return refuse("it is no DER: " + whole.error().message);
  const ErrorScope errors;
  auto signed_data = find_signed_data(*whole);
  if (!signed_data) return forward(std::move(signed_data));
  auto certificates = included_certificates(*signed_data);
  if (!certificates) return forward(std::move(certificates));
  std::vector<std::byte> content_info = wrapped(signed_data->whole);
  auto pkcs7 = read_pkcs7(content_info);
  if (!pkcs7) return forward(std::move(pkcs7));
  if (!equal_bytes(to_der(i2d_PKCS7, static_cast<const PKCS7*>(pkcs7->get())), content_info)) {
    return refuse("encoded again it is another");
  }
  const PKCS7_SIGNED* fields = (*pkcs7)->d.sign;
  if (Status checked = check_signed_data(fields); !checked) return forward(std::move(checked));
  const PKCS7_SIGNER_INFO* info = sk_PKCS7_SIGNER_INFO_value(fields->signer_info, 0);
  auto signer = find_signer(info, *certificates);
  if (!signer) return forward(std::move(signer));
  if (Status checked = check_signer_info(fields, info, *signer); !checked) {
    return forward(std::move(checked));
  }
  return SignedData(std::move(content_info), *std::move(certificates), *std::move(signer));
}

Status SignedData::verify_signature(const ContentReader& content) const {
  // Read anew, because OpenSSL keeps what it is doing in the object.
  auto pkcs7 = read_pkcs7(content_info_);
  if (!pkcs7) return forward(std::move(pkcs7));
  const X509StackPtr signer = stack_of({&signer_, 1});
  Status reading;
  const BioPtr in = reader_over(content, reading);
  constexpr int flags = PKCS7_BINARY | PKCS7_NOVERIFY | PKCS7_NOINTERN;
  const bool verified =
      signer && in &&
      PKCS7_verify(pkcs7->get(), signer.get(), nullptr, in.get(), nullptr, flags) == 1;
  // OpenSSL may take content that ends in an error for all of it.
  if (!reading) return reading;
  if (!verified) return refuse(fmt::format("the signature is wrong: {}", last_reason()));
  return {};
}

Status SignedData::verify_by(std::span<const std::byte> content, const Certificate& signer) const {
  if (signer != signer_) return refuse("another certificate has signed it");
  const ErrorScope errors;
  return verify_signature(reader_of(content));
}

Status SignedData::verify_up_to(std::span<const std::byte> content,
                                const Certificate& anchor) const {
  return verify_up_to(reader_of(content), anchor);
}

Status SignedData::check_chain(const Certificate& anchor) const {
  const ErrorScope errors;
  return anchor == signer_ ? Status() : verify_chain(signer_, certificates_, anchor);
}

Status SignedData::verify_up_to(const ContentReader& content, const Certificate& anchor) const {
  const ErrorScope errors;
  if (Status chain = check_chain(anchor); !chain) return chain;
  return verify_signature(content);
}

}  // namespace efistore::crypto
