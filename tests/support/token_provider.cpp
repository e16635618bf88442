// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// An OpenSSL provider "pkcs11" with a token that is a file: the RSA key in EFISTORE_TEST_TOKEN. As
// of a real token, its private half does not come out, so that whoever wants a signature has to ask
// here. Of the URIs that it knows the object says what it does: "leaf" has the key, "two" has it
// twice, "forger" signs with nonsense, "broken" fails; everything else is not there.
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

/// The key, and whether it signs as it should.
struct TokenKey {
  EVP_PKEY* key = nullptr;
  bool forges = false;
};

struct Store {
  std::string object;
  int left = 0;
};

struct Signing {
  const TokenKey* key = nullptr;
  std::string digest = "SHA256";
};

/// Where the token computes: nothing of it is in the context that has loaded the provider.
OSSL_LIB_CTX* inside() {
  static OSSL_LIB_CTX* const context = OSSL_LIB_CTX_new();
  return context;
}

TokenKey* open_key(bool forges) {
  const char* path = std::getenv("EFISTORE_TEST_TOKEN");
  BIO* file = path == nullptr ? nullptr : BIO_new_file(path, "r");
  EVP_PKEY* key = PEM_read_bio_PrivateKey_ex(file, nullptr, nullptr, nullptr, inside(), nullptr);
  BIO_free(file);
  return key == nullptr ? nullptr : new TokenKey{key, forges};
}

template <typename Function>
OSSL_DISPATCH entry(int id, Function* function) {
  return {id, reinterpret_cast<void (*)()>(function)};
}

extern "C" {

void* store_open(void* /*provider*/, const char* uri) {
  auto* store = new Store;
  const std::string text = uri;
  const auto at = text.find("object=");
  if (at != std::string::npos) store->object = text.substr(at + 7, text.find(';', at) - at - 7);
  const bool known =
      store->object == "leaf" || store->object == "forger" || store->object == "broken";
  store->left = store->object == "two" ? 2 : known ? 1 : 0;
  return store;
}

/// What is expected of it, and of whom; it has keys alone, and they are its own.
int store_set_params(void* /*context*/, const OSSL_PARAM /*params*/[]) {
  return 1;
}

int store_load(void* context, OSSL_CALLBACK* object, void* argument,
               OSSL_PASSPHRASE_CALLBACK* /*ask*/, void* /*whom*/) {
  auto* store = static_cast<Store*>(context);
  --store->left;
  TokenKey* key = store->object == "broken" ? nullptr : open_key(store->object == "forger");
  if (key == nullptr) return 0;
  int type = OSSL_OBJECT_PKEY;
  std::string algorithm = "RSA";
  const std::array params{
      OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
      OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, algorithm.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, &key, sizeof(key)),
      OSSL_PARAM_construct_end()};
  return object(params.data(), argument);
}

int store_eof(void* context) {
  return static_cast<Store*>(context)->left <= 0 ? 1 : 0;
}

int store_close(void* context) {
  delete static_cast<Store*>(context);
  return 1;
}

void* key_new(void* /*provider*/) {
  return new TokenKey;
}

void key_free(void* data) {
  auto* key = static_cast<TokenKey*>(data);
  EVP_PKEY_free(key->key);
  delete key;
}

void* key_load(const void* reference, std::size_t size) {
  TokenKey* key = nullptr;
  if (size == sizeof(key)) std::memcpy(&key, reference, sizeof(key));
  return key;
}

int key_has(const void* /*data*/, int /*selection*/) {
  return 1;
}

int key_get_params(void* data, OSSL_PARAM params[]) {
  return EVP_PKEY_get_params(static_cast<TokenKey*>(data)->key, params);
}

const OSSL_PARAM* key_gettable_params(void* /*provider*/) {
  static const std::array<OSSL_PARAM, 6> params{
      {OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, nullptr),
       OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, nullptr),
       OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, nullptr),
       OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, nullptr, 0),
       OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, nullptr, 0), OSSL_PARAM_END}};
  return params.data();
}

/// The public half comes out, the other does not.
int key_export(void* data, int selection, OSSL_CALLBACK* take, void* argument) {
  if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0) return 0;
  return EVP_PKEY_export(static_cast<TokenKey*>(data)->key, EVP_PKEY_PUBLIC_KEY, take, argument);
}

const OSSL_PARAM* key_export_types(int /*selection*/) {
  return key_gettable_params(nullptr);
}

const char* key_operation_name(int /*operation*/) {
  return "RSA";
}

void* signing_new(void* /*provider*/, const char* /*properties*/) {
  return new Signing;
}

void signing_free(void* context) {
  delete static_cast<Signing*>(context);
}

int signing_set_params(void* context, const OSSL_PARAM params[]) {
  const OSSL_PARAM* digest =
      params == nullptr ? nullptr : OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST);
  const char* name = nullptr;
  if (digest != nullptr && OSSL_PARAM_get_utf8_string_ptr(digest, &name) == 1) {
    static_cast<Signing*>(context)->digest = name;
  }
  return 1;
}

