// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "openssl.hpp"

#include <openssl/crypto.h>
#include <openssl/provider.h>

#include <cstdlib>

namespace efistore::crypto {

OSSL_LIB_CTX* library_context() {
  // Never freed: certificates in static objects may outlive whatever would free it.
  static OSSL_LIB_CTX* const context = [] {
    OSSL_LIB_CTX* made = OSSL_LIB_CTX_new();
    if (made == nullptr || OSSL_PROVIDER_load(made, "default") == nullptr) std::abort();
    return made;
  }();
  return context;
}

std::string last_reason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  return reason == nullptr ? "unknown reason" : reason;
}

BioPtr reader_over(std::span<const std::byte> bytes) {
  // A null pointer, which an empty span may have, is an error to OpenSSL.
  return BioPtr(BIO_new_mem_buf(bytes.empty() ? "" : static_cast<const void*>(bytes.data()),
                                static_cast<int>(bytes.size())));
}

std::string text_of(BIO* bio) {
  char* start = nullptr;
  const long size = BIO_get_mem_data(bio, &start);
  return size <= 0 ? std::string() : std::string(start, static_cast<std::size_t>(size));
}

}  // namespace efistore::crypto
