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
constexpr const char* properties = "provider=pkcs11";

using StoreReaderPtr = std::unique_ptr<OSSL_STORE_CTX, Freer<OSSL_STORE_close>>;
using StoreInfoPtr = std::unique_ptr<OSSL_STORE_INFO, Freer<OSSL_STORE_INFO_free>>;

struct TokenContext {
  OSSL_LIB_CTX* context = nullptr;
  bool has_provider = false;
};

/// A context in which the provider is, made at the first call.
const TokenContext& token_context() {
  // Never freed: keys outlive callers, a token's library may not bear to be unloaded, and OpenSSL
  // 3.0 loses memory when a context is freed that a provider has failed in.
  static const TokenContext* const made = [] {
    auto* token = new TokenContext{.context = OSSL_LIB_CTX_new(), .has_provider = false};
    // The default provider has the digests, and the public keys of certificates.
    token->has_provider = token->context != nullptr &&
                          OSSL_PROVIDER_load(token->context, "default") != nullptr &&
                          OSSL_PROVIDER_load(token->context, provider_name) != nullptr;
    return token;
  }();
  return *made;
}

}  // namespace

Result<StoredKey> load_stored_key(const std::string& uri) {
  if (!uri.starts_with(scheme)) {
    return fail(Errc::invalid_argument, "a key is named by a pkcs11: URI");
  }
  const TokenContext& token = token_context();
  if (!token.has_provider) {
    // OpenSSL has no words for the reason.
    return fail(Errc::unsupported,
                fmt::format("OpenSSL's provider \"{}\", which signs with the keys of PKCS#11 "
                            "tokens, cannot be loaded",
                            provider_name));
  }
  // Only from there: OpenSSL would look for a file of that name first.
  const StoreReaderPtr store(OSSL_STORE_open_ex(uri.c_str(), token.context, properties, nullptr,
                                                nullptr, nullptr, nullptr, nullptr));
  if (!store) return fail(Errc::io, fmt::format("the token does not open: {}", last_reason()));
  // Not every provider knows what is asked for, so that what comes is looked at as well.
  OSSL_STORE_expect(store.get(), OSSL_STORE_INFO_PKEY);
  StoredKey found{.key = nullptr, .context = token.context};
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
