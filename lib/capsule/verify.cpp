// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/capsule/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "efistore/base/bytes.hpp"
#include "efistore/crypto/signed_data.hpp"

namespace efistore::capsule {

namespace {

/// The bytes of a range, piece by piece, with a digest of each.
class DigestedPieces {
 public:
  DigestedPieces(const Source& source, const Range& range, std::vector<crypto::Digest>& digests)
      : source_(source),
        left_(range),
        digests_(digests),
        buffer_(std::min<std::uint64_t>(range.size, piece_size_bytes)) {}

  /// The next piece; empty at the end.
  Result<std::span<const std::byte>> next() {
    const auto piece =
        std::span(buffer_).first(std::min<std::uint64_t>(left_.size, buffer_.size()));
    if (piece.empty()) return piece;
    if (Status read = source_.read(left_.offset, piece); !read) return forward(std::move(read));
    left_ = {left_.offset + piece.size(), left_.size - piece.size()};
    digests_.push_back(crypto::sha256(piece));
    return piece;
  }

 private:
  const Source& source_;
  Range left_;
  std::vector<crypto::Digest>& digests_;
  std::vector<std::byte> buffer_;
};

/// What a signature covers: the pieces, and the monotonic count behind them.
crypto::ContentReader signed_content(DigestedPieces& pieces, std::span<const std::byte> count) {
  return [&pieces, count, left = std::span<const std::byte>()](
             std::span<std::byte> out) mutable -> Result<std::size_t> {
    if (left.empty()) {
      const auto piece = pieces.next();
      if (!piece) return tl::unexpected(piece.error());
      left = piece->empty() ? std::exchange(count, {}) : *piece;
    }
    const auto next = left.first(std::min(left.size(), out.size()));
    std::ranges::copy(next, out.begin());
    left = left.subspan(next.size());
    return next.size();
  };
}

Refusal not_trusted(std::string message) {
  return {EfiStatus::security_violation, LastAttemptStatus::auth_error, std::move(message)};
}

/// The one of `trusted` with which the signature is verified. Chains are tried first, each costs
/// little; the content is read once, for the first that leads somewhere.
Verdict<crypto::Certificate> authenticate(const crypto::SignedData& signed_data,
                                          const crypto::ContentReader& content,
                                          std::span<const crypto::Certificate> trusted) {
  std::string reasons;
  for (const crypto::Certificate& anchor : trusted) {
    if (Status chain = signed_data.check_chain(anchor); !chain) {
      reasons += fmt::format("; {}: {}", anchor.subject(), chain.error().message);
      continue;
    }
    Status verified = signed_data.verify_up_to(content, anchor);
    if (verified) return anchor;
    if (verified.error().code != Errc::invalid_argument) {
      return tl::unexpected(refusal_of(verified.error()));
    }
    return tl::unexpected(not_trusted(verified.error().message));
  }
  return tl::unexpected(not_trusted("no trusted certificate has signed it" + reasons));
}

Verdict<crypto::Certificate> verify_signature(const Source& source,
                                              const ImageAuthentication& authentication,
                                              DigestedPieces& pieces,
                                              std::span<const crypto::Certificate> trusted) {
  const auto der = read_all(source, authentication.certificate_data);
  if (!der) return tl::unexpected(refusal_of(der.error()));
  const auto signed_data = crypto::SignedData::parse(*der);
  if (!signed_data) {
    return tl::unexpected(not_trusted("the signature: " + signed_data.error().message));
  }
  std::array<std::byte, 8> count;
  ByteWriter(count).u64(authentication.monotonic_count);
  return authenticate(*signed_data, signed_content(pieces, count), trusted);
}

Status read_through(DigestedPieces& pieces) {
  while (true) {
    const auto piece = pieces.next();
    if (!piece) return tl::unexpected(piece.error());
    if (piece->empty()) return {};
  }
}

}  // namespace

Refusal refusal_of(const Error& error) {
  switch (error.code) {
    case Errc::invalid_argument:
    case Errc::damaged:
    case Errc::out_of_range:
      return {EfiStatus::invalid_parameter, LastAttemptStatus::invalid_format, error.message};
    case Errc::unsupported:
      return {EfiStatus::unsupported, LastAttemptStatus::invalid_format, error.message};
    case Errc::no_space:
      return {EfiStatus::out_of_resources, LastAttemptStatus::insufficient_resources,
              error.message};
    default:
      return {EfiStatus::device_error, LastAttemptStatus::unsuccessful, error.message};
  }
}

Verdict<VerifiedImage> VerifiedImage::verify(const Source& source, const Payload& payload,
                                             const ImageForm& form,
                                             std::span<const crypto::Certificate> trusted) {
  VerifiedImage verified;
  verified.body_ = payload.image;
  std::optional<ImageAuthentication> authentication;
  if (form.authenticated) {
    if (trusted.empty()) {
      return refuse(EfiStatus::security_violation, LastAttemptStatus::invalid_certificate,
                    fmt::format("no certificate is trusted for image type {}",
                                to_string(payload.header.type_id)));
    }
    const auto parsed = parse_authentication(source, payload.image);
    if (!parsed) return tl::unexpected(refusal_of(parsed.error()));
    authentication = *parsed;
    verified.body_ = authentication->signed_data;
  }
  DigestedPieces pieces(source, verified.body_, verified.digests_);
  if (authentication) {
    auto anchor = verify_signature(source, *authentication, pieces, trusted);
    if (!anchor) return tl::unexpected(anchor.error());
    verified.anchor_ = *std::move(anchor);
  } else if (Status read = read_through(pieces); !read) {
    return tl::unexpected(refusal_of(read.error()));
  }
  const VerifiedSource checked(source, verified);
  auto image = parse_contents(checked, verified.body_, form.payload_header);
  if (!image) return tl::unexpected(refusal_of(image.error()));
  verified.image_ = *image;
  verified.image_.authentication = authentication;
  if (image->dependency) {
    auto dependency = read_all(checked, *image->dependency);
    if (!dependency) return tl::unexpected(refusal_of(dependency.error()));
    verified.dependency_ = *std::move(dependency);
  }
  return verified;
}

VerifiedSource::VerifiedSource(const Source& source, const VerifiedImage& image)
    : source_(source), image_(image) {
  buffer_.reserve(std::min<std::uint64_t>(image.body_.size, piece_size_bytes));
}

Status VerifiedSource::load(std::uint64_t piece) const {
  if (loaded_ == piece) return {};
  loaded_.reset();
  const Range& body = image_.body_;
  const std::uint64_t offset = piece * piece_size_bytes;
  buffer_.resize(std::min<std::uint64_t>(body.size - offset, piece_size_bytes));
  if (Status read = source_.read(body.offset + offset, buffer_); !read) return read;
  if (crypto::sha256(buffer_) != image_.digests_[piece]) {
    return fail(Errc::damaged,
                fmt::format("the capsule's bytes from {} on have changed since they were verified",
                            body.offset + offset));
  }
  loaded_ = piece;
  return {};
}

Status VerifiedSource::read(std::uint64_t offset, std::span<std::byte> out) const {
  const Range& body = image_.body_;
  if (offset < body.offset || offset > body.end() || out.size() > body.end() - offset) {
    return fail(Errc::out_of_range,
                fmt::format("{} bytes at {} are not within the verified ones, {} to {}", out.size(),
                            offset, body.offset, body.end()));
  }
  offset -= body.offset;
  while (!out.empty()) {
    if (Status loaded = load(offset / piece_size_bytes); !loaded) return loaded;
    const auto piece = std::span(buffer_).subspan(offset % piece_size_bytes);
    const auto part = piece.first(std::min(piece.size(), out.size()));
    std::ranges::copy(part, out.begin());
    out = out.subspan(part.size());
    offset += part.size();
  }
  return {};
}

}  // namespace efistore::capsule
