// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "key_files.hpp"

#include <fmt/format.h>

#include "efistore/base/bytes.hpp"
#include "efistore/store/layout.hpp"
#include "efistore/variable/authentication.hpp"
#include "efistore/variable/signature_list.hpp"

#include "common/file_io.hpp"

namespace efistore::tools {

namespace {

/// More than any store can hold, and than any key needs.
constexpr std::size_t max_file_size_bytes = store::max_volume_size_bytes;

constexpr std::string_view pem_start = "-----BEGIN ";

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_pem(std::span<const std::byte> bytes) {
  return text_of(bytes).find(pem_start) != std::string_view::npos;
}

Result<std::vector<crypto::Certificate>> certificates_in(std::span<const std::byte> bytes) {
  if (is_pem(bytes)) return crypto::Certificate::from_pem(text_of(bytes));
  auto certificate = crypto::Certificate::from_der(bytes);
  if (!certificate) return forward(std::move(certificate));
  return std::vector{std::move(*certificate)};
}

std::vector<std::byte> lists_of(const std::vector<crypto::Certificate>& certificates,
                                const Guid& owner) {
  std::vector<std::byte> lists;
  for (const crypto::Certificate& certificate : certificates) {
    const std::span<const std::byte> entry = certificate.der();
    const auto list =
        variable::make_signature_list(variable::signature_types::x509, owner, std::span(&entry, 1));
    lists.insert(lists.end(), list.begin(), list.end());
  }
  return lists;
}

}  // namespace

Outcome<KeyFile> read_key_file(const std::string& path, const Guid& owner) {
  auto bytes = read_input(path, max_file_size_bytes);
  if (!bytes) return tl::unexpected(bytes.error());
  if (bytes->empty()) return fail_with(path + ": the file is empty");
  if (variable::parse_authentication(*bytes)) {
    return KeyFile{.lists = {}, .signed_request = std::move(*bytes)};
  }
  if (variable::parse_signature_lists(*bytes)) return KeyFile{.lists = std::move(*bytes)};
  const auto certificates = certificates_in(*bytes);
  if (certificates) return KeyFile{.lists = lists_of(*certificates, owner)};
  // Of a file that is meant to be a certificate there is something to say.
  constexpr std::byte der_sequence{0x30};
  if (is_pem(*bytes) || bytes->front() == der_sequence) {
    return fail_with(fmt::format("{}: {}", path, certificates.error().message));
  }
  return fail_with(path +
                   ": a certificate (PEM or DER), a signature list (.esl) or a signed request "
                   "(.auth) was expected");
}

Outcome<std::vector<crypto::Certificate>> read_certificates(const std::string& path) {
  const auto bytes = read_input(path, max_file_size_bytes);
  if (!bytes) return tl::unexpected(bytes.error());
  auto certificates = certificates_in(*bytes);
  if (!certificates) return fail_with(fmt::format("{}: {}", path, certificates.error().message));
  return std::move(*certificates);
}

Outcome<crypto::Certificate> read_certificate(const std::string& path) {
  auto certificates = read_certificates(path);
  if (!certificates) return tl::unexpected(certificates.error());
  if (certificates->size() != 1) {
    return fail_with(fmt::format("{}: one certificate was expected, and there are {}", path,
                                 certificates->size()));
  }
  return std::move(certificates->front());
}

Outcome<crypto::PrivateKey> read_private_key(const std::string& path) {
  const auto bytes = read_input(path, max_file_size_bytes);
  if (!bytes) return tl::unexpected(bytes.error());
  auto key = crypto::PrivateKey::from_pem(text_of(*bytes));
  if (!key) return fail_with(fmt::format("{}: {}", path, key.error().message));
  return std::move(*key);
}

Outcome<crypto::PrivateKey> find_private_key(const std::string& path_or_uri) {
  if (!path_or_uri.starts_with("pkcs11:")) return read_private_key(path_or_uri);
  auto key = crypto::PrivateKey::from_uri(path_or_uri);
  // The URI may hold a PIN, so that messages do not.
  if (!key) return fail_with("--key: " + key.error().message);
  return std::move(*key);
}

}  // namespace efistore::tools
