// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/crypto/certificate.hpp"

#include <fmt/format.h>
#include <openssl/asn1.h>
#include <openssl/pem.h>

#include <ctime>
#include <string_view>

#include "efistore/base/bytes.hpp"

#include "certificate_access.hpp"
#include "der.hpp"

namespace efistore::crypto {

struct Certificate::Data {
  X509Ptr x509;
  std::vector<std::byte> der;
};

X509* CertificateAccess::x509(const Certificate& certificate) noexcept {
  return certificate.data_->x509.get();
}

namespace {

tl::unexpected<Error> malformed(const std::string& what) {
  return fail(Errc::invalid_argument, fmt::format("no certificate: {}", what));
}

/// Whether a SubjectPublicKeyInfo is one of an EC key that spells its curve out. OpenSSL would
/// compute with whatever numbers stand there.
bool has_explicit_curve(std::span<const std::byte> key_info) noexcept {
  constexpr std::array id_ec_public_key{std::byte{0x2a}, std::byte{0x86}, std::byte{0x48},
                                        std::byte{0xce}, std::byte{0x3d}, std::byte{0x02},
                                        std::byte{0x01}};
  const auto algorithm = take_der(key_info);
  if (!algorithm || algorithm->tag != der_tag::sequence) return false;
  std::span<const std::byte> rest = algorithm->content;
  const auto identifier = take_der(rest);
  if (!identifier || identifier->tag != der_tag::object_identifier ||
      !equal_bytes(identifier->content, id_ec_public_key)) {
    return false;
  }
  const auto parameters = take_der(rest);
  return !parameters || parameters->tag != der_tag::object_identifier;
}

/// The TBSCertificate of a certificate whose DER was checked.
std::optional<DerValue> to_be_signed_in(const DerValue& certificate) noexcept {
  std::span<const std::byte> rest = certificate.content;
  const auto value = take_der(rest);
  return value && value->tag == der_tag::sequence ? value : std::nullopt;
}

Status check_structure(std::span<const std::byte> der) {
  const auto whole = check_der(der);
  if (!whole) return malformed(whole.error().message);
  if (whole->tag != der_tag::sequence) return malformed("it does not begin with a SEQUENCE");
  const auto to_be_signed = to_be_signed_in(*whole);
  if (!to_be_signed) return malformed("there is no TBSCertificate");
  // version (not in the first version), serialNumber, signature, issuer, validity, subject, key
  std::span<const std::byte> rest = to_be_signed->content;
  auto field = take_der(rest);
  if (field && field->tag == der_tag::context_0) field = take_der(rest);
  for (int i = 0; i < 5 && field; ++i) field = take_der(rest);
  if (!field) return malformed("the TBSCertificate ends before the public key");
  if (has_explicit_curve(field->content)) {
    return malformed("the curve of its EC key has no name");
  }
  return {};
}

std::string text_of_name(const X509_NAME* name) {
  // Without ESC_MSB, which would write each byte beyond ASCII as an escape.
  constexpr unsigned long flags =
      XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB);
  const ErrorScope errors;
  const BioPtr out(BIO_new(BIO_s_mem()));
  if (!out || X509_NAME_print_ex(out.get(), name, 0, flags) < 0) return {};
  return text_of(out.get());
}

std::int64_t seconds_of(const ASN1_TIME* time) {
  const ErrorScope errors;
  std::tm fields{};
  // A null pointer would mean "now" to OpenSSL.
  if (time == nullptr || ASN1_TIME_to_tm(time, &fields) != 1) return 0;
  return timegm(&fields);
}

}  // namespace

Result<Certificate> Certificate::from_der(std::span<const std::byte> der) {
  if (der.size() > max_certificate_size_bytes) {
    return malformed(
        fmt::format("{} bytes are more than {}", der.size(), max_certificate_size_bytes));
  }
  if (Status structure = check_structure(der); !structure) return forward(std::move(structure));
  const ErrorScope errors;
  auto data = std::make_shared<Data>();
  X509* x509 = X509_new_ex(library_context(), nullptr);
  const unsigned char* in = raw(der);
  // Frees what it was given if it fails.
  if (d2i_X509(&x509, &in, static_cast<long>(der.size())) == nullptr) {
    return malformed(last_reason());
  }
  data->x509.reset(x509);
  data->der = to_der(i2d_X509, static_cast<const X509*>(x509));
  if (!equal_bytes(data->der, der)) return malformed("encoded again it is another");
  return Certificate(std::move(data));
}

