// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// A signed request from its descriptor to the verdict. Nobody here has a key, so whatever is
// accepted must be what a seed says, for the signer that the seed has.
#include <optional>
#include <span>
#include <vector>

#include "efistore/crypto/signed_data.hpp"
#include "efistore/crypto/signing_key.hpp"
#include "efistore/variable/authentication.hpp"

#include "target.hpp"

namespace efistore::fuzz {
namespace {

/// Of a key that was made for this run: nothing can be signed by it.
const crypto::Certificate& stranger() {
  static const crypto::Certificate certificate = [] {
    const auto key = crypto::PrivateKey::generate(crypto::KeyKind::ec_p256).value();
    return crypto::make_self_signed(key, {.common_name = "stranger", .days = 1, .ca = true})
        .value();
  }();
  return certificate;
}

void look_at(const crypto::Certificate& certificate) {
  (void)certificate.common_name();
  (void)certificate.subject();
  (void)certificate.issuer();
  (void)certificate.serial();
  (void)certificate.not_before();
  (void)certificate.not_after();
  (void)certificate.key_type();
  (void)certificate.key_bits();
  const auto part = certificate.to_be_signed();
  require(!part.empty() && part.size() < certificate.der().size(), "there is a part to be signed");
}

void verify(std::span<const std::byte> der, std::span<const std::byte> content) {
  const auto signed_data = crypto::SignedData::parse(der);
  if (!signed_data) {
    require(signed_data.error().code == Errc::invalid_argument, "refusals are invalid_argument");
    return;
  }
  std::vector<std::byte> other(content.begin(), content.end());
  other.push_back(std::byte{0});
  require(!signed_data->verify_by(content, stranger()), "a stranger has signed nothing");
  require(!signed_data->verify_up_to(content, stranger()), "no chain leads to a stranger");
  const bool is_signed = signed_data->verify_by(content, signed_data->signer()).has_value();
  for (const crypto::Certificate& certificate : signed_data->certificates()) {
    look_at(certificate);
    const bool leads = signed_data->verify_up_to(content, certificate).has_value();
    require(is_signed || !leads, "a chain does not make up for a signature");
    require(!leads || !signed_data->verify_up_to(other, certificate),
            "other content is not signed");
  }
}

void check(std::span<const std::byte> bytes) {
  verify(bytes, {});
  if (const auto certificate = crypto::Certificate::from_der(bytes)) look_at(*certificate);
  const auto request = variable::parse_authentication(bytes);
  if (!request) {
    require(request.error().code == Errc::invalid_argument, "refusals are invalid_argument");
    return;
  }
  require(variable::make_authentication(request->time, request->signed_data, request->payload) ==
              std::vector<std::byte>(bytes.begin(), bytes.end()),
          "a descriptor comes back the same");
  verify(request->signed_data, variable::signed_content(u"db", guids::image_security_database, 0x27,
                                                        request->time, request->payload));
}

}  // namespace
}  // namespace efistore::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  efistore::fuzz::check(std::as_bytes(std::span(data, size)));
  return 0;
}
