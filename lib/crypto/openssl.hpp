// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// OpenSSL's objects with owners, and the context that everything here runs in.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "efistore/base/result.hpp"
#include "efistore/crypto/signed_data.hpp"

namespace efistore::crypto {

template <auto free>
struct Freer {
  template <typename T>
  void operator()(T* object) const noexcept {
    free(object);
  }
};

inline void free_x509_stack(STACK_OF(X509) * stack) noexcept {
  sk_X509_free(stack);
}

using BioPtr = std::unique_ptr<BIO, Freer<BIO_free>>;
using BignumPtr = std::unique_ptr<BIGNUM, Freer<BN_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using MdContextPtr = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;
using MdPtr = std::unique_ptr<EVP_MD, Freer<EVP_MD_free>>;
using OctetStringPtr = std::unique_ptr<ASN1_OCTET_STRING, Freer<ASN1_OCTET_STRING_free>>;
using Pkcs7Ptr = std::unique_ptr<PKCS7, Freer<PKCS7_free>>;
using StorePtr = std::unique_ptr<X509_STORE, Freer<X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX_free>>;
using X509Ptr = std::unique_ptr<X509, Freer<X509_free>>;
/// Owns the stack and none of the certificates.
using X509StackPtr = std::unique_ptr<STACK_OF(X509), Freer<free_x509_stack>>;

/// The library context of this layer, with the default provider and nothing else. It reads no
/// configuration, so that neither OPENSSL_CONF nor what the program around does to OpenSSL's
/// default context has a say in what is accepted.
/// Ends the process if there is no memory for it.
OSSL_LIB_CTX* library_context();

/// Leaves OpenSSL's queue of errors as it was found, whatever happens in between.
class ErrorScope {
 public:
  ErrorScope() noexcept { ERR_set_mark(); }
  ~ErrorScope() { ERR_pop_to_mark(); }
  ErrorScope(const ErrorScope&) = delete;
  ErrorScope& operator=(const ErrorScope&) = delete;
};

/// The reason of the last error in the queue, as text; "unknown reason" without one.
std::string last_reason();

inline const unsigned char* raw(std::span<const std::byte> bytes) noexcept {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

/// A reader over `bytes`, which must live as long. Their size must be below 2 GiB.
BioPtr reader_over(std::span<const std::byte> bytes);

/// A reader of what `content` gives. Where it fails, reading fails, and `failure` has the error.
/// Both must live as long.
BioPtr reader_over(const ContentReader& content, Status& failure);

/// What was written into a memory BIO.
std::string text_of(BIO* bio);

/// The DER of an object by its i2d function; empty if that fails.
template <typename T>
std::vector<std::byte> to_der(int (*i2d)(const T*, unsigned char**), const T* object) {
  const int size = i2d(object, nullptr);
  if (size <= 0) return {};
  std::vector<std::byte> der(static_cast<std::size_t>(size));
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  if (i2d(object, &out) != size) return {};
  return der;
}

}  // namespace efistore::crypto