const OSSL_PARAM* signing_settable_params(void* /*context*/, void* /*provider*/) {
  static const std::array<OSSL_PARAM, 2> params{
      {OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, nullptr, 0), OSSL_PARAM_END}};
  return params.data();
}

int signing_init(void* context, void* data, const OSSL_PARAM params[]) {
  static_cast<Signing*>(context)->key = static_cast<TokenKey*>(data);
  return signing_set_params(context, params);
}

int signing_sign(void* context, unsigned char* signature, std::size_t* size, std::size_t room,
                 const unsigned char* digest, std::size_t digest_size) {
  const auto* signing = static_cast<Signing*>(context);
  *size =
      signature == nullptr ? static_cast<std::size_t>(EVP_PKEY_get_size(signing->key->key)) : room;
  if (signature == nullptr) return 1;
  EVP_PKEY_CTX* inner = EVP_PKEY_CTX_new_from_pkey(inside(), signing->key->key, nullptr);
  EVP_MD* algorithm = EVP_MD_fetch(inside(), signing->digest.c_str(), nullptr);
  const bool done = EVP_PKEY_sign_init(inner) == 1 &&
                    EVP_PKEY_CTX_set_rsa_padding(inner, RSA_PKCS1_PADDING) == 1 &&
                    EVP_PKEY_CTX_set_signature_md(inner, algorithm) == 1 &&
                    EVP_PKEY_sign(inner, signature, size, digest, digest_size) == 1;
  EVP_MD_free(algorithm);
  EVP_PKEY_CTX_free(inner);
  if (signing->key->forges) signature[0] ^= 1;
  return done ? 1 : 0;
}

const OSSL_ALGORITHM* query_operation(void* /*provider*/, int operation, int* no_cache) {
  static const std::array store{entry(OSSL_FUNC_STORE_OPEN, store_open),
                                entry(OSSL_FUNC_STORE_SET_CTX_PARAMS, store_set_params),
                                entry(OSSL_FUNC_STORE_LOAD, store_load),
                                entry(OSSL_FUNC_STORE_EOF, store_eof),
                                entry(OSSL_FUNC_STORE_CLOSE, store_close),
                                OSSL_DISPATCH{0, nullptr}};
  static const std::array keys{entry(OSSL_FUNC_KEYMGMT_NEW, key_new),
                               entry(OSSL_FUNC_KEYMGMT_FREE, key_free),
                               entry(OSSL_FUNC_KEYMGMT_LOAD, key_load),
                               entry(OSSL_FUNC_KEYMGMT_HAS, key_has),
                               entry(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),
                               entry(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable_params),
                               entry(OSSL_FUNC_KEYMGMT_EXPORT, key_export),
                               entry(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, key_export_types),
                               entry(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, key_operation_name),
                               OSSL_DISPATCH{0, nullptr}};
  static const std::array signatures{
      entry(OSSL_FUNC_SIGNATURE_NEWCTX, signing_new),
      entry(OSSL_FUNC_SIGNATURE_FREECTX, signing_free),
      entry(OSSL_FUNC_SIGNATURE_SIGN_INIT, signing_init),
      entry(OSSL_FUNC_SIGNATURE_SIGN, signing_sign),
      entry(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signing_set_params),
      entry(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signing_settable_params),
      OSSL_DISPATCH{0, nullptr}};
  constexpr const char* properties = "provider=pkcs11";
  constexpr OSSL_ALGORITHM end{nullptr, nullptr, nullptr, nullptr};
  static const std::array loaders{OSSL_ALGORITHM{"pkcs11", properties, store.data(), nullptr}, end};
  static const std::array managers{
      OSSL_ALGORITHM{"RSA:rsaEncryption", properties, keys.data(), nullptr}, end};
  static const std::array signers{
      OSSL_ALGORITHM{"RSA:rsaEncryption", properties, signatures.data(), nullptr}, end};
  *no_cache = 0;
  switch (operation) {
    case OSSL_OP_STORE:
      return loaders.data();
    case OSSL_OP_KEYMGMT:
      return managers.data();
    case OSSL_OP_SIGNATURE:
      return signers.data();
    default:
      return nullptr;
  }
}

}  // extern "C"

}  // namespace

extern "C" __attribute__((visibility("default"))) int OSSL_provider_init(
    const OSSL_CORE_HANDLE* handle, const OSSL_DISPATCH* /*in*/, const OSSL_DISPATCH** out,
    void** provider) {
  static const std::array functions{entry(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query_operation),
                                    OSSL_DISPATCH{0, nullptr}};
  *out = functions.data();
  *provider = const_cast<OSSL_CORE_HANDLE*>(handle);
  return 1;
}