Result<std::vector<Certificate>> Certificate::from_pem(std::string_view text) {
  constexpr std::string_view wanted = "CERTIFICATE";
  const ErrorScope errors;
  const BioPtr in = reader_over(as_bytes(text));
  std::vector<Certificate> certificates;
  while (in) {
    char* name = nullptr;
    char* header = nullptr;
    unsigned char* data = nullptr;
    long size = 0;
    if (PEM_read_bio(in.get(), &name, &header, &data, &size) != 1) {
      if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) break;
      return malformed(fmt::format("the PEM text is broken: {}", last_reason()));
    }
    const bool is_certificate = name == wanted;
    const std::vector<std::byte> der =
        is_certificate ? std::vector<std::byte>(reinterpret_cast<std::byte*>(data),
                                                reinterpret_cast<std::byte*>(data) + size)
                       : std::vector<std::byte>();
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, static_cast<std::size_t>(size));
    if (!is_certificate) continue;
    if (certificates.size() == max_pem_certificates) {
      return fail(
          Errc::invalid_argument,
          fmt::format("the PEM text holds more than {} certificates", max_pem_certificates));
    }
    auto certificate = from_der(der);
    if (!certificate) return forward(std::move(certificate));
    certificates.push_back(*std::move(certificate));
  }
  if (certificates.empty()) return malformed("the text holds no PEM block \"CERTIFICATE\"");
  return certificates;
}

std::span<const std::byte> Certificate::der() const noexcept {
  return data_->der;
}

std::vector<std::byte> Certificate::to_be_signed() const {
  std::span<const std::byte> rest = data_->der;
  const auto whole = take_der(rest);
  const auto value = whole ? to_be_signed_in(*whole) : std::nullopt;
  if (!value) return {};
  return {value->whole.begin(), value->whole.end()};
}

std::string Certificate::common_name() const {
  const ErrorScope errors;
  const X509_NAME* subject_name = X509_get_subject_name(data_->x509.get());
  const int index = X509_NAME_get_index_by_NID(subject_name, NID_commonName, -1);
  if (index < 0) return {};
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(
      &text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject_name, index)));
  if (size < 0) return {};
  std::string name(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
  OPENSSL_free(text);
  return name;
}

std::string Certificate::subject() const {
  return text_of_name(X509_get_subject_name(data_->x509.get()));
}

std::string Certificate::issuer() const {
  return text_of_name(X509_get_issuer_name(data_->x509.get()));
}

std::string Certificate::serial() const {
  const ErrorScope errors;
  const BignumPtr number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(data_->x509.get()), nullptr));
  char* hex = number ? BN_bn2hex(number.get()) : nullptr;
  if (hex == nullptr) return {};
  std::string_view digits = hex;
  std::string text;
  if (digits.starts_with('-')) {
    text = "-";
    digits.remove_prefix(1);
  }
  // All digits come in pairs but that of zero.
  if (digits.size() % 2 != 0) text += '0';
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    if (i > 0) text += ':';
    text += digits.substr(i, 2);
  }
  OPENSSL_free(hex);
  return text;
}

std::int64_t Certificate::not_before() const {
  return seconds_of(X509_get0_notBefore(data_->x509.get()));
}

std::int64_t Certificate::not_after() const {
  return seconds_of(X509_get0_notAfter(data_->x509.get()));
}

KeyType Certificate::key_type() const {
  const EVP_PKEY* key = public_key(*this);
  switch (key == nullptr ? EVP_PKEY_NONE : EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
      return KeyType::rsa;
    case EVP_PKEY_EC:
      return KeyType::ec;
    default:
      return KeyType::other;
  }
}

unsigned Certificate::key_bits() const {
  const ErrorScope errors;
  const EVP_PKEY* key = public_key(*this);
  const int bits = key == nullptr ? 0 : EVP_PKEY_get_bits(key);
  return bits < 0 ? 0 : static_cast<unsigned>(bits);
}

Digest Certificate::fingerprint() const {
  return sha256(der());
}

bool operator==(const Certificate& a, const Certificate& b) noexcept {
  return equal_bytes(a.der(), b.der());
}

}  // namespace efistore::crypto
