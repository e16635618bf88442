// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The signature of an authenticated variable (UEFI 2.10, 8.2.2). What is accepted and refused, and
// why, is a table in lib/SPEC.md.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "efistore/base/result.hpp"
#include "efistore/crypto/certificate.hpp"

namespace efistore::crypto {

/// No SignedData is larger.
inline constexpr std::size_t max_signed_data_size_bytes = std::size_t{1024} * 1024;
/// How many certificates a SignedData may bring.
inline constexpr std::size_t max_included_certificates = 16;
/// How many certificates may stand between the signer and the trusted one.
inline constexpr int max_intermediate_certificates = 8;

/// Content that is too large to be in memory: fills the front of `out` with what comes next, and
/// says how much that is; 0 at the end. Called until it says so, or fails.
using ContentReader = std::function<Result<std::size_t>(std::span<std::byte> out)>;

/// PKCS#7 SignedData over content that is not inside.
class SignedData {
 public:
  /// With or without the outer ContentInfo. Everything that does not depend on the content or on
  /// who is trusted is checked here: encoding, algorithms, the signer's key.
  /// Errors: invalid_argument, saying what.
  static Result<SignedData> parse(std::span<const std::byte> der);

  /// Certificate of the one SignerInfo.
  const Certificate& signer() const noexcept { return signer_; }
  /// All that are included, the signer's among them, in their order.
  const std::vector<Certificate>& certificates() const noexcept { return certificates_; }

  /// Whether `signer`, and no other certificate, has signed `content`.
  /// Errors: invalid_argument.
  Status verify_by(std::span<const std::byte> content, const Certificate& signer) const;

  /// Whether `content` is signed by `anchor`, or by a signer from whom a chain leads through the
  /// included certificates to `anchor`, which need not be self-signed. Periods of validity and the
  /// signer's key usage are not looked at.
  /// Errors: invalid_argument.
  Status verify_up_to(std::span<const std::byte> content, const Certificate& anchor) const;

  /// Whether `anchor` is the signer, or a chain leads from the signer to it. Says nothing about any
  /// content: of several anchors it finds the one to ask verify_up_to() with.
  /// Errors: invalid_argument.
  Status check_chain(const Certificate& anchor) const;

  /// The same over content that is read once.
  /// Errors: invalid_argument; those of `content`.
  Status verify_up_to(const ContentReader& content, const Certificate& anchor) const;

 private:
  SignedData(std::vector<std::byte> content_info, std::vector<Certificate> certificates,
             Certificate signer)
      : content_info_(std::move(content_info)),
        certificates_(std::move(certificates)),
        signer_(std::move(signer)) {}

  Status verify_signature(const ContentReader& content) const;

  std::vector<std::byte> content_info_;
  std::vector<Certificate> certificates_;
  Certificate signer_;
};

}  // namespace efistore::crypto
