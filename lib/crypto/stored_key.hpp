// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Keys that stay in a token: the one place where a provider other than OpenSSL's own is loaded.
#pragma once

#include <string>

#include "efistore/base/result.hpp"

#include "openssl.hpp"

namespace efistore::crypto {

struct StoredKey {
  KeyPtr key;
  /// Of the provider, never freed; not that of library_context().
  OSSL_LIB_CTX* context = nullptr;
};

/// PrivateKey::from_uri(), without the check of the key.
Result<StoredKey> load_stored_key(const std::string& uri);

}  // namespace efistore::crypto
