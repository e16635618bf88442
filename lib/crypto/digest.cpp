// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/crypto/digest.hpp"

#include <cstdlib>

#include "openssl.hpp"

namespace efistore::crypto {

struct Hash::Context {
  MdContextPtr md{EVP_MD_CTX_new()};
};

Hash::Hash() : context_(std::make_unique<Context>()) {
  static EVP_MD* const algorithm = EVP_MD_fetch(library_context(), "SHA256", nullptr);
  // Nothing but a lack of memory can go wrong, here and below.
  if (!context_->md || EVP_DigestInit_ex2(context_->md.get(), algorithm, nullptr) != 1) {
    std::abort();
  }
}

Hash::Hash(Hash&&) noexcept = default;
Hash& Hash::operator=(Hash&&) noexcept = default;
Hash::~Hash() = default;

void Hash::update(std::span<const std::byte> part) {
  if (EVP_DigestUpdate(context_->md.get(), part.data(), part.size()) != 1) std::abort();
}

Digest Hash::finish() {
  Digest digest;
  auto* out = reinterpret_cast<unsigned char*>(digest.data());
  if (EVP_DigestFinal_ex(context_->md.get(), out, nullptr) != 1) std::abort();
  return digest;
}

Digest sha256(std::initializer_list<std::span<const std::byte>> parts) {
  Hash hash;
  for (const auto part : parts) hash.update(part);
  return hash.finish();
}

Digest sha256(std::span<const std::byte> data) {
  return sha256({data});
}

}  // namespace efistore::crypto
