// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Keys, and what they sign, for tests. Keys are made once for each program: their names stand for
// their roles.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "efistore/base/efi_time.hpp"
#include "efistore/base/guid.hpp"
#include "efistore/crypto/certificate.hpp"
#include "efistore/crypto/signing_key.hpp"

namespace efistore::test {

struct Signer {
  crypto::PrivateKey key;
  crypto::Certificate certificate;
};

/// The self-signed key of that common name, the same one for the same name.
const Signer& signer(const std::string& common_name);

/// An EFI_SIGNATURE_LIST with the signer's certificate.
std::string key_list(const Signer& owner);
/// One with a SHA-256 hash in which every byte is `filling`.
std::string hash_list(std::uint8_t filling);

/// The n-th second of 2020.
EfiTime at_second(std::uint8_t second);

/// What a request signs, and with which time.
struct ToSign {
  std::u16string_view name;
  Guid guid;
  std::uint32_t attributes;
  EfiTime time;
  std::string_view payload;
};

/// SetVariable's data: an EFI_VARIABLE_AUTHENTICATION_2 by `by`, and the payload.
std::string signed_by(const Signer& by, const ToSign& request);
/// The same with an empty signature.
std::string not_signed(const EfiTime& time, std::string_view payload);

}  // namespace efistore::test
