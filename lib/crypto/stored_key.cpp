// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "stored_key.hpp"

#include <fmt/format.h>
#include <openssl/provider.h>
#include <openssl/store.h>

#include <memory>
#include <string_view>

namespace efistore::crypto {

namespace {

constexpr std::string_view scheme = "pkcs11:";
constexpr const char* provider_name = "pkcs11";

using StoreReaderPtr = std::unique_ptr<OSSL_STORE_CTX, Freer<OSSL_STORE_close>>;
using StoreInfoPtr = std::unique_ptr<OSSL_STORE_INFO, Freer<OSSL_STORE_INFO_free>>;

/// A context in which the provider is, made at the first call; null without such a provider.
OSSL_LIB_CTX* token_context() {
  // Never freed: a token's library may not bear to be unloaded, and keys outlive callers.
  static OSSL_LIB_CTX* const context = []() -> OSSL_LIB_CTX* {
    OSSL_LIB_CTX* made = OSSL_LIB_CTX_new();
    if (made == nullptr) return nullptr;
    // The default provider has the digests, and the public keys of certificates.
    if (OSSL_PROVIDER_load(made, "default") != nullptr &&
        OSSL_PROVIDER_load(made, provider_name) != nullptr) {
      return made;
    }
    OSSL_LIB_CTX_free(made);
    return nullptr;
  }();
  return context;
}

}  // namespace

Result<StoredKey> load_stored_key(const std::string& uri) {
  if (!uri.starts_with(scheme)) {
    return fail(Errc::invalid_argument, fmt::format("\"{}\" is no pkcs11: URI", uri));
  }
  OSSL_LIB_CTX* context = token_context();
  if (context == nullptr) {
    return fail(Errc::unsupported,
                fmt::format("OpenSSL's provider \"{}\", which has the keys of PKCS#11 tokens, "
                            "cannot be loaded: {}",
                            provider_name, last_reason()));
  }
  const StoreReaderPtr store(OSSL_STORE_open_ex(uri.c_str(), context, nullptr, nullptr, nullptr,
                                                nullptr, nullptr, nullptr));
  if (!store) return fail(Errc::io, fmt::format("the token does not open: {}", last_reason()));
  // Not every provider knows what is asked for, so that what comes is looked at as well.
  OSSL_STORE_expect(store.get(), OSSL_STORE_INFO_PKEY);
  StoredKey found{.key = nullptr, .context = context};
  while (OSSL_STORE_eof(store.get()) == 0) {
    const StoreInfoPtr info(OSSL_STORE_load(store.get()));
    if (!info) {
      if (OSSL_STORE_error(store.get()) != 0) {
        return fail(Errc::io, fmt::format("the token fails: {}", last_reason()));
      }
      continue;
    }
    if (OSSL_STORE_INFO_get_type(info.get()) != OSSL_STORE_INFO_PKEY) continue;
    if (found.key) return fail(Errc::invalid_argument, "the URI names more than one private key");
    found.key.reset(OSSL_STORE_INFO_get1_PKEY(info.get()));
  }
  if (!found.key) return fail(Errc::not_found, "the token has no private key of that URI");
  return found;
}

}  // namespace efistore::crypto
