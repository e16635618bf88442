// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What the secureboot commands share.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/base/attributes.hpp"
#include "efistore/base/efi_time.hpp"
#include "efistore/crypto/certificate.hpp"
#include "efistore/crypto/signing_key.hpp"
#include "efistore/variable/services.hpp"

#include "command.hpp"

namespace efistore::tools {

void add_secureboot_status(CLI::App& parent, Action& action);
void add_secureboot_enroll(CLI::App& parent, Action& action);
void add_secureboot_generate(CLI::App& parent, Action& action);
void add_secureboot_mode(CLI::App& parent, Action& action);

inline constexpr std::uint32_t key_attributes =
    attributes::default_new | attributes::time_based_authenticated_write_access;

/// PK, KEK, db, dbx, dbt and dbr.
struct KeyVariable {
  std::string_view name;
  std::u16string_view efi_name;
  Guid guid;
};
inline constexpr std::array key_variables{
    KeyVariable{"PK", u"PK", guids::global_variable},
    KeyVariable{"KEK", u"KEK", guids::global_variable},
    KeyVariable{"db", u"db", guids::image_security_database},
    KeyVariable{"dbx", u"dbx", guids::image_security_database},
    KeyVariable{"dbt", u"dbt", guids::image_security_database},
    KeyVariable{"dbr", u"dbr", guids::image_security_database},
};
const KeyVariable* find_key_variable(std::string_view name) noexcept;

std::string_view to_string(variable::SecureBootMode mode) noexcept;

/// Who signs, if anybody.
struct SigningOptions {
  std::optional<std::string> key_file;
  std::optional<std::string> certificate_file;

  void add_to(CLI::App& command);
};
struct SigningPair {
  crypto::PrivateKey key;
  crypto::Certificate certificate;
};
/// None if no key was named.
Outcome<std::optional<SigningPair>> read_signing_pair(const SigningOptions& options);

/// What a key variable shall hold, and how.
struct KeyUpdate {
  const KeyVariable* variable;
  std::span<const std::byte> payload;
  bool append = false;
  EfiTime time;
};
/// SetVariable's data for it, signed if there is somebody to sign.
Outcome<std::vector<std::byte>> make_request(const KeyUpdate& update,
                                             const std::optional<SigningPair>& signer);

/// A time stamp for the next change of the variable: now or, on a machine whose clock is behind, a
/// second later than what it has.
EfiTime next_time(runtime::Client& client, const KeyVariable& variable);

/// Opens the store with its secure-boot variables. Fails for a store in the normal format.
Outcome<Session> open_secure_boot(const std::string& locator, flash::OpenMode mode,
                                  bool physically_present = false);

}  // namespace efistore::tools
