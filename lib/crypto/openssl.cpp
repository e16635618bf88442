// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "openssl.hpp"

#include <openssl/crypto.h>
#include <openssl/provider.h>

#include <cstdlib>

namespace efistore::crypto {

namespace {

struct Reading {
  const ContentReader& content;
  Status& failure;
};

extern "C" int read_content(BIO* bio, char* out, std::size_t size, std::size_t* done) {
  const auto* reading = static_cast<const Reading*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const auto count = reading->content(std::as_writable_bytes(std::span(out, size)));
  if (!count) {
    reading->failure = tl::unexpected(count.error());
    return -1;
  }
  *done = *count;
  return *count > 0 ? 1 : 0;
}

extern "C" long control_content(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

extern "C" int destroy_content(BIO* bio) {
  delete static_cast<Reading*>(BIO_get_data(bio));
  return 1;
}

/// Null without memory for it.
const BIO_METHOD* content_method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "content");
    if (made != nullptr) {
      BIO_meth_set_read_ex(made, read_content);
      BIO_meth_set_ctrl(made, control_content);
      BIO_meth_set_destroy(made, destroy_content);
    }
    return made;
  }();
  return method;
}

}  // namespace

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

BioPtr reader_over(const ContentReader& content, Status& failure) {
  const BIO_METHOD* method = content_method();
  BioPtr bio(method != nullptr ? BIO_new(method) : nullptr);
  if (bio) {
    BIO_set_data(bio.get(), new Reading{content, failure});
    BIO_set_init(bio.get(), 1);
  }
  return bio;
}

std::string text_of(BIO* bio) {
  char* start = nullptr;
  const long size = BIO_get_mem_data(bio, &start);
  return size <= 0 ? std::string() : std::string(start, static_cast<std::size_t>(size));
}

}  // namespace efistore::crypto
