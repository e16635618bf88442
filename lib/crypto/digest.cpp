// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/crypto/digest.hpp"

#include <cstdlib>

#include "openssl.hpp"

namespace efistore::crypto {

Digest sha256(std::initializer_list<std::span<const std::byte>> parts) {
  static EVP_MD* const algorithm = EVP_MD_fetch(library_context(), "SHA256", nullptr);
  const MdContextPtr context(EVP_MD_CTX_new());
  Digest digest;
  bool done = context && EVP_DigestInit_ex2(context.get(), algorithm, nullptr) == 1;
  for (const auto part : parts) {
    done = done && EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1;
  }
  // Nothing but a lack of memory can go wrong.
  if (!done || EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(digest.data()),
                                  nullptr) != 1) {
    std::abort();
  }
  return digest;
}

Digest sha256(std::span<const std::byte> data) {
  return sha256({data});
}

}  // namespace efistore::crypto
