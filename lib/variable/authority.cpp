// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Who may change an authenticated variable (UEFI 2.10, 8.2.2 and 32.3; EDK2's AuthVariableLib).
#include "authority.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "efistore/base/attributes.hpp"
#include "efistore/crypto/certificate.hpp"
#include "efistore/crypto/signed_data.hpp"
#include "efistore/variable/authentication.hpp"
#include "efistore/variable/signature_list.hpp"

#include "private_authority.hpp"
#include "secure_boot.hpp"
#include "uefi_defined.hpp"

namespace efistore::variable {

EfiResult<Authentication> parse_descriptor(const SetRequest& request) {
  auto parsed = parse_authentication(request.data);
  if (!parsed) {
    return refuse(EfiStatus::security_violation, std::move(parsed).error().message);
  }
  return *parsed;
}

EfiResult<void> check_time(const SetRequest& request, const EfiTime& time,
                           const store::Record* existing) {
  if (existing == nullptr || (request.attributes & attributes::append_write) != 0) return {};
  if (time.is_later_than(existing->time)) return {};
  return refuse(EfiStatus::security_violation,
                fmt::format("the time stamp {} is not later than {}, that of the variable",
                            to_string(time), to_string(existing->time)));
}

namespace {

bool is_platform_key(const SetRequest& request) noexcept {
  return request.name == u"PK" && request.guid == guids::global_variable;
}

/// KEK can speak for the databases, not for itself or the platform key.
bool is_database(const SetRequest& request) noexcept {
  return request.guid == guids::image_security_database;
}

/// The certificates that `key` holds.
std::vector<crypto::Certificate> certificates_of(std::span<const std::byte> lists) {
  std::vector<crypto::Certificate> certificates;
  const auto parsed = parse_signature_lists(lists);
  if (!parsed) return certificates;
  for (const SignatureList& list : *parsed) {
    if (list.type != signature_types::x509) continue;
    for (const Signature& signature : list.signatures) {
      auto certificate = crypto::Certificate::from_der(signature.data);
      if (certificate) certificates.push_back(std::move(*certificate));
    }
  }
  return certificates;
}

std::vector<crypto::Certificate> enrolled(const Services::State& state, std::u16string_view name) {
  const store::Record* const record = state.nv.find(name, guids::global_variable);
  return record == nullptr ? std::vector<crypto::Certificate>() : certificates_of(record->data);
}

/// The signature, by the platform key itself or, of a database, by a key-exchange key or what it
/// has certified.
EfiResult<void> check_signer(const Services::State& state, const SetRequest& request,
                             const Authentication& authentication, bool self_signed) {
  const auto signed_data = crypto::SignedData::parse(authentication.signed_data);
  if (!signed_data) return refuse(EfiStatus::security_violation, signed_data.error().message);
  const auto content = signed_content(request.name, request.guid, request.attributes,
                                      authentication.time, authentication.payload);
  const auto owners =
      self_signed ? certificates_of(authentication.payload) : enrolled(state, u"PK");
  std::string why = self_signed ? "the new platform key has not signed itself"
                                : "it is not signed by the platform key";
  for (const crypto::Certificate& owner : owners) {
    const Status verified = signed_data->verify_by(content, owner);
    if (verified) return {};
    why += ": " + verified.error().message;
  }
  if (is_database(request)) {
    why += "; nor by a key-exchange key";
    for (const crypto::Certificate& key : enrolled(state, u"KEK")) {
      if (signed_data->verify_up_to(content, key)) return {};
    }
  }
  return refuse(EfiStatus::security_violation, std::move(why));
}

EfiResult<void> update_key(Services::State& state, const SetRequest& request,
                           const Authentication& authentication) {
  SetRequest update{.name = request.name,
                    .guid = request.guid,
                    .attributes = request.attributes,
                    .data = authentication.payload};
  const store::Record* const present = state.nv.find(request.name, request.guid);
  std::vector<std::byte> added;
  if (present != nullptr && (request.attributes & attributes::append_write) != 0) {
    added = new_signatures(present->data, authentication.payload);
    update.data = added;
  }
  return update_variable(state, update, authentication.time);
}

EfiResult<void> set_platform_key(Services::State& state, const SetRequest& request,
                                 const Authentication& authentication, bool unsigned_change) {
  const bool present = has_platform_key(state);
  return transact(state, [&](Services::State& changed) -> EfiResult<void> {
    if (auto done = update_key(changed, request, authentication); !done) return done;
    if (present && unsigned_change) {
      if (auto done = vendor_keys_modified(changed); !done) return done;
    }
    return has_platform_key(changed) == present ? EfiResult<void>{} : platform_key_changed(changed);
  });
}

EfiResult<void> set_key(Services::State& state, const SetRequest& request) {
  const std::uint32_t wanted =
      attributes::non_volatile | attributes::time_based_authenticated_write_access;
  if ((request.attributes & wanted) != wanted) {
    return refuse(EfiStatus::invalid_parameter, "key variables take the attributes nv,bs,rt,at");
  }
  const auto authentication = parse_descriptor(request);
  if (!authentication) return tl::unexpected(authentication.error());
  const bool platform_key = is_platform_key(request);
  const store::Record* const present = state.nv.find(request.name, request.guid);
  const bool open = keys_are_open(state);
  const bool self_signed = platform_key && present == nullptr && state.require_self_signed_pk;
  if (!open || self_signed) {
    if (auto valid = check_time(request, authentication->time, present); !valid) return valid;
    auto allowed = check_signer(state, request, *authentication, self_signed);
    if (!allowed) return allowed;
  }
  const Status lists = check_signature_lists(authentication->payload, platform_key);
  if (!lists) return refuse(EfiStatus::invalid_parameter, lists.error().message);
  if (platform_key) {
    if (present != nullptr && (request.attributes & attributes::append_write) != 0 &&
        !authentication->payload.empty()) {
      return refuse(EfiStatus::invalid_parameter, "there is one platform key, and none is added");
    }
    return set_platform_key(state, request, *authentication, open);
  }
  if (!open || !has_platform_key(state) || !has_vendor_keys(state)) {
    return update_key(state, request, *authentication);
  }
  return transact(state, [&](Services::State& changed) -> EfiResult<void> {
    if (auto done = update_key(changed, request, *authentication); !done) return done;
    return vendor_keys_modified(changed);
  });
}

}  // namespace

EfiResult<void> process_variable(Services::State& state, const SetRequest& request,
                                 std::uint32_t stored_attributes) {
  if (!state.auth_supported()) return update_variable(state, request);
  if (is_firmwares_own(request.name, request.guid)) {
    return refuse(EfiStatus::write_protected, "the variable is the firmware's to write");
  }
  if (is_mode_variable(request.name, request.guid)) return set_mode(state, request);
  if (is_key_variable(request.name, request.guid)) return set_key(state, request);
  // A signature of anybody's is no presence.
  const bool guarded = needs_physical_presence(request.name, request.guid);
  if (guarded && !state.physically_present) {
    return refuse(EfiStatus::security_violation, "only somebody at the machine may change this");
  }
  if ((request.attributes & attributes::time_based_authenticated_write_access) != 0) {
    const bool deletion = is_deletion(request.attributes, payload_of(request).size());
    if (stored_attributes != 0 && deletion && state.physically_present) {
      return delete_private(state, request);
    }
    return set_private(state, request);
  }
  if (guarded) {
    auto done = update_variable(state, request);
    if (done) custom_mode_set(state);
    return done;
  }
  if ((stored_attributes & attributes::any_authenticated) != 0) {
    return refuse(EfiStatus::write_protected,
                  "an authenticated variable needs a signature to change");
  }
  return update_variable(state, request);
}

}  // namespace efistore::variable
