// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What has to be true of a payload before any of it is written: who signed it. Which keys and
// digests count, and that neither dates nor key usages are looked at, is crypto's decision
// (lib/SPEC.md, "Signatures").
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "efistore/base/efi_status.hpp"
#include "efistore/base/result.hpp"
#include "efistore/capsule/fmp_capsule.hpp"
#include "efistore/capsule/last_attempt_status.hpp"
#include "efistore/capsule/source.hpp"
#include "efistore/crypto/certificate.hpp"
#include "efistore/crypto/digest.hpp"

namespace efistore::capsule {

/// Why a capsule or a payload of it is not taken: for the caller of UpdateCapsule(), for ESRT, and
/// for people.
struct Refusal {
  EfiStatus status;
  LastAttemptStatus last_attempt;
  std::string message;
};

template <typename T>
using Verdict = tl::expected<T, Refusal>;

inline tl::unexpected<Refusal> refuse(EfiStatus status, LastAttemptStatus last_attempt,
                                      std::string message) {
  return tl::unexpected<Refusal>(Refusal{status, last_attempt, std::move(message)});
}

/// Of an error of a parser here: EFI_INVALID_PARAMETER or EFI_UNSUPPORTED and invalid_format, or
/// EFI_DEVICE_ERROR and unsuccessful where the source failed.
Refusal refusal_of(const Error& error);

/// An image whose bytes are known by digests, so that what is written later is what was verified.
class VerifiedImage {
 public:
  /// Reads the image twice at most, in pieces: once for the signature, and what stands before the
  /// firmware once more, but only as it was then. Nothing that a signature covers is looked at
  /// before it is verified. `trusted` are the certificates one of which is the signer's, or has
  /// certified it; of an image that is not authenticated by its form they are not asked.
  /// Refuses: EFI_SECURITY_VIOLATION (auth_error: nobody trusted has signed it;
  /// invalid_certificate: nobody is trusted); what refusal_of() makes of a malformed image.
  static Verdict<VerifiedImage> verify(const Source& source, const Payload& payload,
                                       const ImageForm& form,
                                       std::span<const crypto::Certificate> trusted);

  const Image& image() const noexcept { return image_; }
  /// The certificate of `trusted` that it was verified with.
  const std::optional<crypto::Certificate>& anchor() const noexcept { return anchor_; }
  /// Empty without one.
  std::span<const std::byte> dependency() const noexcept { return dependency_; }

 private:
  friend class VerifiedSource;
  VerifiedImage() = default;

  Image image_;
  std::optional<crypto::Certificate> anchor_;
  std::vector<std::byte> dependency_;
  /// All behind the authentication, and the digests of its pieces of piece_size_bytes.
  Range body_;
  std::vector<crypto::Digest> digests_;
};

/// A source of which only what was verified can be read: the bytes of a VerifiedImage behind its
/// authentication. Quickest in ascending order, as it reads a whole piece for each byte of it.
class VerifiedSource final : public Source {
 public:
  /// Both must outlive it.
  VerifiedSource(const Source& source, const VerifiedImage& image);

  std::uint64_t size() const noexcept override { return source_.size(); }
  /// Errors: out_of_range; damaged, if the bytes are not those that were verified; those of the
  /// source's read().
  Status read(std::uint64_t offset, std::span<std::byte> out) const override;

 private:
  Status load(std::uint64_t piece) const;

  const Source& source_;
  const VerifiedImage& image_;
  mutable std::vector<std::byte> buffer_;
  mutable std::optional<std::uint64_t> loaded_;
};

}  // namespace efistore::capsule
