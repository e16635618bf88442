// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "variable/signing.hpp"

#include <map>

#include "efistore/base/bytes.hpp"
#include "efistore/variable/authentication.hpp"
#include "efistore/variable/signature_list.hpp"

namespace efistore::test {

namespace {

constexpr Guid owner = *Guid::parse("77fa9abd-0359-4d32-bd60-28f4e78f784b");

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string one_entry_list(const Guid& type, std::span<const std::byte> entry) {
  return text_of(variable::make_signature_list(type, owner, std::span(&entry, 1)));
}

}  // namespace

const Signer& signer(const std::string& common_name) {
  static std::map<std::string, Signer> signers;
  const auto known = signers.find(common_name);
  if (known != signers.end()) return known->second;
  auto key = crypto::PrivateKey::generate(crypto::KeyKind::ec_p256).value();
  auto certificate =
      crypto::make_self_signed(key, {.common_name = common_name, .days = 3650, .ca = true}).value();
  return signers.emplace(common_name, Signer{std::move(key), std::move(certificate)}).first->second;
}

std::string key_list(const Signer& of) {
  return one_entry_list(variable::signature_types::x509, of.certificate.der());
}

std::string hash_list(std::uint8_t filling) {
  const std::vector<std::byte> hash(32, std::byte{filling});
  return one_entry_list(variable::signature_types::sha256, hash);
}

EfiTime at_second(std::uint8_t second) {
  constexpr std::int64_t start_of_2020 = 1577836800;
  return EfiTime::from_unix(start_of_2020 + second);
}

std::string signed_by(const Signer& by, const ToSign& request) {
  const auto payload = as_bytes(request.payload);
  const auto content = variable::signed_content(request.name, request.guid, request.attributes,
                                                request.time, payload);
  const auto signature = crypto::sign(content, by.key, by.certificate).value();
  return text_of(variable::make_authentication(request.time, signature, payload));
}

std::string not_signed(const EfiTime& time, std::string_view payload) {
  return text_of(variable::make_authentication(time, {}, as_bytes(payload)));
}

}  // namespace efistore::test
